"""What a look at a file's content said, and finding a file's record by its path.

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("suspect", sa.Text(), nullable=True))
    op.add_column("artifacts", sa.Column("probe", sa.Text(), nullable=True))
    op.create_index(
        "ix_artifacts_suspect",
        "artifacts",
        ["job_id"],
        sqlite_where=sa.text("suspect IS NOT NULL"),
        postgresql_where=sa.text("suspect IS NOT NULL"),
    )
    op.create_index(
        "ix_artifacts_path",
        "artifacts",
        ["path"],
        sqlite_where=sa.text("path IS NOT NULL"),
        postgresql_where=sa.text("path IS NOT NULL"),
    )
