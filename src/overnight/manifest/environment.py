"""``${env:NAME}`` in the settings of a manifest: what differs from machine to machine. Pure.

A reference is replaced by the variable's value wherever it stands in a text, at any depth of
mappings and lists; names of keys are left alone. ``$${env:NAME}`` is the text ``${env:NAME}``
itself. A variable that is not set, or set to nothing, is a problem: a folder's name that quietly
lost a part leads somewhere else.

What comes out is kept in the database and shown to people. So no message here has a variable's
value in it, and variables that are named like secrets can't be used at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from overnight.catalog import nearest

DEEPEST = 32
"""How deep lists and mappings may be nested."""

Trail = tuple[str | int, ...]
"""The way to a value from the top: keys and list positions."""

_REFERENCE = re.compile(r"(\$?)\$\{env:([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_SECRET = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|(?:API|ACCESS|PRIVATE|SECRET)_?KEY)S?(?:_|$)",
    re.IGNORECASE,
)


class EnvironmentProblem(Exception):
    """A reference that can't be filled in. The text is a sentence for people.

    ``trail`` leads to the text that has it; ``start`` and ``end`` are its place there, in
    characters from 0, ``end`` past it.
    """

    def __init__(self, message: str, hint: str, trail: Trail, start: int, end: int) -> None:
        super().__init__(message)
        self.hint = hint
        self.trail = trail
        self.start = start
        self.end = end


def fill(
    value: Any,
    environ: Mapping[str, str],
    *,
    read: Callable[[str], Any] | None = None,
) -> tuple[Any, tuple[EnvironmentProblem, ...]]:
    """The value with every reference replaced, and everything that was wrong with them.

    ``value`` is never changed. ``read`` makes a value of a text that is one reference and nothing
    else, so that ``concurrency: ${env:SLOTS}`` can be a number; without it, all stays text. A text
    with a problem comes back as it was.
    """
    filler = _Filler(environ, read)
    return filler.fill(value, ()), tuple(filler.problems)


class _Filler:
    def __init__(self, environ: Mapping[str, str], read: Callable[[str], Any] | None) -> None:
        self.problems: list[EnvironmentProblem] = []
        self._environ = environ
        self._read = read

    def fill(self, value: Any, trail: Trail) -> Any:
        if isinstance(value, str):
            return self._text(value, trail)
        if len(trail) >= DEEPEST:
            return value  # the reader of the manifest has refused such a thing already
        if isinstance(value, dict):
            return {key: self.fill(inner, (*trail, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner, (*trail, at)) for at, inner in enumerate(value)]
        return value

    def _text(self, text: str, trail: Trail) -> Any:
        found = list(_REFERENCE.finditer(text))
        if not found:
            return text
        replaced = [self._replacement(reference, trail) for reference in found]
        parts: list[str] = []
        end = 0
        for reference, replacement in zip(found, replaced, strict=True):
            if replacement is None:
                return text
            parts += (text[end : reference.start()], replacement)
            end = reference.end()
        filled = "".join(parts) + text[end:]
        alone = found[0][0] == text and not found[0][1]
        return self._read(filled) if alone and self._read is not None else filled

    def _replacement(self, reference: re.Match[str], trail: Trail) -> str | None:
        """What a reference stands for; None when that was a problem."""
        escaped, name, close = reference.groups()
        if escaped:
            return reference[0][1:]
        problem = _problem(name, close, self._environ)
        if problem is None:
            return self._environ[name]
        message, hint = problem
        self.problems.append(
            EnvironmentProblem(message, hint, trail, reference.start(), reference.end())
        )
        return None


def _problem(name: str, close: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    if not close:
        return "this reference is never closed", "write ${env:NAME}, with both braces"
    if not _NAME.fullmatch(name):
        hint = "write ${env:NAME}; a name has letters, digits and _"
        return "this is no name of an environment variable", hint
    if _SECRET.search(name):
        return (
            f"{name} is named like a secret, and settings are kept in the database and shown",
            "give the value a variable of another name if it is none",
        )
    if name not in environ:
        close_name = nearest(name, (known for known in environ if not _SECRET.search(known)))
        hint = f"did you mean {close_name}?" if close_name else f"set it first: export {name}=…"
        return f"the environment variable {name} is not set", hint
    return _unusable(name, environ[name])


def _unusable(name: str, value: str) -> tuple[str, str] | None:
    hint = f"give it another value: export {name}=…"
    if not value:
        return f"the environment variable {name} is empty", hint
    if any("\ud800" <= char <= "\udfff" for char in value):
        return f"the environment variable {name} is not UTF-8", hint
    return None
