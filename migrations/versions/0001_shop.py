"""The shop: every table of the first release.

Revision ID: 0001_shop
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_shop"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = postgresql.TIMESTAMP(timezone=True)

# Rows that are only ever followed by another row. TRUNCATE stays possible (tests); an erasure is a migration of its own.
APPEND_ONLY = ("event", "stock_movement", "points_transaction", "points_entry")

REFUSE_EDIT = """
CREATE FUNCTION refuse_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""

# Double entry: all entries of one transaction are inserted by one statement and sum to zero.
BALANCE = """
CREATE FUNCTION refuse_unbalanced_points() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM inserted GROUP BY transaction_id HAVING sum(points) <> 0) THEN
        RAISE EXCEPTION 'points entries of a transaction must sum to zero' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""
BALANCE_TRIGGER = """
CREATE TRIGGER points_entry_balance AFTER INSERT ON points_entry
REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced_points()
"""


def upgrade() -> None:
    op.create_table(
        "customer",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("locale", sa.Text(), server_default="ja", nullable=False),
        sa.Column("merged_into", sa.UUID(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("locale IN ('ja', 'en')", name=op.f("ck_customer_locale")),
        sa.ForeignKeyConstraint(["merged_into"], ["customer.id"], name=op.f("fk_customer_merged_into")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        sa.UniqueConstraint("reference", name=op.f("uq_customer_reference")),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("aggregate_id", sa.UUID(), nullable=True),
        sa.Column("party_id", sa.UUID(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("seq", name=op.f("uq_event_seq")),
    )
    op.create_index("ix_event_aggregate", "event", ["aggregate_id", "seq"], unique=False)
    op.create_index(
        "ix_event_party",
        "event",
        ["party_id", sa.literal_column("seq DESC")],
        unique=False,
        postgresql_where=sa.text("party_id IS NOT NULL"),
    )
    op.create_table(
        "history_import",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("next_line", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lines_total", sa.Integer(), nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history_import")),
    )
    op.create_index("uq_history_import_file", "history_import", ["format", "digest"], unique=True)
    op.create_table(
        "idempotency_claim",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("headers", postgresql.JSONB(), nullable=True),
        sa.Column("resource", sa.Text(), nullable=True),
        sa.Column("leased_until", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name=op.f("pk_idempotency_claim")),
    )
    op.create_index("ix_idempotency_claim_created_at", "idempotency_claim", ["created_at"], unique=False)
    op.create_table(
        "identity",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), server_default="", nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('email', 'phone', 'card', 'external')", name=op.f("ck_identity_kind")),
        sa.CheckConstraint("value <> ''", name=op.f("ck_identity_value")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sa.UniqueConstraint("kind", "namespace", "value", name=op.f("uq_identity_kind_namespace_value")),
    )
    op.create_table(
        "job_lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("holder", sa.UUID(), nullable=True),
        sa.Column("last_started_at", MOMENT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job_lease")),
    )
    op.create_table(
        "location",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_ja", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("tax_region", sa.Text(), nullable=False),
        sa.Column("pickup_enabled", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("pickup_lead_minutes", sa.Integer(), server_default="120", nullable=False),
        sa.Column("pickup_keep_days", sa.Integer(), server_default="7", nullable=False),
        sa.Column("capture_at", sa.Text(), server_default="collected", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("capture_at IN ('placed', 'ready', 'collected')", name=op.f("ck_location_capture_at")),
        sa.CheckConstraint("kind IN ('store', 'warehouse')", name=op.f("ck_location_kind")),
        sa.CheckConstraint("pickup_keep_days BETWEEN 1 AND 60", name=op.f("ck_location_pickup_keep_days")),
        sa.CheckConstraint("pickup_lead_minutes BETWEEN 0 AND 10080", name=op.f("ck_location_pickup_lead_minutes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_location")),
        sa.UniqueConstraint("code", name=op.f("uq_location_code")),
    )
    op.create_table(
        "price_list",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("tax_inclusive", sa.Boolean(), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_price_list_currency")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_list")),
        sa.UniqueConstraint("code", name=op.f("uq_price_list_code")),
    )
    op.create_table(
        "rate_limit",
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("window_at", MOMENT, nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "window_at", name=op.f("pk_rate_limit")),
    )
    op.create_table(
        "staff",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), server_default="ja", nullable=False),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("locale IN ('ja', 'en')", name=op.f("ck_staff_locale")),
        sa.CheckConstraint(
            "role IN ('associate', 'manager', 'agent', 'supervisor', 'analyst', 'admin')", name=op.f("ck_staff_role")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("login", name=op.f("uq_staff_login")),
    )
    op.create_table(
        "tax_class",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_tax_class")),
    )
    op.create_table(
        "webhook_inbox",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=True),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("processed_at", MOMENT, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("provider", "event_id", name=op.f("pk_webhook_inbox")),
    )
    op.create_index(
        "ix_webhook_inbox_due",
        "webhook_inbox",
        ["next_at"],
        unique=False,
        postgresql_where=sa.text("processed_at IS NULL"),
    )
    op.create_table(
        "worker_heartbeat",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker_heartbeat")),
    )
    op.create_index(op.f("ix_worker_heartbeat_seen_at"), "worker_heartbeat", ["seen_at"], unique=False)
    op.create_table(
        "channel",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("price_list_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(["price_list_id"], ["price_list.id"], name=op.f("fk_channel_price_list_id")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_channel")),
    )
    op.create_table(
        "delivery",
        sa.Column("event_id", sa.UUID(), nullable=False),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.CheckConstraint("state IN ('pending', 'done', 'dead')", name=op.f("ck_delivery_state")),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_delivery_event_id")),
        sa.PrimaryKeyConstraint("event_id", "handler", name=op.f("pk_delivery")),
    )
    op.create_index(
        "ix_delivery_dead", "delivery", ["event_id"], unique=False, postgresql_where=sa.text("state = 'dead'")
    )
    op.create_index(
        "ix_delivery_due", "delivery", ["next_at"], unique=False, postgresql_where=sa.text("state = 'pending'")
    )
    op.create_table(
        "history_line",
        sa.Column("import_id", sa.UUID(), nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("month", sa.Text(), server_default="", nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.CheckConstraint("outcome IN ('kept', 'reported')", name=op.f("ck_history_line_outcome")),
        sa.ForeignKeyConstraint(["import_id"], ["history_import.id"], name=op.f("fk_history_line_import_id")),
        sa.PrimaryKeyConstraint("import_id", "line_number", name=op.f("pk_history_line")),
    )
    op.create_index("ix_history_line_reason", "history_line", ["import_id", "reason"], unique=False)
    op.create_table(
        "identity_link",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("identity_id", sa.UUID(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("assurance", sa.Text(), nullable=False),
        sa.Column("from_at", MOMENT, nullable=False),
        sa.Column("to_at", MOMENT, nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "assurance IN ('claimed', 'observed', 'attested', 'verified')", name=op.f("ck_identity_link_assurance")
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_identity_link_customer_id")),
        sa.ForeignKeyConstraint(["identity_id"], ["identity.id"], name=op.f("fk_identity_link_identity_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_link")),
    )
    op.create_index(op.f("ix_identity_link_customer_id"), "identity_link", ["customer_id"], unique=False)
    op.create_index(
        "uq_identity_link_active",
        "identity_link",
        ["identity_id"],
        unique=True,
        postgresql_where=sa.text("to_at IS NULL"),
    )
    op.create_table(
        "location_holiday",
        sa.Column("location_id", sa.UUID(), nullable=False),
        sa.Column("on_day", sa.Date(), nullable=False),
        sa.Column("opens", sa.Time(), nullable=True),
        sa.Column("closes", sa.Time(), nullable=True),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "(opens IS NULL) = (closes IS NULL) AND (opens IS NULL OR opens < closes)",
            name=op.f("ck_location_holiday_interval"),
        ),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_location_holiday_location_id")),
        sa.PrimaryKeyConstraint("location_id", "on_day", name=op.f("pk_location_holiday")),
    )
    op.create_table(
        "location_hours",
        sa.Column("location_id", sa.UUID(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("opens", sa.Time(), nullable=False),
        sa.Column("closes", sa.Time(), nullable=False),
        sa.CheckConstraint("opens < closes", name=op.f("ck_location_hours_interval")),
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", name=op.f("ck_location_hours_weekday")),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_location_hours_location_id")),
        sa.PrimaryKeyConstraint("location_id", "weekday", "opens", name=op.f("pk_location_hours")),
    )
    op.create_table(
        "one_time_code",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("identity_id", sa.UUID(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["identity_id"], ["identity.id"], name=op.f("fk_one_time_code_identity_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_one_time_code")),
    )
    op.create_index(op.f("ix_one_time_code_identity_id"), "one_time_code", ["identity_id"], unique=False)
    op.create_table(
        "points_account",
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("available", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("owed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.CheckConstraint("available >= 0", name=op.f("ck_points_account_available")),
        sa.CheckConstraint("held >= 0", name=op.f("ck_points_account_held")),
        sa.CheckConstraint("owed >= 0", name=op.f("ck_points_account_owed")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_points_account_customer_id")),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_points_account")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_table(
        "product",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_ja", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("category", sa.Text(), server_default="", nullable=False),
        sa.Column("tax_class_code", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("code <> '' AND title <> ''", name=op.f("ck_product_named")),
        sa.CheckConstraint("status IN ('active', 'archived')", name=op.f("ck_product_status")),
        sa.ForeignKeyConstraint(["tax_class_code"], ["tax_class.code"], name=op.f("fk_product_tax_class_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sa.UniqueConstraint("code", name=op.f("uq_product_code")),
    )
    op.create_table(
        "staff_location",
        sa.Column("staff_id", sa.UUID(), nullable=False),
        sa.Column("location_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_staff_location_location_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_staff_location_staff_id")),
        sa.PrimaryKeyConstraint("staff_id", "location_id", name=op.f("pk_staff_location")),
    )
    op.create_table(
        "tax_rate",
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("tax_class_code", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("rate_bp", sa.Integer(), nullable=False),
        sa.CheckConstraint("rate_bp BETWEEN 0 AND 10000", name=op.f("ck_tax_rate_rate_bp")),
        sa.ForeignKeyConstraint(["tax_class_code"], ["tax_class.code"], name=op.f("fk_tax_rate_tax_class_code")),
        sa.PrimaryKeyConstraint("region", "tax_class_code", "valid_from", name=op.f("pk_tax_rate")),
    )
    op.create_table(
        "api_client",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("channel_code", sa.Text(), nullable=False),
        sa.Column("location_id", sa.UUID(), nullable=True),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["channel_code"], ["channel.code"], name=op.f("fk_api_client_channel_code")),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_api_client_location_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_client")),
        sa.UniqueConstraint("name", name=op.f("uq_api_client_name")),
    )
    op.create_table(
        "cart",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=True),
        sa.Column("channel_code", sa.Text(), nullable=False),
        sa.Column("location_id", sa.UUID(), nullable=True),
        sa.Column("method", sa.Text(), server_default="pickup", nullable=False),
        sa.Column("points_to_spend", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("method IN ('pickup', 'carry_out')", name=op.f("ck_cart_method")),
        sa.CheckConstraint("state IN ('open', 'placed', 'abandoned')", name=op.f("ck_cart_state")),
        sa.CheckConstraint("points_to_spend >= 0", name=op.f("ck_cart_points_to_spend")),
        sa.ForeignKeyConstraint(["channel_code"], ["channel.code"], name=op.f("fk_cart_channel_code")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_cart_customer_id")),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_cart_location_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cart")),
    )
    op.create_index("ix_cart_customer_id", "cart", ["customer_id"], unique=False)
    op.create_index(op.f("ix_cart_owner"), "cart", ["owner"], unique=False)
    op.create_table(
        "order",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="live", nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=True),
        sa.Column("channel_code", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("tax_inclusive", sa.Boolean(), nullable=False),
        sa.Column("subtotal_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_minor", sa.BigInteger(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_lines", postgresql.JSONB(), nullable=False),
        sa.Column("contact_name", sa.Text(), server_default="", nullable=False),
        sa.Column("contact_email", sa.Text(), nullable=True),
        sa.Column("contact_phone", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), server_default="ja", nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("external_reference", sa.Text(), nullable=True),
        sa.Column("placed_at", MOMENT, nullable=False),
        sa.Column("confirmed_at", MOMENT, nullable=True),
        sa.Column("cancelled_at", MOMENT, nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "kind = 'history' OR (subtotal_minor >= 0 AND tax_minor >= 0 AND total_minor >= 0)",
            name=op.f("ck_order_amounts"),
        ),
        sa.CheckConstraint("kind IN ('live', 'history')", name=op.f("ck_order_kind")),
        sa.ForeignKeyConstraint(["channel_code"], ["channel.code"], name=op.f("fk_order_channel_code")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_order_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order")),
        sa.UniqueConstraint("reference", name=op.f("uq_order_reference")),
    )
    op.create_index(
        "ix_order_customer",
        "order",
        ["customer_id", sa.literal_column("placed_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index(
        "ix_order_placed", "order", [sa.literal_column("placed_at DESC"), sa.literal_column("id DESC")], unique=False
    )
    op.create_index(
        "ix_order_unconfirmed",
        "order",
        ["placed_at"],
        unique=False,
        postgresql_where=sa.text("confirmed_at IS NULL AND cancelled_at IS NULL"),
    )
    op.create_index(
        "uq_order_external",
        "order",
        ["channel_code", "external_reference"],
        unique=True,
        postgresql_where=sa.text("external_reference IS NOT NULL"),
    )
    op.create_table(
        "points_hold",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("refunded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.CheckConstraint("state IN ('open', 'burned', 'released', 'expired')", name=op.f("ck_points_hold_state")),
        sa.CheckConstraint("points > 0 AND refunded >= 0 AND refunded <= points", name=op.f("ck_points_hold_points")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["points_account.customer_id"], name=op.f("fk_points_hold_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_hold")),
        sa.UniqueConstraint("order_id", name=op.f("uq_points_hold_order_id")),
    )
    op.create_index(op.f("ix_points_hold_customer_id"), "points_hold", ["customer_id"], unique=False)
    op.create_table(
        "points_lot",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("earned", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.UUID(), nullable=True),
        sa.Column("available_from", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "remaining >= 0 AND remaining <= earned AND earned > 0", name=op.f("ck_points_lot_remaining")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["points_account.customer_id"], name=op.f("fk_points_lot_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_lot")),
    )
    op.create_index(
        "ix_points_lot_expiry", "points_lot", ["expires_at"], unique=False, postgresql_where=sa.text("remaining > 0")
    )
    op.create_index(
        "ix_points_lot_open",
        "points_lot",
        ["customer_id", "expires_at", "id"],
        unique=False,
        postgresql_where=sa.text("remaining > 0"),
    )
    op.create_index("ix_points_lot_source_id", "points_lot", ["source_id"], unique=False)
    op.create_table(
        "points_transaction",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "kind IN ('earn', 'hold', 'burn', 'release', 'refund', 'claw_back', 'expire', 'goodwill')",
            name=op.f("ck_points_transaction_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["points_account.customer_id"], name=op.f("fk_points_transaction_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_transaction")),
        sa.UniqueConstraint("key", name=op.f("uq_points_transaction_key")),
        sa.UniqueConstraint("seq", name=op.f("uq_points_transaction_seq")),
    )
    op.create_index(
        "ix_points_transaction_customer",
        "points_transaction",
        ["customer_id", sa.literal_column("seq DESC")],
        unique=False,
    )
    op.create_index(op.f("ix_points_transaction_order_id"), "points_transaction", ["order_id"], unique=False)
    op.create_table(
        "variant",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("product_id", sa.UUID(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_ja", sa.Text(), nullable=True),
        sa.Column("options", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("sku <> '' AND length(sku) <= 64", name=op.f("ck_variant_sku")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_variant_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_variant")),
        sa.UniqueConstraint("sku", name=op.f("uq_variant_sku")),
    )
    op.create_index(op.f("ix_variant_product_id"), "variant", ["product_id"], unique=False)
    op.create_table(
        "cart_line",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("cart_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("quantity BETWEEN 1 AND 9999", name=op.f("ck_cart_line_quantity")),
        sa.ForeignKeyConstraint(["cart_id"], ["cart.id"], name=op.f("fk_cart_line_cart_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_cart_line_variant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cart_line")),
    )
    op.create_index(op.f("ix_cart_line_cart_id"), "cart_line", ["cart_id"], unique=False)
    op.create_table(
        "contact",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=True),
        sa.Column("order_id", sa.UUID(), nullable=True),
        sa.Column("staff_id", sa.UUID(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "channel IN ('phone', 'email', 'store', 'web', 'app', 'line', 'letter')", name=op.f("ck_contact_channel")
        ),
        sa.CheckConstraint("direction IN ('inbound', 'outbound', 'internal')", name=op.f("ck_contact_direction")),
        sa.CheckConstraint("customer_id IS NOT NULL OR order_id IS NOT NULL", name=op.f("ck_contact_about")),
        sa.CheckConstraint("length(text) BETWEEN 1 AND 10000", name=op.f("ck_contact_text")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_contact_customer_id")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_contact_order_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_contact_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
    )
    op.create_index(
        "ix_contact_customer",
        "contact",
        ["customer_id", sa.literal_column("at DESC")],
        unique=False,
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index(op.f("ix_contact_order_id"), "contact", ["order_id"], unique=False)
    op.create_table(
        "fulfillment",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("location_id", sa.UUID(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ready_by", MOMENT, nullable=True),
        sa.Column("picking_at", MOMENT, nullable=True),
        sa.Column("ready_at", MOMENT, nullable=True),
        sa.Column("collect_by", MOMENT, nullable=True),
        sa.Column("collected_at", MOMENT, nullable=True),
        sa.Column("collected_proof", sa.Text(), nullable=True),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("(state = 'collected') = (collected_at IS NOT NULL)", name=op.f("ck_fulfillment_collected")),
        sa.CheckConstraint(
            "collected_proof IN ('code', 'token', 'identity', 'carry_out')", name=op.f("ck_fulfillment_collected_proof")
        ),
        sa.CheckConstraint(
            "method IN ('pickup', 'ship', 'ship_to_store', 'carry_out')", name=op.f("ck_fulfillment_method")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'allocated', 'picking', 'ready', 'collected', 'short', 'expired', 'cancelled')",
            name=op.f("ck_fulfillment_state"),
        ),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_fulfillment_location_id")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_fulfillment_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fulfillment")),
    )
    op.create_index("ix_fulfillment_location", "fulfillment", ["location_id", "id"], unique=False)
    op.create_index(
        "ix_fulfillment_open",
        "fulfillment",
        ["location_id", "ready_by", "id"],
        unique=False,
        postgresql_where=sa.text("method = 'pickup' AND state IN ('allocated', 'picking', 'ready')"),
    )
    op.create_index(op.f("ix_fulfillment_order_id"), "fulfillment", ["order_id"], unique=False)
    op.create_table(
        "message",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("client_key", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=True),
        sa.Column("order_id", sa.UUID(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.CheckConstraint("channel IN ('email')", name=op.f("ck_message_channel")),
        sa.CheckConstraint("state IN ('queued', 'sending', 'sent', 'failed')", name=op.f("ck_message_state")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_message_customer_id")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_message_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("client_key", name=op.f("uq_message_client_key")),
        sa.UniqueConstraint("seq", name=op.f("uq_message_seq")),
    )
    op.create_index(
        "ix_message_customer",
        "message",
        ["customer_id", sa.literal_column("seq DESC")],
        unique=False,
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index(
        "ix_message_due",
        "message",
        ["next_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )
    op.create_index(op.f("ix_message_order_id"), "message", ["order_id"], unique=False)
    op.create_table(
        "order_line",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("variant_id", sa.UUID(), nullable=True),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=False),
        sa.Column("subtotal_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_rate_bp", sa.Integer(), nullable=False),
        sa.Column("tax_minor", sa.BigInteger(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "refunded_quantity >= 0 AND refunded_quantity <= greatest(quantity, 0)",
            name=op.f("ck_order_line_refunded_quantity"),
        ),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_order_line_order_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_order_line_variant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_line")),
    )
    op.create_index("ix_order_line_order_id", "order_line", ["order_id", "position"], unique=True)
    op.create_table(
        "payment",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("tender", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("authorized_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("captured_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("provider_method", sa.Text(), nullable=True),
        sa.Column("capture_before", MOMENT, nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "state IN ('pending', 'requires_action', 'authorized', 'captured', 'voided', 'failed')",
            name=op.f("ck_payment_state"),
        ),
        sa.CheckConstraint(
            "tender IN ('card', 'points', 'cash', 'card_terminal', 'pay_at_pickup')", name=op.f("ck_payment_tender")
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_payment_amount_minor")),
        sa.CheckConstraint(
            "authorized_minor >= 0 AND authorized_minor <= amount_minor", name=op.f("ck_payment_authorized")
        ),
        sa.CheckConstraint(
            "captured_minor >= 0 AND captured_minor <= authorized_minor", name=op.f("ck_payment_captured")
        ),
        sa.CheckConstraint(
            "refunded_minor >= 0 AND refunded_minor <= captured_minor", name=op.f("ck_payment_refunded")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_payment_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sa.UniqueConstraint("provider_id", name=op.f("uq_payment_provider_id")),
    )
    op.create_index(op.f("ix_payment_order_id"), "payment", ["order_id"], unique=False)
    op.create_index(
        "ix_payment_unsettled",
        "payment",
        ["updated_at"],
        unique=False,
        postgresql_where=sa.text("tender = 'card' AND state IN ('pending', 'requires_action', 'authorized')"),
    )
    op.create_table(
        "points_entry",
        sa.Column("transaction_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("lot_id", sa.UUID(), nullable=True),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "account IN ('member', 'issued', 'held', 'burned', 'expired', 'owed', 'goodwill')",
            name=op.f("ck_points_entry_account"),
        ),
        sa.CheckConstraint("points <> 0", name=op.f("ck_points_entry_points")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["points_account.customer_id"], name=op.f("fk_points_entry_customer_id")
        ),
        sa.ForeignKeyConstraint(["lot_id"], ["points_lot.id"], name=op.f("fk_points_entry_lot_id")),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["points_transaction.id"], name=op.f("fk_points_entry_transaction_id")
        ),
        sa.PrimaryKeyConstraint("transaction_id", "position", name=op.f("pk_points_entry")),
    )
    op.create_index("ix_points_entry_customer_id", "points_entry", ["customer_id"], unique=False)
    op.create_table(
        "points_slice",
        sa.Column("hold_id", sa.UUID(), nullable=False),
        sa.Column("lot_id", sa.UUID(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points > 0", name=op.f("ck_points_slice_points")),
        sa.ForeignKeyConstraint(["hold_id"], ["points_hold.id"], name=op.f("fk_points_slice_hold_id")),
        sa.ForeignKeyConstraint(["lot_id"], ["points_lot.id"], name=op.f("fk_points_slice_lot_id")),
        sa.PrimaryKeyConstraint("hold_id", "lot_id", name=op.f("pk_points_slice")),
    )
    op.create_table(
        "price",
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("price_list_id", sa.UUID(), nullable=False),
        sa.Column("valid_from", MOMENT, nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_price_amount_minor")),
        sa.ForeignKeyConstraint(["price_list_id"], ["price_list.id"], name=op.f("fk_price_price_list_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_price_variant_id")),
        sa.PrimaryKeyConstraint("variant_id", "price_list_id", "valid_from", name=op.f("pk_price")),
    )
    op.create_table(
        "refund",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("restock", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.CheckConstraint("state IN ('pending', 'done', 'failed')", name=op.f("ck_refund_state")),
        sa.CheckConstraint("amount_minor >= 0 AND points >= 0", name=op.f("ck_refund_amounts")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_refund_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund")),
    )
    op.create_index(op.f("ix_refund_order_id"), "refund", ["order_id"], unique=False)
    op.create_table(
        "reservation",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("location_id", sa.UUID(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.UUID(), nullable=False),
        sa.Column("line_id", sa.UUID(), nullable=True),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.CheckConstraint("(state <> 'held') OR (expires_at IS NOT NULL)", name=op.f("ck_reservation_timed")),
        sa.CheckConstraint(
            "state IN ('held', 'allocated', 'consumed', 'released', 'expired', 'short')",
            name=op.f("ck_reservation_state"),
        ),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_reservation_quantity")),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_reservation_location_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_reservation_variant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservation")),
        postgresql_with={"fillfactor": "85"},
    )
    op.create_index(
        "ix_reservation_expiry", "reservation", ["expires_at"], unique=False, postgresql_where=sa.text("state = 'held'")
    )
    op.create_index(
        "ix_reservation_held",
        "reservation",
        ["variant_id", "location_id", "expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index("ix_reservation_owner_id", "reservation", ["owner_id"], unique=False)
    op.create_table(
        "return",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="live", nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=True),
        sa.Column("customer_id", sa.UUID(), nullable=True),
        sa.Column("location_id", sa.UUID(), nullable=True),
        sa.Column("channel_code", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("external_reference", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.CheckConstraint("kind IN ('live', 'history')", name=op.f("ck_return_kind")),
        sa.CheckConstraint(
            "state IN ('requested', 'approved', 'received', 'refunded', 'rejected')", name=op.f("ck_return_state")
        ),
        sa.ForeignKeyConstraint(["channel_code"], ["channel.code"], name=op.f("fk_return_channel_code")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_return_customer_id")),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_return_location_id")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_return_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_return")),
        sa.UniqueConstraint("reference", name=op.f("uq_return_reference")),
    )
    op.create_index(
        "ix_return_customer",
        "return",
        ["customer_id", sa.literal_column("requested_at DESC")],
        unique=False,
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index(op.f("ix_return_order_id"), "return", ["order_id"], unique=False)
    op.create_index(
        "uq_return_external",
        "return",
        ["channel_code", "external_reference"],
        unique=True,
        postgresql_where=sa.text("external_reference IS NOT NULL"),
    )
    op.create_table(
        "stock_level",
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("location_id", sa.UUID(), nullable=False),
        sa.Column("on_hand", sa.Integer(), server_default="0", nullable=False),
        sa.Column("allocated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("held", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unavailable", sa.Integer(), server_default="0", nullable=False),
        sa.Column("safety", sa.Integer(), server_default="0", nullable=False),
        sa.Column("backorder_limit", sa.Integer(), server_default="0", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "allocated + held + unavailable <= on_hand + backorder_limit", name=op.f("ck_stock_level_promised")
        ),
        sa.CheckConstraint("allocated >= 0", name=op.f("ck_stock_level_allocated")),
        sa.CheckConstraint("backorder_limit >= 0", name=op.f("ck_stock_level_backorder_limit")),
        sa.CheckConstraint("held >= 0", name=op.f("ck_stock_level_held")),
        sa.CheckConstraint("on_hand >= 0", name=op.f("ck_stock_level_on_hand")),
        sa.CheckConstraint("safety >= 0", name=op.f("ck_stock_level_safety")),
        sa.CheckConstraint("unavailable >= 0", name=op.f("ck_stock_level_unavailable")),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_stock_level_location_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_stock_level_variant_id")),
        sa.PrimaryKeyConstraint("variant_id", "location_id", name=op.f("pk_stock_level")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_stock_level_location_id", "stock_level", ["location_id", "variant_id"], unique=False)
    op.create_table(
        "stock_movement",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("location_id", sa.UUID(), nullable=False),
        sa.Column("from_bucket", sa.Text(), nullable=False),
        sa.Column("to_bucket", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("cause_id", sa.UUID(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "from_bucket IN ('outside', 'available', 'held', 'allocated', 'unavailable')",
            name=op.f("ck_stock_movement_from_bucket"),
        ),
        sa.CheckConstraint(
            "to_bucket IN ('outside', 'available', 'held', 'allocated', 'unavailable')",
            name=op.f("ck_stock_movement_to_bucket"),
        ),
        sa.CheckConstraint("from_bucket <> to_bucket AND quantity > 0", name=op.f("ck_stock_movement_moved")),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_stock_movement_location_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_stock_movement_variant_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_stock_movement")),
    )
    op.create_index("ix_stock_movement_key", "stock_movement", ["variant_id", "location_id", "seq"], unique=False)
    op.create_index(
        "uq_stock_movement_idempotency_key",
        "stock_movement",
        ["idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "token",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), server_default="", nullable=False),
        sa.Column("client_id", sa.UUID(), nullable=True),
        sa.Column("customer_id", sa.UUID(), nullable=True),
        sa.Column("staff_id", sa.UUID(), nullable=True),
        sa.Column("family", sa.UUID(), nullable=True),
        sa.Column("channel_code", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.CheckConstraint("kind IN ('api_key', 'access', 'refresh', 'session')", name=op.f("ck_token_kind")),
        sa.CheckConstraint("num_nonnulls(client_id, customer_id, staff_id) >= 1", name=op.f("ck_token_owned")),
        sa.CheckConstraint("num_nonnulls(customer_id, staff_id) <= 1", name=op.f("ck_token_owner")),
        sa.ForeignKeyConstraint(["client_id"], ["api_client.id"], name=op.f("fk_token_client_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_token_customer_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_token_staff_id")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_token")),
    )
    op.create_index(op.f("ix_token_client_id"), "token", ["client_id"], unique=False)
    op.create_index(op.f("ix_token_customer_id"), "token", ["customer_id"], unique=False)
    op.create_index(op.f("ix_token_family"), "token", ["family"], unique=False)
    op.create_index(op.f("ix_token_staff_id"), "token", ["staff_id"], unique=False)
    op.create_table(
        "fulfillment_line",
        sa.Column("fulfillment_id", sa.UUID(), nullable=False),
        sa.Column("order_line_id", sa.UUID(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("picked", sa.Integer(), server_default="0", nullable=False),
        sa.Column("collected", sa.Integer(), server_default="0", nullable=False),
        sa.Column("short", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "picked + short <= quantity AND collected <= picked", name=op.f("ck_fulfillment_line_picked")
        ),
        sa.CheckConstraint(
            "quantity > 0 AND picked >= 0 AND collected >= 0 AND short >= 0", name=op.f("ck_fulfillment_line_quantity")
        ),
        sa.ForeignKeyConstraint(
            ["fulfillment_id"], ["fulfillment.id"], name=op.f("fk_fulfillment_line_fulfillment_id")
        ),
        sa.ForeignKeyConstraint(["order_line_id"], ["order_line.id"], name=op.f("fk_fulfillment_line_order_line_id")),
        sa.PrimaryKeyConstraint("fulfillment_id", "order_line_id", name=op.f("pk_fulfillment_line")),
    )
    op.create_index("ix_fulfillment_line_order_line_id", "fulfillment_line", ["order_line_id"], unique=False)
    op.create_table(
        "payment_entry",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("payment_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("refund_id", sa.UUID(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.CheckConstraint("(state = 'started') = (settled_at IS NULL)", name=op.f("ck_payment_entry_settled")),
        sa.CheckConstraint("kind IN ('authorize', 'capture', 'void', 'refund')", name=op.f("ck_payment_entry_kind")),
        sa.CheckConstraint("state IN ('started', 'succeeded', 'failed')", name=op.f("ck_payment_entry_state")),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_payment_entry_amount_minor")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_payment_entry_payment_id")),
        sa.ForeignKeyConstraint(["refund_id"], ["refund.id"], name=op.f("fk_payment_entry_refund_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_entry")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_payment_entry_idempotency_key")),
        sa.UniqueConstraint("seq", name=op.f("uq_payment_entry_seq")),
    )
    op.create_index(op.f("ix_payment_entry_payment_id"), "payment_entry", ["payment_id"], unique=False)
    op.create_index(op.f("ix_payment_entry_refund_id"), "payment_entry", ["refund_id"], unique=False)
    op.create_index(
        "ix_payment_entry_started",
        "payment_entry",
        ["started_at"],
        unique=False,
        postgresql_where=sa.text("state = 'started'"),
    )
    op.create_table(
        "pickup_code",
        sa.Column("fulfillment_id", sa.UUID(), nullable=False),
        sa.Column("rotation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("locked_at", MOMENT, nullable=True),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("issued_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["fulfillment_id"], ["fulfillment.id"], name=op.f("fk_pickup_code_fulfillment_id")),
        sa.PrimaryKeyConstraint("fulfillment_id", name=op.f("pk_pickup_code")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_pickup_code_token_hash")),
    )
    op.create_index(op.f("ix_pickup_code_code_hash"), "pickup_code", ["code_hash"], unique=False)
    op.create_table(
        "return_line",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("return_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("order_line_id", sa.UUID(), nullable=True),
        sa.Column("variant_id", sa.UUID(), nullable=True),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["order_line_id"], ["order_line.id"], name=op.f("fk_return_line_order_line_id")),
        sa.ForeignKeyConstraint(["return_id"], ["return.id"], name=op.f("fk_return_line_return_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_return_line_variant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_return_line")),
    )
    op.create_index("ix_return_line_return_id", "return_line", ["return_id", "position"], unique=True)
    # ### end Alembic commands ###
    op.execute(REFUSE_EDIT)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit()"
        )
    op.execute(BALANCE)
    op.execute(BALANCE_TRIGGER)


def downgrade() -> None:
    op.drop_index("ix_return_line_return_id", table_name="return_line")
    op.drop_table("return_line")
    op.drop_index(op.f("ix_pickup_code_code_hash"), table_name="pickup_code")
    op.drop_table("pickup_code")
    op.drop_index("ix_payment_entry_started", table_name="payment_entry", postgresql_where=sa.text("state = 'started'"))
    op.drop_index(op.f("ix_payment_entry_refund_id"), table_name="payment_entry")
    op.drop_index(op.f("ix_payment_entry_payment_id"), table_name="payment_entry")
    op.drop_table("payment_entry")
    op.drop_index("ix_fulfillment_line_order_line_id", table_name="fulfillment_line")
    op.drop_table("fulfillment_line")
    op.drop_index(op.f("ix_token_staff_id"), table_name="token")
    op.drop_index(op.f("ix_token_family"), table_name="token")
    op.drop_index(op.f("ix_token_customer_id"), table_name="token")
    op.drop_index(op.f("ix_token_client_id"), table_name="token")
    op.drop_table("token")
    op.drop_index(
        "uq_stock_movement_idempotency_key",
        table_name="stock_movement",
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.drop_index("ix_stock_movement_key", table_name="stock_movement")
    op.drop_table("stock_movement")
    op.drop_index("ix_stock_level_location_id", table_name="stock_level")
    op.drop_table("stock_level")
    op.drop_index("uq_return_external", table_name="return", postgresql_where=sa.text("external_reference IS NOT NULL"))
    op.drop_index(op.f("ix_return_order_id"), table_name="return")
    op.drop_index("ix_return_customer", table_name="return", postgresql_where=sa.text("customer_id IS NOT NULL"))
    op.drop_table("return")
    op.drop_index("ix_reservation_owner_id", table_name="reservation")
    op.drop_index("ix_reservation_held", table_name="reservation", postgresql_where=sa.text("state = 'held'"))
    op.drop_index("ix_reservation_expiry", table_name="reservation", postgresql_where=sa.text("state = 'held'"))
    op.drop_table("reservation")
    op.drop_index(op.f("ix_refund_order_id"), table_name="refund")
    op.drop_table("refund")
    op.drop_table("price")
    op.drop_table("points_slice")
    op.drop_index("ix_points_entry_customer_id", table_name="points_entry")
    op.drop_table("points_entry")
    op.drop_index(
        "ix_payment_unsettled",
        table_name="payment",
        postgresql_where=sa.text("tender = 'card' AND state IN ('pending', 'requires_action', 'authorized')"),
    )
    op.drop_index(op.f("ix_payment_order_id"), table_name="payment")
    op.drop_table("payment")
    op.drop_index("ix_order_line_order_id", table_name="order_line")
    op.drop_table("order_line")
    op.drop_index(op.f("ix_message_order_id"), table_name="message")
    op.drop_index("ix_message_due", table_name="message", postgresql_where=sa.text("state IN ('queued', 'sending')"))
    op.drop_index("ix_message_customer", table_name="message", postgresql_where=sa.text("customer_id IS NOT NULL"))
    op.drop_table("message")
    op.drop_index(op.f("ix_fulfillment_order_id"), table_name="fulfillment")
    op.drop_index(
        "ix_fulfillment_open",
        table_name="fulfillment",
        postgresql_where=sa.text("method = 'pickup' AND state IN ('allocated', 'picking', 'ready')"),
    )
    op.drop_index("ix_fulfillment_location", table_name="fulfillment")
    op.drop_table("fulfillment")
    op.drop_index(op.f("ix_contact_order_id"), table_name="contact")
    op.drop_index("ix_contact_customer", table_name="contact", postgresql_where=sa.text("customer_id IS NOT NULL"))
    op.drop_table("contact")
    op.drop_index(op.f("ix_cart_line_cart_id"), table_name="cart_line")
    op.drop_table("cart_line")
    op.drop_index(op.f("ix_variant_product_id"), table_name="variant")
    op.drop_table("variant")
    op.drop_index(op.f("ix_points_transaction_order_id"), table_name="points_transaction")
    op.drop_index("ix_points_transaction_customer", table_name="points_transaction")
    op.drop_table("points_transaction")
    op.drop_index("ix_points_lot_source_id", table_name="points_lot")
    op.drop_index("ix_points_lot_open", table_name="points_lot", postgresql_where=sa.text("remaining > 0"))
    op.drop_index("ix_points_lot_expiry", table_name="points_lot", postgresql_where=sa.text("remaining > 0"))
    op.drop_table("points_lot")
    op.drop_index(op.f("ix_points_hold_customer_id"), table_name="points_hold")
    op.drop_table("points_hold")
    op.drop_index("uq_order_external", table_name="order", postgresql_where=sa.text("external_reference IS NOT NULL"))
    op.drop_index(
        "ix_order_unconfirmed",
        table_name="order",
        postgresql_where=sa.text("confirmed_at IS NULL AND cancelled_at IS NULL"),
    )
    op.drop_index("ix_order_placed", table_name="order")
    op.drop_index("ix_order_customer", table_name="order", postgresql_where=sa.text("customer_id IS NOT NULL"))
    op.drop_table("order")
    op.drop_index(op.f("ix_cart_owner"), table_name="cart")
    op.drop_index("ix_cart_customer_id", table_name="cart")
    op.drop_table("cart")
    op.drop_table("api_client")
    op.drop_table("tax_rate")
    op.drop_table("staff_location")
    op.drop_table("product")
    op.drop_table("points_account")
    op.drop_index(op.f("ix_one_time_code_identity_id"), table_name="one_time_code")
    op.drop_table("one_time_code")
    op.drop_table("location_hours")
    op.drop_table("location_holiday")
    op.drop_index("uq_identity_link_active", table_name="identity_link", postgresql_where=sa.text("to_at IS NULL"))
    op.drop_index(op.f("ix_identity_link_customer_id"), table_name="identity_link")
    op.drop_table("identity_link")
    op.drop_index("ix_history_line_reason", table_name="history_line")
    op.drop_table("history_line")
    op.drop_index("ix_delivery_due", table_name="delivery", postgresql_where=sa.text("state = 'pending'"))
    op.drop_index("ix_delivery_dead", table_name="delivery", postgresql_where=sa.text("state = 'dead'"))
    op.drop_table("delivery")
    op.drop_table("channel")
    op.drop_index(op.f("ix_worker_heartbeat_seen_at"), table_name="worker_heartbeat")
    op.drop_table("worker_heartbeat")
    op.drop_index("ix_webhook_inbox_due", table_name="webhook_inbox", postgresql_where=sa.text("processed_at IS NULL"))
    op.drop_table("webhook_inbox")
    op.drop_table("tax_class")
    op.drop_table("staff")
    op.drop_table("rate_limit")
    op.drop_table("price_list")
    op.drop_table("location")
    op.drop_table("job_lease")
    op.drop_table("identity")
    op.drop_index("ix_idempotency_claim_created_at", table_name="idempotency_claim")
    op.drop_table("idempotency_claim")
    op.drop_index("uq_history_import_file", table_name="history_import")
    op.drop_table("history_import")
    op.drop_index("ix_event_party", table_name="event", postgresql_where=sa.text("party_id IS NOT NULL"))
    op.drop_index("ix_event_aggregate", table_name="event")
    op.drop_table("event")
    op.drop_table("customer")
    # ### end Alembic commands ###
    op.execute("DROP FUNCTION refuse_unbalanced_points()")
    op.execute("DROP FUNCTION refuse_edit()")
