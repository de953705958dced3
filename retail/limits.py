"""Every limit the shop sets on a caller, in one place; the API's documentation and the tests read them here.

A limit keeps one request's work and one caller's share bounded; none of them is a business promise that a customer
could lose by it. Body size, page size and key length are the plumbing's (`kernel.web.api`, `.cursor`, `.idempotency`).
"""

# Orders and carts
LINES_PER_ORDER = 100
PARTS_PER_PICK_LIST = 50
QUANTITY_PER_LINE = 9999
OPEN_CARTS_PER_OWNER = 50
ORIGINAL_MINUTES = 10  # how long whoever issued a document is shown the original; then it is a copy
POINTS_PER_ORDER = 10_000_000
PAYMENT_METHODS_PER_CUSTOMER = 20
PAYMENTS_PER_ORDER = 10
TILL_SALES_PER_UPLOAD = 1000
TILL_SALE_ID_CHARACTERS = 64
TILL_CODE_CHARACTERS = 64
TILL_CLOCK_AHEAD_SECONDS = 300  # what a till's clock may be ahead before a sale is flagged
TILL_OFFLINE_DAYS = 7  # a sale that is told later than this is flagged
PARCELS_PER_SHIPMENT = 100
RECEIPT_CLAIM_DAYS = 90  # after placing, in which the holder of a guest's receipt makes the purchase hers
RECEIPT_CODE_TRIES = 10  # by one customer, in RECEIPT_CODE_TRY_SECONDS; a typing error is none
RECEIPT_CODE_TRY_SECONDS = 900
CLAIM_NOTE_CHARACTERS = 500  # why staff give a guest's order to a customer
GIFT_CARD_LOOKUPS = 30  # by number, per caller, in GIFT_CARD_LOOKUP_SECONDS
GIFT_CARD_LOOKUP_SECONDS = 900
GIFT_CARD_MINOR = 1_000_000_00  # what one card may be issued with
REASONS_PER_POLICY = 50
GOODWILL_PERCENT = 20  # of an order's total, in all, from whoever may refund; more needs orders.goodwill
COUPONS_PER_ORDER = 10
COUPONS_PER_REQUEST = 1000
COUPON_CHARACTERS = 64  # as typed; 40 letters and digits of them count
USES_PER_COUPON = 1_000_000_000
NAMES_PER_PROMOTION = 1000  # of SKUs, of categories, of channels, of locations
STEPS_PER_PROMOTION = 20

# Loyalty
POINTS_PER_EARNING = 1_000_000_000  # what one transaction may credit; the columns hold nine billion times that
RULES = 500
NAMES_PER_RULE = 1000  # of SKUs, of categories, of channels, of locations, of tiers
TIERS = 20
GOODWILL_POINTS = 1_000  # in one gift, by whoever may give; more waits for points.approve
GOODWILL_POINTS_PER_CUSTOMER = 3_000  # given in GOODWILL_DAYS, approved or not, to one member by all; more waits too
GOODWILL_DAYS = 30
GOODWILL_NOTE_CHARACTERS = 500
TRANSFER_POINTS_LEAST = 1
TRANSFER_POINTS_PER_DAY = 10_000  # what one member may give away, and may receive, in 24 hours
TRANSFERS_PER_DAY = 10
TRANSFER_TRIES = 30  # by one giver, in TRANSFER_TRY_SECONDS: nobody finds out by trying which cards there are
TRANSFER_TRY_SECONDS = 900
TRANSFER_MESSAGE_CHARACTERS = 140
MEMBER_TOKEN_SECONDS = 30  # how long one rotating token is shown; the one before it still counts
SPEND_PROOF_SECONDS = 15 * 60  # how long a look-up that allowed it lets its till spend her points
SPEND_PROOF_CHARACTERS = 64
MEMBER_LOOKUPS = 60  # by phone, email or card, per caller, in MEMBER_LOOKUP_SECONDS
MEMBER_LOOKUP_SECONDS = 900
REFERRALS_PER_MONTH = 10  # rewarded, of one referrer
REMIND_EXPIRY_DAYS = 30  # before points run out
LOTS_PER_STATEMENT = 1_000  # listed one by one; of more, their number and sum is told

