"""What a wider manifest says of its jobs, and what the calls of an attempt answered.

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("rank", sa.Integer(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("tags", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("repeat", sa.Integer(), server_default="1", nullable=False))
    op.add_column("jobs", sa.Column("file_name", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("price", sa.Float(), nullable=True))
    op.drop_index("ix_jobs_claimable", table_name="jobs")
    op.create_index(
        "ix_jobs_claimable",
        "jobs",
        ["batch_id", sa.text("priority DESC"), "rank", "id"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_index("ix_jobs_batch_state", table_name="jobs")
    op.create_index("ix_jobs_batch_state", "jobs", ["batch_id", "state", "id", "price"])
    for name in ("output", "draws", "schemas"):
        op.add_column("batches", sa.Column(name, sa.Text(), server_default="{}", nullable=False))
    op.add_column("attempts", sa.Column("submit_status", sa.Integer(), nullable=True))
    op.add_column("attempts", sa.Column("submit_seconds", sa.Float(), nullable=True))
    op.add_column("attempts", sa.Column("answered_at", sa.Float(), nullable=True))
    op.add_column("attempts", sa.Column("error_code", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("last_call", sa.String(length=8), nullable=True))
    op.add_column("attempts", sa.Column("last_status", sa.Integer(), nullable=True))
    for name in ("calls", "unanswered"):
        op.add_column("attempts", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
