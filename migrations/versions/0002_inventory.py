"""Inventory in full: rules, bundles, barcodes, deliveries, transfers, counts, imports, backorders, and a feed that loses nothing.

Revision ID: 0002_inventory
Revises: 0001_shop
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_inventory"
down_revision = "0001_shop"
branch_labels = None
depends_on = None

OLD_BUCKETS = "('outside', 'available', 'held', 'allocated', 'unavailable')"
NEW_BUCKETS = "('outside', 'available', 'held', 'allocated', 'backordered', 'unavailable')"

# What was promised beyond what is on hand becomes a backorder: the youngest promises of each level wait, the ledger says so.
BACKORDERS = """
WITH level AS (
    UPDATE stock_level SET backordered = allocated + unavailable - on_hand
    WHERE allocated + unavailable > on_hand
    RETURNING variant_id, location_id, backordered
), waiting AS (
    SELECT reservation.id, reservation.quantity, level.backordered - coalesce(sum(reservation.quantity) OVER (
               PARTITION BY variant_id, location_id ORDER BY reservation.created_at DESC, reservation.id DESC
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS missing
    FROM reservation JOIN level USING (variant_id, location_id)
    WHERE reservation.state = 'allocated'
), marked AS (
    UPDATE reservation SET backordered = least(reservation.quantity, waiting.missing)
    FROM waiting WHERE waiting.id = reservation.id AND waiting.missing > 0
)
INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, actor, at)
SELECT variant_id, location_id, 'allocated', 'backordered', backordered, 'migrate', 'system', now() FROM level
"""


def upgrade() -> None:
    op.create_table(
        "stock_feed",
        sa.Column("singleton", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.CheckConstraint("singleton", name=op.f("ck_stock_feed_singleton")),
        sa.PrimaryKeyConstraint("singleton", name=op.f("pk_stock_feed")),
    )
    op.create_table(
        "stock_import",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("lines_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lines_applied", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lines_refused", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("prefix_digest", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("finished_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'done') = (finished_at IS NOT NULL)", name=op.f("ck_stock_import_finished")),
        sa.CheckConstraint("format IN ('csv', 'jsonl')", name=op.f("ck_stock_import_format")),
        sa.CheckConstraint("state IN ('running', 'broken', 'done')", name=op.f("ck_stock_import_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_import")),
        sa.UniqueConstraint("key", name=op.f("uq_stock_import_key")),
    )
    op.create_index("ix_stock_import_actor", "stock_import", ["actor", "id"], unique=False)
    op.create_table(
        "inbound_shipment",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("location_id", sa.UUID(), nullable=False),
        sa.Column("supplier", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="expected", nullable=False),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("closed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('received', 'cancelled')) = (closed_at IS NOT NULL)", name=op.f("ck_inbound_shipment_closed")
        ),
        sa.CheckConstraint(
            "state IN ('expected', 'partly_received', 'received', 'cancelled')", name=op.f("ck_inbound_shipment_state")
        ),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_inbound_shipment_location_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_shipment")),
        sa.UniqueConstraint("reference", name=op.f("uq_inbound_shipment_reference")),
    )
    op.create_index("ix_inbound_shipment_location_id", "inbound_shipment", ["location_id", "id"], unique=False)
    op.create_table(
        "stock_count",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("location_id", sa.UUID(), nullable=False),
        sa.Column("shelf", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("blind", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("approval_above", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("closed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('applied', 'cancelled')) = (closed_at IS NOT NULL)", name=op.f("ck_stock_count_closed")
        ),
        sa.CheckConstraint("state IN ('open', 'approval', 'applied', 'cancelled')", name=op.f("ck_stock_count_state")),
        sa.CheckConstraint("approval_above >= 0", name=op.f("ck_stock_count_approval_above")),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_stock_count_location_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_count")),
        sa.UniqueConstraint("reference", name=op.f("uq_stock_count_reference")),
    )
    op.create_index("ix_stock_count_location_id", "stock_count", ["location_id", "id"], unique=False)
    op.create_table(
        "stock_import_line",
        sa.Column("import_id", sa.UUID(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["stock_import.id"], name=op.f("fk_stock_import_line_import_id")),
        sa.PrimaryKeyConstraint("import_id", "line", name=op.f("pk_stock_import_line")),
    )
    op.create_table(
        "transfer",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("from_location_id", sa.UUID(), nullable=False),
        sa.Column("to_location_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("cancel_choice", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("shipped_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("closed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('received', 'cancelled')) = (closed_at IS NOT NULL)", name=op.f("ck_transfer_closed")
        ),
        sa.CheckConstraint("cancel_choice IN ('return', 'shrink')", name=op.f("ck_transfer_cancel_choice")),
        sa.CheckConstraint(
            "state IN ('draft', 'ready', 'in_transit', 'partly_received', 'received', 'cancelled')",
            name=op.f("ck_transfer_state"),
        ),
        sa.CheckConstraint("from_location_id <> to_location_id", name=op.f("ck_transfer_elsewhere")),
        sa.ForeignKeyConstraint(["from_location_id"], ["location.id"], name=op.f("fk_transfer_from_location_id")),
        sa.ForeignKeyConstraint(["to_location_id"], ["location.id"], name=op.f("fk_transfer_to_location_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer")),
        sa.UniqueConstraint("reference", name=op.f("uq_transfer_reference")),
    )
    op.create_index("ix_transfer_from_location_id", "transfer", ["from_location_id", "id"], unique=False)
    op.create_index("ix_transfer_to_location_id", "transfer", ["to_location_id", "id"], unique=False)
    op.create_table(
        "barcode",
        sa.Column("gtin", sa.Text(), nullable=False),
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("gtin ~ '^[0-9]{14}$'", name=op.f("ck_barcode_gtin")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_barcode_variant_id")),
        sa.PrimaryKeyConstraint("gtin", name=op.f("pk_barcode")),
    )
    op.create_index(op.f("ix_barcode_variant_id"), "barcode", ["variant_id"], unique=False)
    op.create_table(
        "bundle_component",
        sa.Column("bundle_id", sa.UUID(), nullable=False),
        sa.Column("component_id", sa.UUID(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("bundle_id <> component_id", name=op.f("ck_bundle_component_itself")),
        sa.CheckConstraint("quantity BETWEEN 1 AND 999", name=op.f("ck_bundle_component_quantity")),
        sa.ForeignKeyConstraint(["bundle_id"], ["variant.id"], name=op.f("fk_bundle_component_bundle_id")),
        sa.ForeignKeyConstraint(["component_id"], ["variant.id"], name=op.f("fk_bundle_component_component_id")),
        sa.PrimaryKeyConstraint("bundle_id", "component_id", name=op.f("pk_bundle_component")),
    )
    op.create_index(op.f("ix_bundle_component_component_id"), "bundle_component", ["component_id"], unique=False)
    op.create_table(
        "inbound_line",
        sa.Column("shipment_id", sa.UUID(), nullable=False),
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("expected", sa.Integer(), nullable=False),
        sa.Column("received", sa.Integer(), server_default="0", nullable=False),
        sa.Column("damaged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("closed", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "outstanding",
            sa.Integer(),
            sa.Computed("CASE WHEN closed THEN 0 ELSE greatest(expected - received, 0) END", persisted=True),
            nullable=False,
        ),
        sa.CheckConstraint("damaged >= 0 AND received >= damaged", name=op.f("ck_inbound_line_received")),
        sa.CheckConstraint("expected >= 0", name=op.f("ck_inbound_line_expected")),
        sa.ForeignKeyConstraint(["shipment_id"], ["inbound_shipment.id"], name=op.f("fk_inbound_line_shipment_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_inbound_line_variant_id")),
        sa.PrimaryKeyConstraint("shipment_id", "variant_id", name=op.f("pk_inbound_line")),
    )
    op.create_index(
        "ix_inbound_line_outstanding",
        "inbound_line",
        ["variant_id"],
        unique=False,
        postgresql_where=sa.text("outstanding > 0"),
    )
    op.create_table(
        "stock_count_line",
        sa.Column("count_id", sa.UUID(), nullable=False),
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("counted", sa.Integer(), nullable=True),
        sa.Column("expected", sa.Integer(), nullable=True),
        sa.Column("counted_by", sa.Text(), nullable=True),
        sa.Column("counted_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("recounted", sa.Integer(), nullable=True),
        sa.Column("recount_expected", sa.Integer(), nullable=True),
        sa.Column("recounted_by", sa.Text(), nullable=True),
        sa.Column("recounted_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("difference", sa.Integer(), nullable=True),
        sa.Column("settled_by", sa.Text(), nullable=True),
        sa.Column("settled_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('applied', 'rejected')) = (settled_at IS NOT NULL)", name=op.f("ck_stock_count_line_settled")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'recount', 'approval', 'applied', 'rejected')", name=op.f("ck_stock_count_line_state")
        ),
        sa.CheckConstraint("counted >= 0 AND recounted >= 0", name=op.f("ck_stock_count_line_counted")),
        sa.ForeignKeyConstraint(["count_id"], ["stock_count.id"], name=op.f("fk_stock_count_line_count_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_stock_count_line_variant_id")),
        sa.PrimaryKeyConstraint("count_id", "variant_id", name=op.f("pk_stock_count_line")),
    )
    op.create_index(
        "ix_stock_count_line_open",
        "stock_count_line",
        ["variant_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('open', 'recount', 'approval')"),
    )
    op.create_table(
        "stock_rule",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("location_id", sa.UUID(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("variant_id", sa.UUID(), nullable=True),
        sa.Column("channel_code", sa.Text(), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column(
            "specificity",
            sa.Integer(),
            sa.Computed(
                "CASE WHEN variant_id IS NULL THEN 0 ELSE 4 END + CASE WHEN category IS NULL THEN 0 ELSE 2 END + CASE WHEN location_id IS NULL THEN 0 ELSE 1 END",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("applied_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("retired_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("category IS NULL OR variant_id IS NULL", name=op.f("ck_stock_rule_scope")),
        sa.CheckConstraint("quantity >= 0", name=op.f("ck_stock_rule_quantity")),
        sa.ForeignKeyConstraint(["channel_code"], ["channel.code"], name=op.f("fk_stock_rule_channel_code")),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_stock_rule_location_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_stock_rule_variant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_rule")),
    )
    op.create_index(
        "uq_stock_rule_scope",
        "stock_rule",
        ["channel_code", "variant_id", "category", "location_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "supply_policy",
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("releases_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("lead_days", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("lead_days BETWEEN 0 AND 730", name=op.f("ck_supply_policy_lead_days")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_supply_policy_variant_id")),
        sa.PrimaryKeyConstraint("variant_id", name=op.f("pk_supply_policy")),
    )
    op.create_table(
        "transfer_line",
        sa.Column("transfer_id", sa.UUID(), nullable=False),
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("requested", sa.Integer(), nullable=False),
        sa.Column("shipped", sa.Integer(), server_default="0", nullable=False),
        sa.Column("received", sa.Integer(), server_default="0", nullable=False),
        sa.Column("damaged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("returned", sa.Integer(), server_default="0", nullable=False),
        sa.Column("shrunk", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "outstanding",
            sa.Integer(),
            sa.Computed("shipped - received - returned - shrunk", persisted=True),
            nullable=False,
        ),
        sa.CheckConstraint("damaged >= 0 AND received >= damaged", name=op.f("ck_transfer_line_received")),
        sa.CheckConstraint("received + returned + shrunk <= shipped", name=op.f("ck_transfer_line_conserved")),
        sa.CheckConstraint("requested > 0", name=op.f("ck_transfer_line_requested")),
        sa.CheckConstraint("returned >= 0 AND shrunk >= 0", name=op.f("ck_transfer_line_given_up")),
        sa.CheckConstraint("shipped BETWEEN 0 AND requested", name=op.f("ck_transfer_line_shipped")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_transfer_line_transfer_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_transfer_line_variant_id")),
        sa.PrimaryKeyConstraint("transfer_id", "variant_id", name=op.f("pk_transfer_line")),
    )
    op.create_index(
        "ix_transfer_line_outstanding",
        "transfer_line",
        ["variant_id"],
        unique=False,
        postgresql_where=sa.text("outstanding > 0"),
    )
    op.add_column("reservation", sa.Column("backordered", sa.Integer(), server_default="0", nullable=False))
    op.add_column("reservation", sa.Column("promised_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.create_index(
        "ix_reservation_promised",
        "reservation",
        ["variant_id", "location_id", "created_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('allocated', 'short')"),
    )
    op.create_index(
        "ix_reservation_waiting",
        "reservation",
        ["variant_id", "location_id"],
        unique=False,
        postgresql_where=sa.text("state = 'short' OR backordered > 0"),
    )
    op.add_column("stock_level", sa.Column("backordered", sa.Integer(), server_default="0", nullable=False))
    op.add_column("stock_level", sa.Column("safety_by_hand", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("stock_level", sa.Column("low_stock_threshold", sa.Integer(), nullable=True))
    op.add_column("stock_level", sa.Column("shelf", sa.Text(), nullable=True))
    op.add_column("stock_level", sa.Column("source_versions", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_index(
        "ix_stock_level_shelf",
        "stock_level",
        ["location_id", "shelf"],
        unique=False,
        postgresql_where=sa.text("shelf IS NOT NULL"),
    )
    op.add_column(
        "stock_movement",
        sa.Column(
            "xid", sa.BigInteger(), server_default=sa.text("(pg_current_xact_id()::text)::bigint"), nullable=False
        ),
    )
    # The order of the feed is the order of the key. Rows of before share one transaction number: this one's.
    op.drop_constraint("pk_stock_movement", "stock_movement", type_="primary")
    op.create_primary_key("pk_stock_movement", "stock_movement", ["xid", "seq"])
    _buckets(
        NEW_BUCKETS, "CASE WHEN cause = 'limits' THEN quantity = 0 ELSE from_bucket <> to_bucket AND quantity > 0 END"
    )
    op.execute("UPDATE stock_level SET safety_by_hand = true WHERE safety > 0")
    op.execute(BACKORDERS)
    op.create_check_constraint("backordered", "stock_level", "backordered BETWEEN 0 AND allocated")
    op.create_check_constraint("here", "stock_level", "allocated - backordered + unavailable <= on_hand")
    op.create_check_constraint("low_stock_threshold", "stock_level", "low_stock_threshold >= 0")
    op.create_check_constraint("backordered", "reservation", "backordered BETWEEN 0 AND quantity")
    op.create_check_constraint("waiting", "reservation", "backordered = 0 OR state = 'allocated'")


def _buckets(names: str, moved: str) -> None:
    for name, rule in (
        ("from_bucket", f"from_bucket IN {names}"),
        ("to_bucket", f"to_bucket IN {names}"),
        ("moved", moved),
    ):
        op.drop_constraint(op.f(f"ck_stock_movement_{name}"), "stock_movement", type_="check")
        op.create_check_constraint(name, "stock_movement", rule)


def downgrade() -> None:
    # Fails, and changes nothing, once there are rows that only the new rules allow.
    _buckets(OLD_BUCKETS, "from_bucket <> to_bucket AND quantity > 0")
    op.drop_constraint("pk_stock_movement", "stock_movement", type_="primary")
    op.create_primary_key("pk_stock_movement", "stock_movement", ["seq"])
    for name in ("backordered", "waiting"):
        op.drop_constraint(op.f(f"ck_reservation_{name}"), "reservation", type_="check")
    for name in ("backordered", "here", "low_stock_threshold"):
        op.drop_constraint(op.f(f"ck_stock_level_{name}"), "stock_level", type_="check")
    op.drop_column("stock_movement", "xid")
    op.drop_index("ix_stock_level_shelf", table_name="stock_level", postgresql_where=sa.text("shelf IS NOT NULL"))
    op.drop_column("stock_level", "source_versions")
    op.drop_column("stock_level", "shelf")
    op.drop_column("stock_level", "low_stock_threshold")
    op.drop_column("stock_level", "safety_by_hand")
    op.drop_column("stock_level", "backordered")
    op.drop_index(
        "ix_reservation_waiting",
        table_name="reservation",
        postgresql_where=sa.text("state = 'short' OR backordered > 0"),
    )
    op.drop_index(
        "ix_reservation_promised", table_name="reservation", postgresql_where=sa.text("state IN ('allocated', 'short')")
    )
    op.drop_column("reservation", "promised_at")
    op.drop_column("reservation", "backordered")
    op.drop_index(
        "ix_transfer_line_outstanding", table_name="transfer_line", postgresql_where=sa.text("outstanding > 0")
    )
    op.drop_table("transfer_line")
    op.drop_table("supply_policy")
    op.drop_index(
        "uq_stock_rule_scope",
        table_name="stock_rule",
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.drop_table("stock_rule")
    op.drop_index(
        "ix_stock_count_line_open",
        table_name="stock_count_line",
        postgresql_where=sa.text("state IN ('open', 'recount', 'approval')"),
    )
    op.drop_table("stock_count_line")
    op.drop_index("ix_inbound_line_outstanding", table_name="inbound_line", postgresql_where=sa.text("outstanding > 0"))
    op.drop_table("inbound_line")
    op.drop_index(op.f("ix_bundle_component_component_id"), table_name="bundle_component")
    op.drop_table("bundle_component")
    op.drop_index(op.f("ix_barcode_variant_id"), table_name="barcode")
    op.drop_table("barcode")
    op.drop_index("ix_transfer_to_location_id", table_name="transfer")
    op.drop_index("ix_transfer_from_location_id", table_name="transfer")
    op.drop_table("transfer")
    op.drop_table("stock_import_line")
    op.drop_index("ix_stock_count_location_id", table_name="stock_count")
    op.drop_table("stock_count")
    op.drop_index("ix_inbound_shipment_location_id", table_name="inbound_shipment")
    op.drop_table("inbound_shipment")
    op.drop_index("ix_stock_import_actor", table_name="stock_import")
    op.drop_table("stock_import")
    op.drop_table("stock_feed")
