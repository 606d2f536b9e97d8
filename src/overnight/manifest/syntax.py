"""YAML's syntax errors, told to people who write prompts.

Most of them come from a prompt that needed quotes, so that is what the hints look for.
"""

from __future__ import annotations

import yaml
from yaml.reader import ReaderError

from overnight.manifest.problems import Problem

_QUOTE = "put quotes around the whole text"
_MEANINGS: tuple[tuple[str, str, str | None], ...] = (
    (
        "mapping values are not allowed",
        'a second ": " on this line',
        f"{_QUOTE} if the colon is part of it",
    ),
    (
        "found character '\\t'",
        "a tab can't be used to indent",
        "indent with spaces",
    ),
    (
        "found character",
        "a plain text can't begin with this character",
        _QUOTE,
    ),
    ("undefined alias", "there is no anchor of this name", f"{_QUOTE} if the * is part of it"),
    ("found duplicate anchor", "this anchor is already defined", "give each anchor its own name"),
    ("but found another document", "a manifest is one YAML document", "remove the second ---"),
    ("unexpected end of stream", "the file ends inside quotes", "close the quotes that open here"),
    (
        "could not find expected ':'",
        "this line is neither a key with a colon nor part of the text above",
        "write key: value, or indent the line under the text it continues",
    ),
    (
        "expected ',' or",
        "a list in [ ] or a mapping in { } is not closed, or a comma is missing",
        f"{_QUOTE} if the bracket or brace is part of it",
    ),
    (
        "expected alphabetic or numeric",
        "a name must follow & and *",
        f"{_QUOTE} if the sign is part of it",
    ),
    ("unknown escape", "a backslash means something in double quotes", "write \\\\ or use ' '"),
    (
        "expected <block end>",
        "this does not fit what stands before it",
        "line it up with its neighbours; quote a text that begins with a quote, {, [, & or *",
    ),
)
"""Part of PyYAML's wording, our message, and the hint."""


def explain(error: yaml.MarkedYAMLError, file: str) -> Problem:
    """A syntax error as a problem, at the place where the text stops making sense."""
    wording = error.problem or "this can't be read"
    mark = error.problem_mark or error.context_mark
    if "unexpected end of stream" in wording and error.context_mark is not None:
        mark = error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    for part, message, hint in _MEANINGS:
        if part in f"{wording} {error.context or ''}":
            return Problem(file, line, column, message, hint)
    return Problem(file, line, column, f"this is not YAML: {wording}", None)


def unreadable(error: ReaderError, text: str, file: str) -> Problem:
    """A character that YAML does not allow anywhere."""
    before = text[: error.position]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    code = ord(text[error.position])
    message = f"the character U+{code:04X} can't stand in a YAML file"
    escape = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return Problem(file, line, column, message, f"in double quotes it can be written as {escape}")
