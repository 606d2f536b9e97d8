"""Bringing a database to the newest schema, from a checkout or from an installed copy."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from overnight.store.database import Database, revision_of
from overnight.store.errors import DatabaseTooNew
from overnight.store.tables import SCHEMA_HEAD


def location() -> Path:
    """The migration scripts: inside the package when installed, else the checkout's own."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_alembic"
    return shipped if shipped.is_dir() else package.parents[1] / "alembic"


def head() -> str:
    """Alembic's own newest revision."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring ``database`` to the newest schema, in one transaction; from and to are returned.

    Raises :class:`~overnight.store.errors.DatabaseTooNew` for a schema that this program does
    not know.
    """
    before = revision_of(database)
    if before is not None and before > SCHEMA_HEAD:
        raise DatabaseTooNew(
            f"{database} was written by a newer overnight (schema {before}; this one knows "
            f"{SCHEMA_HEAD}). Upgrade overnight: pip install --upgrade overnight."
        )
    config = _config()
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, SCHEMA_HEAD


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(location()).replace("%", "%%"))
    return config
