"""Who issues invoices and receipts; what was supplied; the documents and their numbers.

Revision ID: 0012_documents
Revises: 0011_sourcing
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012_documents"
down_revision = "0011_sourcing"
branch_labels = None
depends_on = None
FIXED = ("supply", "supply_line", "document")


def upgrade() -> None:
    op.create_table(
        "issuer",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), server_default="", nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("phone", sa.Text(), server_default="", nullable=False),
        sa.Column("registration_number", sa.Text(), nullable=True),
        sa.Column("corporate", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("name <> ''", name=op.f("ck_issuer_named")),
        sa.CheckConstraint("registration_number ~ '^T[0-9]{13}$'", name=op.f("ck_issuer_registration_number")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_issuer")),
    )
    op.create_table(
        "supply",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("figures", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_supply_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supply")),
        sa.UniqueConstraint("order_id", "position", name=op.f("uq_supply_order_id_position")),
    )
    op.create_table(
        "supply_line",
        sa.Column("supply_id", sa.UUID(), nullable=False),
        sa.Column("order_line_id", sa.UUID(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_supply_line_quantity")),
        sa.ForeignKeyConstraint(["order_line_id"], ["order_line.id"], name=op.f("fk_supply_line_order_line_id")),
        sa.ForeignKeyConstraint(["supply_id"], ["supply.id"], name=op.f("fk_supply_line_supply_id")),
        sa.PrimaryKeyConstraint("supply_id", "order_line_id", name=op.f("pk_supply_line")),
    )
    op.create_index(op.f("ix_supply_line_order_line_id"), "supply_line", ["order_line_id"], unique=False)
    op.create_table(
        "document_counter",
        sa.Column("issuer_code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["issuer_code"], ["issuer.code"], name=op.f("fk_document_counter_issuer_code")),
        sa.PrimaryKeyConstraint("issuer_code", "kind", name=op.f("pk_document_counter")),
    )
    op.create_table(
        "document",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("issuer_code", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("supply_id", sa.UUID(), nullable=True),
        sa.Column("refund_id", sa.UUID(), nullable=True),
        sa.Column("return_id", sa.UUID(), nullable=True),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("issued_by", sa.Text(), nullable=False),
        sa.Column("issued_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("(kind = 'return') = (supply_id IS NULL)", name=op.f("ck_document_supply")),
        sa.CheckConstraint("kind IN ('receipt', 'invoice', 'return')", name=op.f("ck_document_kind")),
        sa.CheckConstraint("num_nonnulls(supply_id, refund_id, return_id) = 1", name=op.f("ck_document_subject")),
        sa.CheckConstraint("number > 0", name=op.f("ck_document_number")),
        sa.ForeignKeyConstraint(["issuer_code"], ["issuer.code"], name=op.f("fk_document_issuer_code")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_document_order_id")),
        sa.ForeignKeyConstraint(["refund_id"], ["refund.id"], name=op.f("fk_document_refund_id")),
        sa.ForeignKeyConstraint(["return_id"], ["return.id"], name=op.f("fk_document_return_id")),
        sa.ForeignKeyConstraint(["supply_id"], ["supply.id"], name=op.f("fk_document_supply_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document")),
        sa.UniqueConstraint("issuer_code", "kind", "number", name=op.f("uq_document_issuer_code_kind_number")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_document_refund_id")),
        sa.UniqueConstraint("return_id", name=op.f("uq_document_return_id")),
        sa.UniqueConstraint("supply_id", "kind", name=op.f("uq_document_supply_id_kind")),
    )
    op.create_index("ix_document_order_id", "document", ["order_id", "id"], unique=False)
    for table in FIXED:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit()"
        )


def downgrade() -> None:
    op.drop_index("ix_document_order_id", table_name="document")
    op.drop_table("document")
    op.drop_table("document_counter")
    op.drop_index(op.f("ix_supply_line_order_line_id"), table_name="supply_line")
    op.drop_table("supply_line")
    op.drop_table("supply")
    op.drop_table("issuer")
