"""Loyalty in full: rules, tiers, members; merged customers.

Revision ID: 0023_loyalty
Revises: 0022_pick_lists
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023_loyalty"
down_revision = "0022_pick_lists"
branch_labels = None
depends_on = None

MOMENT = postgresql.TIMESTAMP(timezone=True)
APPEND_ONLY = ("points_reason", "tier_change")
KINDS = ("earn", "hold", "burn", "release", "refund", "claw_back", "expire", "goodwill")
NEW_KINDS = (*KINDS, "transfer", "merge", "unmerge")
ACCOUNTS = ("member", "issued", "held", "burned", "expired", "owed", "goodwill")
NEW_ACCOUNTS = (*ACCOUNTS, "merged", "transferred")


def _one_of(table: str, column: str, values: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{value}'" for value in values)
    op.drop_constraint(op.f(f"ck_{table}_{column}"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{column}"), table, f"{column} IN ({listed})")


def upgrade() -> None:
    op.create_table(
        "earning_rule",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_ja", sa.Text(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("referrer_points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("per_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("factor_bp", sa.Integer(), server_default="0", nullable=False),
        sa.Column("skus", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("categories", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("channels", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("locations", sa.ARRAY(sa.UUID()), server_default="{}", nullable=False),
        sa.Column("weekdays", sa.ARRAY(sa.Integer()), server_default="{}", nullable=False),
        sa.Column("tiers", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("from_on", sa.Date(), nullable=True),
        sa.Column("to_on", sa.Date(), nullable=True),
        sa.Column("first_purchase", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("birthday", sa.Text(), nullable=True),
        sa.Column("min_amount_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stack_group", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), server_default="100", nullable=False),
        sa.Column("cap_per_order", sa.BigInteger(), nullable=True),
        sa.Column("cap_per_member", sa.BigInteger(), nullable=True),
        sa.Column("cap_days", sa.Integer(), nullable=True),
        sa.Column("pending_days", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lot_days", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("from_at", MOMENT, nullable=False),
        sa.Column("to_at", MOMENT, nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "basis <> 'amount' OR (per_minor > 0 AND currency IS NOT NULL)", name=op.f("ck_earning_rule_amount")
        ),
        sa.CheckConstraint(
            "basis IN ('amount', 'unit', 'order', 'multiplier', 'referral')", name=op.f("ck_earning_rule_basis")
        ),
        sa.CheckConstraint("birthday IN ('day', 'month')", name=op.f("ck_earning_rule_birthday")),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_earning_rule_currency")),
        sa.CheckConstraint("from_on <= to_on", name=op.f("ck_earning_rule_days")),
        sa.CheckConstraint("min_amount_minor = 0 OR currency IS NOT NULL", name=op.f("ck_earning_rule_amounts")),
        sa.CheckConstraint(
            "points >= 0 AND referrer_points >= 0 AND per_minor >= 0 AND factor_bp >= 0 AND min_amount_minor >= 0 AND cap_per_order > 0 AND cap_per_member > 0 AND cap_days > 0 AND pending_days >= 0 AND lot_days > 0",
            name=op.f("ck_earning_rule_figures"),
        ),
        sa.CheckConstraint(
            "version > 0 AND (to_at IS NULL OR from_at <= to_at)", name=op.f("ck_earning_rule_versions")
        ),
        sa.PrimaryKeyConstraint("code", "version", name=op.f("pk_earning_rule")),
    )
    op.create_index(
        "uq_earning_rule_current", "earning_rule", ["code"], unique=True, postgresql_where=sa.text("to_at IS NULL")
    )
    op.create_table(
        "tier",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_ja", sa.Text(), nullable=True),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("multiplier_bp", sa.Integer(), server_default="10000", nullable=False),
        sa.Column("free_shipping", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("multiplier_bp BETWEEN 10000 AND 100000", name=op.f("ck_tier_multiplier_bp")),
        sa.CheckConstraint("rank > 0 AND threshold > 0", name=op.f("ck_tier_figures")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_tier")),
        sa.UniqueConstraint("rank", name=op.f("uq_tier_rank")),
    )
    op.create_table(
        "tier_program",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("basis", sa.Text(), server_default="spend", nullable=False),
        sa.Column("currency", sa.Text(), server_default="JPY", nullable=False),
        sa.Column("window", sa.Text(), server_default="rolling", nullable=False),
        sa.Column("window_days", sa.Integer(), server_default="365", nullable=False),
        sa.Column("zone", sa.Text(), server_default="Asia/Tokyo", nullable=False),
        sa.Column("grace_days", sa.Integer(), server_default="30", nullable=False),
        sa.Column("soft_landing", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("walk_after", sa.UUID(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("basis IN ('spend', 'points')", name=op.f("ck_tier_program_basis")),
        sa.CheckConstraint("\"window\" IN ('rolling', 'calendar')", name=op.f("ck_tier_program_window")),
        sa.CheckConstraint("id = 1", name=op.f("ck_tier_program_one")),
        sa.CheckConstraint(
            "window_days BETWEEN 1 AND 3660 AND grace_days BETWEEN 0 AND 3660", name=op.f("ck_tier_program_days")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tier_program")),
    )
    op.create_table(
        "customer_merge",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("gone_id", sa.UUID(), nullable=False),
        sa.Column("stays_id", sa.UUID(), nullable=False),
        sa.Column("repointed", sa.ARRAY(sa.UUID()), server_default="{}", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("undone_at", MOMENT, nullable=True),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.CheckConstraint("(undone_at IS NULL) = (undone_by IS NULL)", name=op.f("ck_customer_merge_undone")),
        sa.CheckConstraint("gone_id <> stays_id", name=op.f("ck_customer_merge_two")),
        sa.ForeignKeyConstraint(["gone_id"], ["customer.id"], name=op.f("fk_customer_merge_gone_id")),
        sa.ForeignKeyConstraint(["stays_id"], ["customer.id"], name=op.f("fk_customer_merge_stays_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_merge")),
    )
    op.create_index(op.f("ix_customer_merge_gone_id"), "customer_merge", ["gone_id"], unique=False)
    op.create_index(op.f("ix_customer_merge_stays_id"), "customer_merge", ["stays_id"], unique=False)
    op.create_index(
        "uq_customer_merge_active",
        "customer_merge",
        ["gone_id"],
        unique=True,
        postgresql_where=sa.text("undone_at IS NULL"),
    )
    op.create_table(
        "member_token_use",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_member_token_use_customer_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_member_token_use")),
    )
    op.create_index(op.f("ix_member_token_use_at"), "member_token_use", ["at"], unique=False)
    op.create_table(
        "earning_record",
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("basket", postgresql.JSONB(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("placed_at", MOMENT, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["points_account.customer_id"], name=op.f("fk_earning_record_customer_id")
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_earning_record")),
    )
    op.create_index("ix_earning_record_placed", "earning_record", ["placed_at", "order_id"], unique=False)
    op.create_table(
        "goodwill_gift",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("decision_note", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "(state = 'pending') = (decided_at IS NULL) AND (decided_at IS NULL) = (decided_by IS NULL)",
            name=op.f("ck_goodwill_gift_decided"),
        ),
        sa.CheckConstraint("state IN ('pending', 'given', 'declined')", name=op.f("ck_goodwill_gift_state")),
        sa.CheckConstraint("points > 0", name=op.f("ck_goodwill_gift_points")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["points_account.customer_id"], name=op.f("fk_goodwill_gift_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_goodwill_gift")),
    )
    op.create_index("ix_goodwill_gift_customer", "goodwill_gift", ["customer_id", "asked_at"], unique=False)
    op.create_index("ix_goodwill_gift_asker", "goodwill_gift", ["asked_by", "asked_at"], unique=False)
    op.create_index(
        "ix_goodwill_gift_pending",
        "goodwill_gift",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "member_tier",
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("tier_code", sa.Text(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("below_since", MOMENT, nullable=True),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["points_account.customer_id"], name=op.f("fk_member_tier_customer_id")
        ),
        sa.ForeignKeyConstraint(["tier_code"], ["tier.code"], name=op.f("fk_member_tier_tier_code")),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_member_tier")),
    )
    op.create_index(
        "ix_member_tier_due",
        "member_tier",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index("ix_member_tier_code", "member_tier", ["tier_code"], unique=False)
    op.create_table(
        "points_reminder",
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint("points > 0", name=op.f("ck_points_reminder_points")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["points_account.customer_id"], name=op.f("fk_points_reminder_customer_id")
        ),
        sa.PrimaryKeyConstraint("customer_id", "expires_on", name=op.f("pk_points_reminder")),
    )
    op.create_table(
        "points_transfer",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("from_id", sa.UUID(), nullable=False),
        sa.Column("to_id", sa.UUID(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("to_hint", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint("from_id <> to_id", name=op.f("ck_points_transfer_two")),
        sa.CheckConstraint("points > 0", name=op.f("ck_points_transfer_points")),
        sa.ForeignKeyConstraint(["from_id"], ["points_account.customer_id"], name=op.f("fk_points_transfer_from_id")),
        sa.ForeignKeyConstraint(["to_id"], ["points_account.customer_id"], name=op.f("fk_points_transfer_to_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_transfer")),
    )
    op.create_index("ix_points_transfer_from", "points_transfer", ["from_id", "at"], unique=False)
    op.create_index("ix_points_transfer_to", "points_transfer", ["to_id", "at"], unique=False)
    op.create_table(
        "referral",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("referrer_id", sa.UUID(), nullable=False),
        sa.Column("referred_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name=op.f("ck_referral_decided")),
        sa.CheckConstraint("state IN ('pending', 'rewarded', 'refused')", name=op.f("ck_referral_state")),
        sa.CheckConstraint("referrer_id <> referred_id", name=op.f("ck_referral_two")),
        sa.ForeignKeyConstraint(["referred_id"], ["points_account.customer_id"], name=op.f("fk_referral_referred_id")),
        sa.ForeignKeyConstraint(["referrer_id"], ["points_account.customer_id"], name=op.f("fk_referral_referrer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_referral")),
        sa.UniqueConstraint("referred_id", name=op.f("uq_referral_referred_id")),
    )
    op.create_index("ix_referral_referrer", "referral", ["referrer_id", "at"], unique=False)
    op.create_table(
        "referral_code",
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["points_account.customer_id"], name=op.f("fk_referral_code_customer_id")
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_referral_code")),
        sa.UniqueConstraint("code", name=op.f("uq_referral_code_code")),
    )
    op.create_table(
        "tier_change",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("from_code", sa.Text(), nullable=True),
        sa.Column("to_code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("figure", sa.BigInteger(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "reason IN ('qualified', 'lapsed', 'program', 'staff', 'merge', 'unmerge')",
            name=op.f("ck_tier_change_reason"),
        ),
        sa.CheckConstraint(
            "from_code IS DISTINCT FROM to_code OR reason = 'merge'", name=op.f("ck_tier_change_change")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["points_account.customer_id"], name=op.f("fk_tier_change_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tier_change")),
        sa.UniqueConstraint("seq", name=op.f("uq_tier_change_seq")),
    )
    op.create_index("ix_tier_change_customer", "tier_change", ["customer_id", "at"], unique=False)
    op.create_table(
        "points_reason",
        sa.Column("transaction_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("order_line_id", sa.UUID(), nullable=True),
        sa.Column("rule_code", sa.Text(), nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points <> 0", name=op.f("ck_points_reason_points")),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["points_transaction.id"], name=op.f("fk_points_reason_transaction_id")
        ),
        sa.PrimaryKeyConstraint("transaction_id", "position", name=op.f("pk_points_reason")),
    )
    op.create_index(
        "ix_customer_merged_into",
        "customer",
        ["merged_into"],
        unique=False,
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.add_column("points_account", sa.Column("state", sa.Text(), server_default="active", nullable=False))
    op.add_column("points_account", sa.Column("blocked_reason", sa.Text(), server_default="", nullable=False))
    op.add_column("points_account", sa.Column("birth_month", sa.SmallInteger(), nullable=True))
    op.add_column("points_account", sa.Column("birth_day", sa.SmallInteger(), nullable=True))
    op.add_column("points_lot", sa.Column("member_id", sa.UUID(), nullable=True))
    op.create_index(
        "ix_points_lot_member",
        "points_lot",
        ["member_id"],
        unique=False,
        postgresql_where=sa.text("member_id IS NOT NULL"),
    )
    op.create_index("ix_points_lot_owner", "points_lot", ["customer_id"], unique=False)
    op.drop_index("ix_points_lot_expiry", table_name="points_lot")  # which did not order lots of one moment
    op.create_index(
        "ix_points_lot_expiry",
        "points_lot",
        ["expires_at", "id"],
        unique=False,
        postgresql_where=sa.text("remaining > 0"),
    )
    op.create_foreign_key(
        op.f("fk_points_lot_member_id"), "points_lot", "points_account", ["member_id"], ["customer_id"]
    )
    op.add_column("points_transaction", sa.Column("member_id", sa.UUID(), nullable=True))
    op.add_column("points_transaction", sa.Column("spend_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index(
        "ix_points_transaction_member",
        "points_transaction",
        [sa.literal_column("coalesce(member_id, customer_id)"), "at"],
        unique=False,
        postgresql_where=sa.text("kind IN ('earn', 'claw_back')"),
    )
    op.create_foreign_key(
        op.f("fk_points_transaction_member_id"), "points_transaction", "points_account", ["member_id"], ["customer_id"]
    )

    op.create_check_constraint(
        op.f("ck_points_account_state"), "points_account", "state IN ('active', 'blocked', 'merged')"
    )
    op.create_check_constraint(
        op.f("ck_points_account_birthday"),
        "points_account",
        "(birth_month IS NULL) = (birth_day IS NULL) AND birth_month BETWEEN 1 AND 12 AND birth_day BETWEEN 1 AND 31",
    )
    op.create_check_constraint(op.f("ck_points_lot_member"), "points_lot", "member_id <> customer_id")
    op.create_check_constraint(op.f("ck_points_lot_dates"), "points_lot", "available_from < expires_at")
    _one_of("points_transaction", "kind", NEW_KINDS)
    _one_of("points_entry", "account", NEW_ACCOUNTS)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit()"
        )


def downgrade() -> None:
    _one_of("points_entry", "account", ACCOUNTS)
    _one_of("points_transaction", "kind", KINDS)
    for name, table in (
        ("dates", "points_lot"),
        ("member", "points_lot"),
        ("birthday", "points_account"),
        ("state", "points_account"),
    ):
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.drop_constraint(op.f("fk_points_transaction_member_id"), "points_transaction", type_="foreignkey")
    op.drop_index(
        "ix_points_transaction_member",
        table_name="points_transaction",
        postgresql_where=sa.text("kind IN ('earn', 'claw_back')"),
    )
    op.drop_column("points_transaction", "spend_minor")
    op.drop_column("points_transaction", "member_id")
    op.drop_constraint(op.f("fk_points_lot_member_id"), "points_lot", type_="foreignkey")
    op.drop_index("ix_points_lot_expiry", table_name="points_lot", postgresql_where=sa.text("remaining > 0"))
    op.create_index(
        "ix_points_lot_expiry", "points_lot", ["expires_at"], unique=False, postgresql_where=sa.text("remaining > 0")
    )
    op.drop_index("ix_points_lot_owner", table_name="points_lot")
    op.drop_index("ix_points_lot_member", table_name="points_lot", postgresql_where=sa.text("member_id IS NOT NULL"))
    op.drop_column("points_lot", "member_id")
    op.drop_column("points_account", "birth_day")
    op.drop_column("points_account", "birth_month")
    op.drop_column("points_account", "blocked_reason")
    op.drop_column("points_account", "state")
    op.drop_index("ix_customer_merged_into", table_name="customer", postgresql_where=sa.text("merged_into IS NOT NULL"))
    op.drop_table("points_reason")
    op.drop_index("ix_tier_change_customer", table_name="tier_change")
    op.drop_table("tier_change")
    op.drop_table("referral_code")
    op.drop_index("ix_referral_referrer", table_name="referral")
    op.drop_table("referral")
    op.drop_index("ix_points_transfer_to", table_name="points_transfer")
    op.drop_index("ix_points_transfer_from", table_name="points_transfer")
    op.drop_table("points_transfer")
    op.drop_table("points_reminder")
    op.drop_index("ix_member_tier_code", table_name="member_tier")
    op.drop_index("ix_member_tier_due", table_name="member_tier", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("member_tier")
    op.drop_index("ix_goodwill_gift_pending", table_name="goodwill_gift", postgresql_where=sa.text("state = 'pending'"))
    op.drop_index("ix_goodwill_gift_asker", table_name="goodwill_gift")
    op.drop_index("ix_goodwill_gift_customer", table_name="goodwill_gift")
    op.drop_table("goodwill_gift")
    op.drop_index("ix_earning_record_placed", table_name="earning_record")
    op.drop_table("earning_record")
    op.drop_index(op.f("ix_member_token_use_at"), table_name="member_token_use")
    op.drop_table("member_token_use")
    op.drop_index(
        "uq_customer_merge_active", table_name="customer_merge", postgresql_where=sa.text("undone_at IS NULL")
    )
    op.drop_index(op.f("ix_customer_merge_stays_id"), table_name="customer_merge")
    op.drop_table("customer_merge")
    op.drop_table("tier_program")
    op.drop_table("tier")
    op.drop_index("uq_earning_rule_current", table_name="earning_rule", postgresql_where=sa.text("to_at IS NULL"))
    op.drop_table("earning_rule")
