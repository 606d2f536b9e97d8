"""What people decide and what the engine decides: unknown jobs, halts, canaries, a record of both.

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("worker_id", sa.Integer(), nullable=True),
        sa.Column("batch_id", sa.Integer(), nullable=True),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["worker_id"], ["workers.id"], name="fk_events_worker_id_workers"),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_events_batch_id_batches"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_events_job_id_jobs"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_job_id", "events", ["job_id"])
    op.create_index("ix_events_kind", "events", ["kind", "id"])
    op.add_column("batches", sa.Column("halted_at", sa.Float(), nullable=True))
    op.add_column("batches", sa.Column("halt_reason", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("forgiven", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("canary_passed_at", sa.Float(), nullable=True))
    op.add_column(
        "batches",
        sa.Column("possible_duplicates", sa.Integer(), server_default="0", nullable=False),
    )
    op.add_column("jobs", sa.Column("resubmits", sa.Integer(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("canary", sa.Boolean(), server_default="0", nullable=False))
    op.create_index(
        "ix_jobs_canary",
        "jobs",
        ["batch_id"],
        sqlite_where=sa.text("canary"),
        postgresql_where=sa.text("canary"),
    )
    op.create_index("ix_attempts_intent_at", "attempts", ["intent_at"])
