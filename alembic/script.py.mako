"""${message}

Revision: ${up_revision}, after ${down_revision or "nothing"}
Revisions are numbered 0001, 0002, ... so that an old program can tell a newer database.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
