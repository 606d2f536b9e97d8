"""JSON Lines as rows: one object on each line, UTF-8, blank lines skipped.

The columns are all names that any line uses, so the file is read once before its rows are. A name
twice in one object, NaN and numbers without end are problems with their line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from overnight.manifest.rows import MOST_COLUMNS, Row, RowProblem, Told, check_heading, unreadable

LONGEST_LINE = 8 * 1024 * 1024
"""Bytes of one line."""
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class JsonTable:
    """A file of JSON objects, one on each line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns: tuple[str, ...] | None = None

    def columns(self) -> tuple[str, ...]:
        """Every name, in the order of its first use. Lines that can't be read count for nothing
        here; :meth:`rows` tells of them. Raises :class:`RowProblem`."""
        if self._columns is None:
            found: dict[str, None] = {}
            for row in self.rows(lambda problem: None):
                if row.values.keys() - found.keys():
                    found.update(dict.fromkeys(row.values))
                    if len(found) > MOST_COLUMNS:
                        break
            self._columns = check_heading(found)
        return self._columns

    def rows(self, told: Told) -> Iterator[Row]:
        """Every object; its names are the row's values."""
        number = 0
        for line, content in self._lines():
            text = content.strip()
            if not text:
                continue
            number += 1
            try:
                yield Row(number, line, _object(text))
            except _BadLine as bad:
                hint = _array_hint(text) if number == 1 else None
                told(RowProblem(str(bad), hint or bad.hint, line=line, row=number))
                if hint:
                    return

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self.path.open("rb") as file:
                line = 0
                while content := file.readline(LONGEST_LINE + 1):
                    line += 1
                    if line == 1 and content.startswith(_UTF16):
                        raise RowProblem("the file is UTF-16", "save it as UTF-8")
                    if len(content) > LONGEST_LINE:
                        message = f"the line has more than {LONGEST_LINE:,} bytes"
                        raise RowProblem(message, line=line)
                    yield line, content.removeprefix(_BOM) if line == 1 else content
        except OSError as error:
            raise unreadable(error) from None


class _BadLine(Exception):
    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def _object(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise _BadLine("the line is not UTF-8", "save the file as UTF-8") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _BadLine(f"the line is no JSON: {_spoken(error)}") from None
    except RecursionError:
        raise _BadLine("the line's JSON is nested too deeply") from None
    except ValueError:
        raise _BadLine("the line has a number with too many digits") from None
    if not isinstance(value, dict):
        raise _BadLine("the line is no JSON object", 'write {"prompt": "…"} on each line')
    if "\\ud" in text.lower():
        _check_unicode(value)
    return value


def _spoken(error: json.JSONDecodeError) -> str:
    return f"{error.msg[:1].lower()}{error.msg[1:]} at character {error.pos + 1}"


def _check_unicode(value: dict[str, Any]) -> None:
    """Half a character, which JSON can spell and no text can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _BadLine("the line has half a character (a lone surrogate) in it") from None


def _array_hint(text: bytes) -> str | None:
    if text.startswith(b"["):
        return "the file is one JSON list; write each object on a line of its own, without [ and ,"
    if text == b"{":
        return "write each object on one line"
    return None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise _BadLine(f'"{twice}" is in the line twice')
    if "" in found:
        raise _BadLine("a name in the line is empty")
    return found


def _constant(word: str) -> NoReturn:
    raise _BadLine(f"the line has {word} in it, which is no number", "leave the value out")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _BadLine(f"the number {text[:40]} is too large")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float)
