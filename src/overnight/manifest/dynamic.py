r"""The prompt dialect of Stable Diffusion front ends, for inputs that opt into it.

- ``{red|blue}`` is one of the options; an option may be empty, or have options inside.
- ``{2$$a|b|c}`` is two of them, ``{1-2$$ and $$a|b|c}`` one or two with `` and `` between; without
  a separator it is a comma and a space. ``{2$$__colors__}`` takes two of a wildcard's values.
- ``{3::a|b}`` makes ``a`` three times as likely as ``b``, where a sample is drawn; without a
  sample, weights change nothing, because every variant is made.
- ``__colors__`` is one line of a file (:mod:`overnight.manifest.wildcards`), whose lines may use
  all of this themselves.

Everything else is text: ``100% cotton``, ``$5``, ``#1``, ``a|b`` outside braces. A backslash
before ``{ } | _ $ : #`` or another backslash makes that sign text; before anything else it is text
itself. Templates pass untouched, to be filled in afterwards: from ``{{`` to the next ``}}``, or
from ``{%`` to ``%}``, where no brace is between. Braces that don't match are a problem, never a
guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from overnight.manifest.variants import Choice, Fraction, Literal, Node, Series, Several
from overnight.manifest.wildcards import Value, WildcardProblem, Wildcards

LONGEST_SOURCE = 50_000
"""Characters of a prompt before it is taken apart."""
LONGEST_TEXT = 100_000
"""Characters that a variant may have."""
DEEPEST = 20
"""Braces in braces, and wildcards in wildcards."""
MOST_VARIANTS = 2**63 - 1
"""Variants of one prompt."""
MOST_TAKEN = 20
"""Options that ``{20$$…}`` may take."""
_MOST_WAYS = 250_000
_HEAVIEST = 1_000_000

_MARK = re.compile(
    r"\\(?P<escaped>[{}|\\_$:#])"
    r"|(?P<template>\{\{[^{}]*\}\}|\{%[^{}]*%\})"
    r"|(?P<variable>\$\{(?=[A-Za-z_]\w{0,99}\s{0,9}[=:}]))"
    r"|__(?P<wildcard>[^\W_][\w./*-]{0,199}?|\*[\w./*-]{0,199}?)__"
    r"|(?P<brace>[{}|])"
)
_HEAD = re.compile(r"\s{0,99}(?P<bound>[0-9]{0,6}(?:-[0-9]{0,6})?)\s{0,99}\$\$")
_SEPARATOR = re.compile(r"([^$|{}\\]{0,200})\$\$")
_BOUND = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_WEIGHT = re.compile(r"\s{0,99}([0-9]{1,9}(?:\.[0-9]{1,9})?)::")


class DynamicProblem(Exception):
    """A prompt that can't be taken apart. The text is a sentence for people.

    ``column`` counts characters from 1: of the prompt, or where ``file`` is given of that line of a
    wildcard file. None and 0 are the prompt or the file as a whole.
    """

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        column: int | None = None,
        file: Path | None = None,
        line: int = 0,
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.column = column
        self.file = file
        self.line = line


class Variants:
    """All variants of one prompt, by their places from 0. Equal texts may come more than once.

    ``count`` is their number; ``weighted`` says whether a weight is written anywhere in it.
    """

    def __init__(self, source: str, wildcards: Wildcards) -> None:
        """Raises :class:`DynamicProblem`."""
        self.source = source
        self._tree = _Parser(source, wildcards, (), 0).whole()
        self.count = self._tree.count
        self.weighted = self._tree.weighted

    def text(self, place: int) -> str:
        """The variant at a place. Raises IndexError outside 0 to ``count - 1``."""
        if not 0 <= place < self.count:
            raise IndexError(place)
        return self._tree.text(place)

    def choose(self, fraction: Fraction) -> int:
        """A place by chance and weights. ``fraction`` gives numbers from 0 up to 1."""
        return self._tree.choose(fraction)

    def __iter__(self) -> Iterator[str]:
        return (self._tree.text(place) for place in range(self.count))


def is_dynamic(text: str) -> bool:
    """Whether a text has a mark of the dialect in it, or an escape of one. One that has none is its
    own and only variant."""
    return any(found["template"] is None for found in _MARK.finditer(text))


class _Parser:
    """Takes one text apart. ``inside`` are the wildcards whose lines led here, ``depth`` how many
    braces and wildcards are around them."""

    def __init__(
        self, source: str, wildcards: Wildcards, inside: tuple[str, ...], depth: int
    ) -> None:
        self._source = source
        self._wildcards = wildcards
        self._inside = inside
        self._depth = depth
        self._at = 0

    def whole(self) -> Node:
        """The text as a tree. Raises :class:`DynamicProblem`."""
        if len(self._source) > LONGEST_SOURCE:
            raise DynamicProblem(f"a dynamic prompt may have {LONGEST_SOURCE:,} characters")
        node = self._series(0)
        if self._at < len(self._source):
            hint = r"write \} for the brace itself"
            raise DynamicProblem("this brace closes nothing", hint, column=self._at + 1)
        return node

    def _series(self, depth: int) -> Node:
        """Text up to the sign that ends this option, or to the end. ``depth`` counts braces."""
        start = self._at
        parts: list[Node] = []
        plain: list[str] = []
        while (found := _MARK.search(self._source, self._at)) is not None:
            plain.append(self._source[self._at : found.start()])
            self._at = found.start()
            if found["brace"] == "}" or (found["brace"] == "|" and depth):
                break
            self._at = found.end()
            node = self._marked(found, depth)
            if node is None:
                plain.append(found["escaped"] or found[0])
            else:
                parts += (Literal("".join(plain)), node)
                plain.clear()
        else:
            plain.append(self._source[self._at :])
            self._at = len(self._source)
        parts.append(Literal("".join(plain)))
        parts = [part for part in parts if part.longest or part.count > 1] or parts[-1:]
        return self._checked(parts[0] if len(parts) == 1 else Series(parts), start)

    def _marked(self, found: re.Match[str], depth: int) -> Node | None:
        """What a mark stands for; None for one that is text."""
        if found["brace"] == "{":
            return self._choice(found.start(), depth + 1)
        if found["wildcard"] is not None:
            return self._wildcard(found["wildcard"], found.start(), depth + 1)
        if found["variable"] is not None:
            hint = r"write {{ name }} for a value of the job, or $\{ for the signs themselves"
            message = "the dialect's ${variables} are not known here"
            raise DynamicProblem(message, hint, column=found.start() + 1)
        return None

    def _choice(self, start: int, depth: int) -> Node:
        """The options up to the closing brace; the opening one is at ``start``."""
        if self._depth + depth > DEEPEST:
            raise _too_deep(start)
        head = _HEAD.match(self._source, self._at)
        separator = ", "
        if head is not None:
            self._at = head.end()
            if (written := _SEPARATOR.match(self._source, self._at)) is not None:
                separator = written[1]
                self._at = written.end()
        options: Sequence[Node]
        weights: Sequence[float]
        options, weights = self._options(start, depth)
        if head is None:
            return self._checked(Choice(options, weights), start)
        only = options[0] if len(options) == 1 else None
        if isinstance(only, _Wildcard):
            options, weights = only.options, only.weights
        low, high = self._bounds(head["bound"], len(options), start)
        return self._checked(Several(options, weights, low, high, separator), start)

    def _options(self, start: int, depth: int) -> tuple[list[Node], list[float]]:
        options: list[Node] = []
        weights: list[float] = []
        while True:
            weights.append(self._weight())
            options.append(self._series(depth))
            if self._at == len(self._source):
                hint = r"close it with }, or write \{ for the brace itself"
                raise DynamicProblem("this brace is never closed", hint, column=start + 1)
            self._at += 1
            if self._source[self._at - 1] == "}":
                break
        if self._source[start + 1 : self._at - 1].strip() == "":
            hint = r"write options, {red|blue}, or \{\} for the braces themselves"
            raise DynamicProblem("there is nothing between these braces", hint, column=start + 1)
        return options, weights

    def _weight(self) -> float:
        found = _WEIGHT.match(self._source, self._at)
        if found is None:
            return 1.0
        weight = float(found[1])
        if not 0 < weight <= _HEAVIEST:
            message = f"a weight must be more than 0 and at most {_HEAVIEST:,}"
            hint = "leave the option out if it is never wanted"
            raise DynamicProblem(message, hint, column=found.start(1) + 1)
        self._at = found.end()
        return weight

    def _bounds(self, written: str, options: int, start: int) -> tuple[int, int]:
        found = _BOUND.fullmatch(written)
        if found is None:
            hint = "write {2$$a|b|c} for two of them, or {1-2$$a|b|c} for one or two"
            raise DynamicProblem("there is no number before $$", hint, column=start + 1)
        low, high = int(found[1]), int(found[2] or found[1])
        message = None
        if low > high or high == 0:
            message = f"{written} is no number of options to take"
        elif high > options:
            message = f"it takes {high} options, and there {_are(options)}"
        elif high > MOST_TAKEN or (high + 1) * options > _MOST_WAYS:
            message = f"{high} of {options:,} options are too many to take at once"
        if message is not None:
            raise DynamicProblem(message, "none is taken twice", column=start + 1)
        return low, high

    def _wildcard(self, name: str, start: int, depth: int) -> Node:
        """The wildcard's lines as options. A problem in a line has the file's place."""
        if name in self._inside:
            circle = " → ".join((*self._inside[self._inside.index(name) :], name))
            message = f"the wildcard leads back to itself: {circle}"
            raise DynamicProblem(message, "take it out of one of these files", column=start + 1)
        if self._depth + depth > DEEPEST:
            raise _too_deep(start)
        if name not in self._wildcards.trees:
            self._wildcards.trees[name] = self._file(name, start, self._depth + depth)
        return self._checked(self._wildcards.trees[name], start)

    def _file(self, name: str, start: int, depth: int) -> Choice:
        try:
            values = self._wildcards.values(name)
        except WildcardProblem as problem:
            column = None if problem.file else start + 1
            raise DynamicProblem(
                str(problem), problem.hint, column=column, file=problem.file, line=problem.line
            ) from None
        inside = (*self._inside, name)
        lines = [
            _line(value, _Parser(value.text, self._wildcards, inside, depth)) for value in values
        ]
        return _Wildcard([node for node, _ in lines], [weight for _, weight in lines])

    def weighted(self) -> tuple[Node, float]:
        """The text as an option: its tree and its weight. Raises :class:`DynamicProblem`."""
        weight = self._weight()
        return self.whole(), weight

    def _checked(self, node: Node, start: int) -> Node:
        if node.count > MOST_VARIANTS:
            message = "this makes more variants than can be numbered"
            raise DynamicProblem(message, "take some options away", column=start + 1)
        if node.depth > 2 * DEEPEST + 1:
            raise _too_deep(start)
        if node.longest > LONGEST_TEXT:
            message = f"a variant of this may have more than {LONGEST_TEXT:,} characters"
            raise DynamicProblem(message, "take some text away", column=start + 1)
        return node


class _Wildcard(Choice):
    """A choice that came from a file, so that ``{2$$__colors__}`` can take two of its lines."""


def _line(value: Value, parser: _Parser) -> tuple[Node, float]:
    """A line of a wildcard file; what is wrong in it has the file's place."""
    try:
        return parser.weighted()
    except DynamicProblem as problem:
        if problem.file is not None:
            raise
        raise DynamicProblem(
            str(problem), problem.hint, column=problem.column, file=value.file, line=value.line
        ) from None


def _too_deep(start: int) -> DynamicProblem:
    message = f"braces and wildcards are nested more than {DEEPEST} deep"
    return DynamicProblem(message, "write it in a simpler way", column=start + 1)


def _are(options: int) -> str:
    return "is 1" if options == 1 else f"are {options:,}"
