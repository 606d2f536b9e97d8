"""A manifest's text as plain values, read by YAML 1.2 rules, with the place of each.

PyYAML's scanner and composer do the syntax; what a plain word means is decided here, by the core
schema of YAML 1.2: ``16:9``, ``no`` and ``2024-01-01`` are text, ``012`` is twelve, ``0o14`` is
twelve too, ``1e-3`` is a number and ``1_000`` is not. Equal keys are an error. So are ``<<`` merge
keys, which YAML 1.2 does not have: read as a plain key, they would quietly do nothing.

The reader's limits are :data:`MAX_BYTES`, :data:`MAX_VALUES` and :data:`MAX_DEPTH`; values are
counted with every ``*alias`` written out, so a small file can't unfold into a huge one.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from overnight.manifest import syntax
from overnight.manifest.problems import ManifestError, Problem

MAX_BYTES = 4 * 1024 * 1024
"""The largest manifest, in bytes. Larger sets belong into several files."""
MAX_VALUES = 250_000
"""The most keys and values in a manifest, aliases written out."""
MAX_DEPTH = 32
"""How deep lists and mappings may be nested."""
_MAX_DIGITS = 100
"""Characters of the longest number."""

Trail = tuple[str | int, ...]
"""The way to a value from the top: keys and list positions, ``("jobs", 0, "matrix", "seed")``."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where something stands: offsets in characters (``end`` is past it); line, column from 1."""

    start: int
    end: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """What a manifest says. ``keys`` and ``values`` lead from a trail to its place; a value reached
    through an ``*alias`` stands where its anchor does."""

    file: str
    text: str
    data: Any
    keys: Mapping[Trail, Span]
    values: Mapping[Trail, Span]

    def problem(self, span: Span, message: str, hint: str | None = None) -> Problem:
        """A problem at a place of this document."""
        return Problem(self.file, span.line, span.column, message, hint, self._width(span))

    def find(self, span: Span, pattern: re.Pattern[str]) -> Span:
        """The first match of ``pattern`` (its first group, if it has one) inside a value's own
        text; the value itself where there is none."""
        match = pattern.search(self.text, span.start, span.end)
        if match is None:
            return span
        group = 1 if pattern.groups else 0
        start = match.start(group)
        before = self.text[span.start : start]
        breaks = before.count("\n")
        column = start - (span.start + before.rfind("\n")) if breaks else span.column + len(before)
        return Span(start, match.end(group), span.line + breaks, column)

    def _width(self, span: Span) -> int:
        first_line = re.split(r"[\r\n]", self.text[span.start : span.end], maxsplit=1)[0]
        return max(1, len(first_line.rstrip()))


def read(content: bytes, file: str) -> Document:
    """Read a manifest's bytes. Raises :class:`ManifestError`."""
    text = decode(content, file)
    try:
        root = _Loader(text, file).get_single_node()
    except _TooDeep as error:
        place = (file, error.line, error.column)
        raise ManifestError([Problem(*place, str(error))], text) from None
    except ReaderError as error:
        raise ManifestError([syntax.unreadable(error, text, file)], text) from None
    except yaml.MarkedYAMLError as error:
        raise ManifestError([syntax.explain(error, file)], text) from None
    if root is None:
        raise ManifestError([Problem(file, 0, 0, "the file is empty", "begin it with version: 1")])
    builder = _Builder(file)
    try:
        data = builder.build(root, ())
    except _TooManyValues:
        message = f"the file unfolds into more than {MAX_VALUES:,} values"
        hint = "an alias (*name) repeats everything its anchor holds; write less, or several files"
        raise ManifestError([*builder.problems, Problem(file, 0, 0, message, hint)], text) from None
    if builder.problems:
        raise ManifestError(builder.problems, text)
    return Document(file, text, data, builder.keys, builder.values)


def decode(content: bytes, file: str) -> str:
    """The text of a manifest; a byte order mark is dropped. Raises :class:`ManifestError`."""
    if len(content) > MAX_BYTES:
        message = f"the file has more than {MAX_BYTES:,} bytes, the most a manifest may have"
        raise ManifestError([Problem(file, 0, 0, message, "split it into several files")])
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        hint = "save it as UTF-8 in your editor"
        raise ManifestError([Problem(file, 0, 0, "the file is UTF-16, not UTF-8", hint)])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"the file is not UTF-8: the byte {content[error.start]:#04x} fits nowhere here"
        hint = "save it as UTF-8 in your editor"
        raise ManifestError([Problem(file, line, column, message, hint)]) from None


class _TooDeep(Exception):
    """Nested past :data:`MAX_DEPTH`, at a place."""

    def __init__(self, line: int, column: int) -> None:
        super().__init__(f"this is nested more than {MAX_DEPTH} levels deep")
        self.line, self.column = line, column


