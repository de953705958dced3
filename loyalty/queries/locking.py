"""How a statement locks the accounts it is about and learns whether it sees them as they are (see `loyalty.ledger`)."""

# Of `gone`, the merged ones among the accounts that this is about: they are locked first, and undoing a merge locks and
# writes them first. Who waited for that learns from `parted` that they are merged no longer, before she holds anything else.
PARTED = """parted AS (
        SELECT FROM gone WHERE NOT EXISTS (SELECT FROM points_account AS seen
                                           WHERE seen.customer_id = gone.customer_id AND seen.ctid = gone.version)
    )"""
# The row is locked in its newest version; `fresh` is empty when that is not the version this statement sees, that is
# when somebody changed the account, and so perhaps its lots, after the statement began. {customer} names whose account,
# {gone} the merged record through which it is meant, if any.
LOCKED_ACCOUNT = """
    gone AS (
        SELECT customer_id, ctid AS version FROM points_account WHERE customer_id = {gone} FOR NO KEY UPDATE
    ), {parted}, account AS (
        SELECT *, ctid AS version FROM points_account
        WHERE customer_id = {customer} AND NOT EXISTS (SELECT FROM parted) FOR NO KEY UPDATE
    ), fresh AS (
        SELECT account.*
        FROM points_account AS seen JOIN account ON account.customer_id = seen.customer_id AND account.version = seen.ctid
    )"""
STALE = """(EXISTS (SELECT FROM parted)
            OR (EXISTS (SELECT FROM account) AND NOT EXISTS (SELECT FROM fresh))) AS stale"""
# For a customer named by :customer_id: whose account it is.
NAMED = "named AS (SELECT id, coalesce(merged_into, id) AS owner FROM customer WHERE id = :customer_id)"
NAMED_ACCOUNT = LOCKED_ACCOUNT.format(
    gone="(SELECT id FROM named WHERE owner <> id)", customer="(SELECT owner FROM named)", parted=PARTED
)