# Stock
SKUS_PER_AVAILABILITY = 100
LOCATIONS_PER_AVAILABILITY = 500
LINES_PER_RECEIPT = 500
LINES_PER_TRANSFER = 500
LINES_PER_COUNT = 2000
LINES_PER_UPDATE = 1000
LINES_PER_IMPORT_BATCH = 1000
IMPORT_BYTES = 1_000_000_000
IMPORT_LINE_BYTES = 10_000
COMPONENTS_PER_BUNDLE = 50
BARCODES_PER_VARIANT = 50
STOCK_RULES = 10_000
COUNT_APPROVAL_ABOVE = (
    5  # units of difference on one line that nobody has to approve, where a count does not say otherwise
)
QUANTITY_PER_MOVEMENT = 1_000_000
UNITS_PER_LEVEL = 1_000_000_000  # what a stock write from outside may leave on hand; the column holds twice that
SOURCE_CHARACTERS = 64
HOLDS_PER_OWNER = 20
HOLD_SECONDS = 15 * 60
HOLD_SECONDS_LONGEST = 60 * 60

# Pickup
PICKUP_CODE_ATTEMPTS = 5
PICKUP_CODE_ATTEMPT_WINDOW_SECONDS = 900
PROXIES_PER_PICKUP = 5  # who may still collect, at once
VISIT_HOURS = 4  # after which somebody who arrived is not waiting any more
EXTENSIONS_BY_CUSTOMER = 1
EXTENSION_DAYS = 3  # at once; staff may give more
EXTENSION_DAYS_MOST = 30
REMIND_HOURS_BEFORE = 24  # before the collect-by moment
NO_SHOW_GRACE_HOURS = 12  # after the collect-by moment, before the goods are for sale again
SUBSTITUTE_HOURS = 24  # how long a customer is asked whether another article will do

# Catalog and stores
VARIANTS_PER_PRODUCT = 200
PRICES_PER_REQUEST = 500
SKU_CHARACTERS = 64
TITLE_CHARACTERS = 200
TEXT_CHARACTERS = 10_000
OPTIONS_PER_VARIANT = 20
HOURS_PER_LOCATION = 50  # several intervals on each of seven days
HOLIDAYS_PER_LOCATION = 1000
DAYS_AHEAD = 366  # how far opening hours are searched before a store counts as never open

# People
NAME_CHARACTERS = 200
IDENTITIES_PER_CUSTOMER = 20
IDENTITY_CHARACTERS = 254  # RFC 5321, 4.5.3.1.3: the longest address that can be mailed
LOGIN_CHARACTERS = 64
PASSWORD_CHARACTERS_LEAST = 12
PASSWORD_CHARACTERS_MOST = 200  # hashing an unbounded password is an attack on the processor
KEYS_PER_CLIENT = 5

# Log-in. Each counts per login or address AND per network address, in a fixed window.
LOGINS_PER_NAME = 10
LOGINS_PER_ADDRESS = 50
LOGIN_WINDOW_SECONDS = 900
CODES_PER_ADDRESS_OF_CUSTOMER = 5
CODES_PER_CLIENT = 1000
CODE_TRIES_PER_CLIENT = 3000
CODE_WINDOW_SECONDS = 900
CODE_ATTEMPTS = 5
CODE_MINUTES = 10
REFRESHES_PER_CLIENT = 10_000

# How long log-ins last
ACCESS_TOKEN_MINUTES = 15
REFRESH_TOKEN_DAYS = 30
STAFF_TOKEN_HOURS = 12
KEY_OVERLAP_HOURS = 24
KEY_OVERLAP_HOURS_LONGEST = 24 * 30
TOKENS_KEPT_DAYS = 30  # after they ended, so that a reused refresh token is still recognized
