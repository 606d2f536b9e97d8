"""Local files that jobs send along: where they are, and where they were uploaded.

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("assets", sa.Text(), nullable=False, server_default="{}"))
    op.create_table(
        "assets",
        sa.Column("name", sa.String(96), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("content_type", sa.String(64), nullable=False),
        sa.Column("store_key", sa.Text(), nullable=True),
        sa.Column("uploaded_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_assets"),
    )
