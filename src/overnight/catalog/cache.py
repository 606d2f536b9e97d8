"""What was fetched from a provider's catalogue, kept on this disk and used without a network.

One JSON file a model, under a folder for each catalogue's address, so that an emulator's prices
are never taken for the provider's. A file that is damaged, or of a later version of this program,
is as good as none: it is fetched again. A schema that is replaced by another one is kept under its
digest, so that people can be told what changed since they loaded a batch.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from overnight.catalog.entry import Entry, Origin, as_catalogue_json, read_entry
from overnight.catalog.model import schema_digest
from overnight.catalog.schema import SchemaError

CACHE_VARIABLE = "OVERNIGHT_CACHE_DIR"
"""Names another folder for everything that can be fetched again."""

_FORMAT = 1
_LONGEST_NAME = 200
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DAMAGED = (OSError, ValueError, RecursionError, SchemaError)


def cache_folder(environ: Mapping[str, str], base: str) -> Path:
    """Where the catalogue at the address ``base`` is kept; the folder need not exist."""
    if own := environ.get(CACHE_VARIABLE, "").strip():
        root = Path(own).expanduser()
    else:
        import platformdirs  # on first use: most commands have nothing to do with it

        root = platformdirs.user_cache_path("overnight")
    return root / "catalogue" / quote(base.partition("://")[2] or base, safe="")


class Cached:
    """The catalogue that is kept in ``folder``; a :class:`~overnight.catalog.lookup.Source`."""

    def __init__(self, folder: Path) -> None:
        self._models = folder / "models"
        self._schemas = folder / "schemas"

    def model_ids(self) -> Sequence[str]:
        try:
            names = sorted(entry.name for entry in self._models.iterdir())
        except OSError:
            return []
        return [unquote(n.removesuffix(".json")) for n in names if n.endswith(".json")]

    def entry(self, model_id: str) -> Entry | None:
        file = self._file(model_id)
        if file is None:
            return None
        try:
            kept = json.loads(file.read_bytes())
            return _read(kept, model_id)
        except _DAMAGED:
            return None

    def keep(self, entries: Iterable[Entry], now: float) -> int:
        """Keep what a catalogue said at the Unix time ``now``; returns how many entries that was.

        An entry whose id is too long for a file's name is left out. Raises :class:`OSError` when
        the folder can't be written; every file is whole even then.
        """
        self._models.mkdir(parents=True, exist_ok=True)
        moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
        number = 0
        for entry in entries:
            file = self._file(entry.model_id)
            if file is not None:
                self._keep_replaced_schema(entry)
                model = as_catalogue_json(entry)
                kept = {"format": _FORMAT, "at": moment, "from": entry.place, "model": model}
                _write(file, kept)
                number += 1
        return number

    def schema(self, digest: str) -> Mapping[str, Any] | None:
        """An input schema that was here before, by its digest; None when it was not, or is
        damaged."""
        if not _DIGEST.fullmatch(digest):
            return None
        try:
            found = json.loads((self._schemas / f"{digest}.json").read_bytes())
        except _DAMAGED:
            return None
        whole = isinstance(found, dict) and schema_digest(found) == digest
        return found if whole else None

    def _keep_replaced_schema(self, entry: Entry) -> None:
        before = self.entry(entry.model_id)
        if before is None or before.input_schema is None:
            return
        digest = schema_digest(before.input_schema)
        if entry.input_schema is None or schema_digest(entry.input_schema) != digest:
            self._schemas.mkdir(parents=True, exist_ok=True)
            _write(self._schemas / f"{digest}.json", before.input_schema)

    def _file(self, model_id: str) -> Path | None:
        name = f"{quote(model_id, safe='')}.json"
        return self._models / name if len(name) <= _LONGEST_NAME else None


def _read(kept: Any, model_id: str) -> Entry:
    """The entry in a file. Raises what :data:`_DAMAGED` names when it is not one."""
    if not isinstance(kept, dict) or kept.get("format") != _FORMAT:
        raise ValueError("not a kept entry")
    date = datetime.fromisoformat(str(kept.get("at", ""))).date().isoformat()
    place = kept.get("from")
    entry = read_entry(
        kept.get("model"),
        origin=Origin.FETCHED,
        as_of=date,
        place=place if isinstance(place, str) else "",
    )
    if entry.model_id != model_id:  # two ids that differ in case, on a disk that sees no case
        raise ValueError("another model's entry")
    return entry


def _write(file: Path, content: Mapping[str, Any]) -> None:
    """Put a file there whole, or not at all."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as part:
            json.dump(content, part, ensure_ascii=True)
        Path(name).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