class _Plain(BaseResolver):
    """Gives no meaning to plain words: :class:`_Builder` does, with the core schema."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return "plain" if implicit[0] else _STR
        return _MAP if kind is MappingNode else _SEQ

    def descend_resolver(self, current_node: Node | None, current_index: Any) -> None:
        return

    def ascend_resolver(self) -> None:
        return


class _Loader(Reader, Scanner, Parser, Composer, _Plain):
    """PyYAML's pure-Python loader up to the node graph, with a limit to its depth.

    The C parser is not used: its messages, and what it does with tabs, differ from this one's.
    """

    def __init__(self, text: str, file: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.name = file
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH and parent is not None:
            raise _TooDeep(parent.start_mark.line + 1, parent.start_mark.column + 1)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_STR = "tag:yaml.org,2002:str"
_MAP = "tag:yaml.org,2002:map"
_SEQ = "tag:yaml.org,2002:seq"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_BOOL = "tag:yaml.org,2002:bool"
_NULL = "tag:yaml.org,2002:null"

_CORE = (
    (_NULL, re.compile(r"null|Null|NULL|~|")),
    (_BOOL, re.compile(r"true|True|TRUE|false|False|FALSE")),
    (_INT, re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")),
    (
        _FLOAT,
        re.compile(
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
            r"|[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN"
        ),
    ),
)
"""The core schema of YAML 1.2 (its chapter 10.3.2), in its order; anything else is text."""


def scalar(text: str, tag: str = "plain") -> Any:
    """What a scalar's text means: a plain word by the core schema, a tagged one by its tag.

    Raises ValueError, with a sentence, when the text does not fit.
    """
    if tag == _STR:
        return joined_surrogates(text)
    if tag == "plain":
        tag = next((name for name, rule in _CORE if rule.fullmatch(text)), _STR)
    elif not any(rule.fullmatch(text) for name, rule in _CORE if name == tag):
        raise ValueError(f'"{text}" does not fit its tag !!{tag.rsplit(":", 1)[-1]}')
    if tag in (_INT, _FLOAT):
        return _number(text, tag)
    if tag == _BOOL:
        return text.lower() == "true"
    return None if tag == _NULL else text


def _number(text: str, tag: str) -> int | float:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"this number has more than {_MAX_DIGITS} digits; quote it if it is text")
    if tag == _FLOAT:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base)


def joined_surrogates(text: str) -> str:
    """Text whose characters beyond U+FFFF were written as two escapes, as JSON does, with each
    pair made one. Raises ValueError for half a pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ValueError(
                "this text has half of a surrogate pair (\\ud800 to \\udfff)"
            ) from None
    return text


class _TooManyValues(Exception):
    """The document unfolds past :data:`MAX_VALUES`."""


class _Builder:
    """Turns the node graph into values, and notes every place and problem on the way."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self.keys: dict[Trail, Span] = {}
        self.values: dict[Trail, Span] = {}
        self._file = file
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: Node, trail: Trail) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _TooManyValues
        self.values[trail] = _span(node)
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            self._tell(node, "this alias stands inside what it repeats")
            return None
        if node.tag not in (_MAP, _SEQ):
            self._tell(node, *_unknown_tag(node.tag))
        self._open.add(id(node))
        if isinstance(node, MappingNode):
            value: Any = self._mapping(node, trail)
        else:
            value = [self.build(item, (*trail, i)) for i, item in enumerate(node.value)]
        self._open.discard(id(node))
        return value

    def _mapping(self, node: MappingNode, trail: Trail) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            here = (*trail, key)
            if key in found:
                first = self.keys[here]
                place = f"line {first.line}, column {first.column}"
                self._tell(key_node, f'"{key}" is here twice; the first is at {place}')
                continue
            self.keys[here] = _span(key_node)
            found[key] = self.build(value_node, here)
        return found

    def _key(self, node: Node) -> str | None:
        if not isinstance(node, ScalarNode):
            hint = 'put quotes around a text that begins with {{ or {: "{{ subject }} at dusk"'
            self._tell(node, "a key must be a plain word, not a list or a mapping", hint)
            return None
        if node.tag == "plain" and node.value == "<<":
            hint = "write the keys out, or put what blocks share at the top level"
            self._tell(node, "<< merge keys are not part of YAML 1.2", hint)
            return None
        key = self._scalar(node)
        if isinstance(key, str):
            return key
        if key is not None or node.value:
            self._tell(node, f"a key must be text, and {node.value} is not", "put it in quotes")
        else:
            self._tell(node, "there is no key before the colon")
        return None

    def _scalar(self, node: ScalarNode) -> Any:
        if node.tag not in _SCALAR_TAGS:
            self._tell(node, *_unknown_tag(node.tag))
            return None
        try:
            return scalar(node.value, node.tag)
        except ValueError as error:
            self._tell(node, str(error))
            return None

    def _tell(self, node: Node, message: str, hint: str | None = None) -> None:
        span = _span(node)
        one_line = node.end_mark.line == node.start_mark.line
        width = max(1, span.end - span.start) if one_line else 1
        self.problems.append(Problem(self._file, span.line, span.column, message, hint, width))


_SCALAR_TAGS = frozenset({"plain", _STR, _INT, _FLOAT, _BOOL, _NULL})


def _unknown_tag(tag: str) -> tuple[str, str]:
    word = tag.replace("tag:yaml.org,2002:", "!!")
    return f"the tag {word} is not known here", "put quotes around a text that begins with !"


def _span(node: Node) -> Span:
    start, end = node.start_mark, node.end_mark
    return Span(start.index, end.index, start.line + 1, start.column + 1)
