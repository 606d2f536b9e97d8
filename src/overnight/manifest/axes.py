"""The ways to write an axis, and the values that each of them gives.

A list has its values one by one; a value may carry a label, and may be a bundle of settings. The
other forms make a list: a range, random numbers, the files of a folder, the lines of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from overnight.catalog import Kind, nearest
from overnight.manifest import draws, keys, ranges
from overnight.manifest.block import Axis, Choice
from overnight.manifest.checks import Checker
from overnight.manifest.draws import DrawProblem, Draws
from overnight.manifest.levels import Entry, entries
from overnight.manifest.places import InFile, Place, Reporter
from overnight.manifest.ranges import RangeProblem
from overnight.manifest.shapes import GlobShape, LinesShape, RandomShape, RangeShape
from overnight.manifest.yaml12 import Trail

LONGEST_LIST = 100_000
"""The most values that a file or a folder gives an axis."""
LARGEST_FILE = 16 * 1024 * 1024
"""Bytes of a file of lines."""

_PARTS = ("label", "value", "set", "description")
"""The keys of a value with a label."""


class AxisReader:
    """Reads the axes of blocks of one model. ``files`` gathers every file it has read."""

    def __init__(
        self, reporter: Reporter, checker: Checker, folder: Path, drawn: Draws, files: set[Path]
    ) -> None:
        self._reporter = reporter
        self._checker = checker
        self._model = checker.model
        self._folder = folder
        self._drawn = drawn
        self._files = files
        self._done: dict[tuple[Trail, str | None], tuple[Choice, ...]] = {}

    def axis(self, entry: Entry) -> Axis:
        """An axis with the values that are good; what is wrong with the others has been noted."""
        name = entry.word if entry.raw is None else self._model.shortest(entry.raw)
        where = (entry.trail, entry.raw)
        if where not in self._done:  # a block may inherit it
            self._done[where] = tuple(self._choices(entry, name))
        return Axis(name, entry.raw, self._done[where])

    def _choices(self, entry: Entry, name: str) -> Iterable[Choice]:
        match entry.value:
            case list():
                return self._listed(entry)
            case str():
                return self._shorthand(entry)
            case RangeShape() as form:
                return self._range(entry, form)
            case RandomShape() as form:
                return self._random(entry, name, form)
            case GlobShape() as form:
                return self._glob(entry, form)
            case LinesShape() as form:
                return self._lines(entry, form)
        raise AssertionError(entry.value)

    # --- lists ----------------------------------------------------------------------------------

    def _listed(self, entry: Entry) -> list[Choice]:
        found: list[Choice] = []
        labels: dict[str, Trail] = {}
        for at, value in enumerate(entry.value):
            trail = (*entry.trail, at)
            if isinstance(value, str) and self._numeric(entry) and ranges.is_range(value):
                found += self._numbers(entry, trail, value)
            elif isinstance(value, str) and self._numeric(entry) and ranges.meant(value):
                hint = f"did you mean {ranges.meant(value)}?"
                self._reporter.at_value(trail, f'{entry.word}: "{value}" is no range', hint)
            elif isinstance(value, dict) and self._is_labelled(entry, value, trail):
                choice = self._labelled(entry, value, trail)
                self._check_label(value["label"], trail, labels)
                found += [choice] if choice is not None else []
            else:
                choice = self._checker.setting(entry.raw, entry.word, value, trail)
                found += [choice] if choice is not None else []
        self._check_doubles(found)
        return found

    def _check_doubles(self, choices: Iterable[Choice]) -> None:
        """Tell labels that another entry has as its value: nobody could say which of the two a
        condition means."""
        values = {c.value: c for c in choices if isinstance(c.value, str) and not c.bare}
        for choice in choices:
            other = values.get(choice.label or "")
            if other is not None and other is not choice and other.label != choice.label:
                message = f'"{choice.label}" is the label of one value, and another value too'
                problem = other.place.problem(message, "let each word mean one of them")
                self._reporter.problems.append(problem)

    def _is_labelled(self, entry: Entry, value: Mapping[str, Any], trail: Trail) -> bool:
        """Whether a mapping is a value with a label, and not a value that is a mapping.

        One that is meant so and misspelt is told, and not taken for the other.
        """
        odd = [key for key in value if key not in _PARTS]
        if "label" in value and not odd and ("value" in value or "set" in value):
            return True
        if "set" in value and not odd:
            self._reporter.at_key((*trail, "set"), "a bundle needs a label", "write label: Film")
        elif list(value) == ["label"]:
            hint = "write value: beside it, or set: and what it sets"
            self._reporter.at_key((*trail, "label"), "this label has nothing to stand for", hint)
        elif "label" not in value:
            self._check_misspelt_label(value, trail)
        else:
            meant = {key: nearest(key, _PARTS[1:]) for key in odd}
            for key, word in meant.items():
                if "set" in value or "value" in value or word is not None:
                    hint = f'did you mean "{word}"?' if word else f"known keys: {', '.join(_PARTS)}"
                    message = f'there is no key "{key}" in a value with a label'
                    self._reporter.at_key((*trail, key), message, hint)
        return False

    def _check_misspelt_label(self, value: Mapping[str, Any], trail: Trail) -> None:
        """Tell ``{lable: Film, value: …}``, which would be a value that is a mapping."""
        words = {key: nearest(key, _PARTS) for key in value}
        wrong = next((key for key, word in words.items() if word == "label"), None)
        if wrong is not None and {"value", "set"} & {*words.values()}:
            message = f'there is no key "{wrong}" in a value with a label'
            self._reporter.at_key((*trail, wrong), message, 'did you mean "label"?')

    def _labelled(self, entry: Entry, value: Mapping[str, Any], trail: Trail) -> Choice | None:
        label = value["label"]
        if not isinstance(label, str) or not label:
            self._reporter.at_value((*trail, "label"), "a label must be text", 'write label: "8"')
            return None
        sets = self._bundle(entry, value["set"], (*trail, "set")) if "set" in value else {}
        part = keys.slug(label)
        place = self._reporter.value_place((*trail, "label"))
        if "value" not in value:
            if entry.raw is not None:
                message = f"{entry.word} is an input, and this bundle gives it no value"
                hint = "write value: beside set:, or call the axis by a name that is no input"
                self._reporter.at_key((*trail, "label"), message, hint)
            return Choice(label, "", part, None, place, label, sets, bare=True)
        checked = self._checker.setting(entry.raw, entry.word, value["value"], (*trail, "value"))
        if checked is None:
            return None
        return Choice(
            *(checked.value, checked.fragment, part, checked.template, checked.place, label, sets),
            reference=checked.reference,
        )

    def _bundle(self, axis: Entry, written: object, trail: Trail) -> dict[str, Choice]:
        if not isinstance(written, dict) or not written:
            message = "set must be a mapping of names and values"
            self._reporter.at_value(trail, message, "write set: {cfg: 1.5, shift: 8}")
            return {}
        found = self.settings(written, trail)
        if axis.identity in found:
            message = f'"{axis.word}" is this axis itself'
            self._reporter.at_key(trail, message, "write its value as value: beside label:")
        return found

    def settings(self, written: Mapping[str, Any], trail: Trail) -> dict[str, Choice]:
        """A mapping of names and values, checked: of a bundle, a rule or an inclusion."""
        found: dict[str, Choice] = {}
        for entry in entries(self._model, written, trail, self._reporter):
            choice = self._checker.setting(entry.raw, entry.word, entry.value, entry.trail)
            if entry.identity in found:
                self._reporter.at_key(entry.trail, f'"{entry.word}" is set twice here')
            elif choice is not None and entry.raw is None:
                # It may turn out that nothing uses the name; the name is then what is wrong.
                found[entry.word] = replace(choice, place=self._reporter.key_place(entry.trail))
            elif choice is not None:
                found[entry.identity] = choice
        return found

    def _check_label(self, label: object, trail: Trail, labels: dict[str, Trail]) -> None:
        if not isinstance(label, str):
            return
        if label in labels:
            line = self._reporter.line(labels[label])
            message = f'the value of line {line} has the label "{label}" too'
            self._reporter.at_value((*trail, "label"), message, "give each its own label")
        labels.setdefault(label, (*trail, "label"))

    # --- numbers --------------------------------------------------------------------------------

    def _numeric(self, entry: Entry) -> bool:
        if entry.raw is None:
            return False
        return self._model.by_name[entry.raw].kind in (Kind.INTEGER, Kind.NUMBER)

    def _whole(self, entry: Entry) -> bool:
        return entry.raw is not None and self._model.by_name[entry.raw].kind is Kind.INTEGER

    def _shorthand(self, entry: Entry) -> list[Choice]:
        text = entry.value
        if not self._numeric(entry):
            hint = f"write it as a list: [{text}]"
            if ranges.is_range(text):
                hint = "a range as text is for inputs that are numbers; write {from, to, step}"
            self._reporter.at_value(entry.trail, f"{entry.word} must be a list", hint)
            return []
        if not ranges.is_range(text):
            close = ranges.meant(text)
            hint = "write a list, or a range: 8-14 (+2), 0.6-2 [8], or 1, 2, .., 10"
            hint = f"did you mean {close}? Otherwise {hint}" if close else hint
            message = f"{entry.word} must be a list, and this text is no range"
            self._reporter.at_value(entry.trail, message, hint)
            return []
        return self._numbers(entry, entry.trail, text)

    def _numbers(self, entry: Entry, trail: Trail, text: str) -> list[Choice]:
        try:
            values = ranges.read_range(text, whole=self._whole(entry))
        except RangeProblem as problem:
            self._reporter.at_value(trail, f"{entry.word}: {problem}", problem.hint)
            return []
        return self._made(entry, values, trail)

    def _range(self, entry: Entry, form: RangeShape) -> list[Choice]:
        try:
            values = ranges.stepped(form.start, form.to, form.step, whole=self._whole(entry))
        except RangeProblem as problem:
            self._reporter.at_value(entry.trail, f"{entry.word}: {problem}", problem.hint)
            return []
        return self._made(entry, values, entry.trail)

    def _random(self, entry: Entry, name: str, form: RandomShape) -> list[Choice]:
        spec = None if entry.raw is None else self._model.by_name[entry.raw]
        try:
            values = self._drawn.take(name, draws.domain(spec, name), form.random, form.seed)
        except DrawProblem as problem:
            self._reporter.at_value(entry.trail, str(problem), problem.hint)
            return []
        return self._made(entry, values, entry.trail)

    def _made(self, entry: Entry, values: Iterable[Any], trail: Trail) -> list[Choice]:
        """Choices of values that were worked out. The first that is no good ends it: the others
        are no good in the same way."""
        place = self._reporter.value_place(trail)
        found = []
        for value in values:
            choice = self._checker.choice(entry.raw, entry.word, value, place)
            if choice is None:
                break
            found.append(choice)
        return found

    # --- files ----------------------------------------------------------------------------------

    def _glob(self, entry: Entry, form: GlobShape) -> list[Choice]:
        trail = (*entry.trail, "glob")
        pattern = Path(form.glob).expanduser() if form.glob.startswith("~") else Path(form.glob)
        root = Path(pattern.anchor) if pattern.anchor else self._folder
        try:
            rest = str(pattern.relative_to(pattern.anchor)) if pattern.anchor else str(pattern)
            found = sorted(self._matches(root, rest), key=_natural)
        except (OSError, ValueError, NotImplementedError, RuntimeError):
            hint = "write a pattern such as refs/*.png"
            self._reporter.at_value(trail, "this pattern can't be used", hint)
            return []
        if not found:
            hint = f"patterns are counted from the manifest's folder, {self._folder}"
            self._reporter.at_value(trail, "no file matches this pattern", hint)
        elif len(found) > LONGEST_LIST:
            message = f"more than {LONGEST_LIST:,} files match this pattern"
            self._reporter.at_value(trail, message, "write a narrower one")
            return []
        self._files.update((root / path).absolute() for path in found)
        texts = [(path if not pattern.anchor else root / path).as_posix() for path in found]
        return self._made(entry, texts, trail)

    @staticmethod
    def _matches(root: Path, pattern: str) -> list[Path]:
        found: list[Path] = []
        for path in root.glob(pattern):
            if path.is_file() and not any(part.startswith(".") for part in path.parts[-1:]):
                found.append(path.relative_to(root))
                if len(found) > LONGEST_LIST:
                    break
        return found

    def _lines(self, entry: Entry, form: LinesShape) -> list[Choice]:
        trail = (*entry.trail, "lines")
        path = (self._folder / Path(form.lines).expanduser()).absolute()
        text = self._read(path, trail)
        if text is None:
            return []
        self._files.add(path)
        lines = [(at, line.strip()) for at, line in enumerate(re.split(r"\r\n|\r|\n", text), 1)]
        lines = [(at, line) for at, line in lines if line]
        if not lines:
            self._reporter.at_value(trail, "the file has no line with text", "one value on each")
        if len(lines) > LONGEST_LIST:
            message = f"the file has {len(lines):,} lines; an axis may have {LONGEST_LIST:,} values"
            self._reporter.at_value(trail, message, "write it as a table and use rows")
            return []
        found = []
        for at, line in lines:
            choice = self._line(entry, line, InFile(path, at, line))
            found += [choice] if choice is not None else []
        return found

    def _read(self, path: Path, trail: Trail) -> str | None:
        message, hint = "the file can't be read", "check the path and its permissions"
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
        except FileNotFoundError:
            hint = f"paths are counted from the manifest's folder, {self._folder}"
            self._reporter.at_value(trail, "there is no such file", hint)
            return None
        except (OSError, ValueError):
            self._reporter.at_value(trail, message, hint)
            return None
        if len(content) > LARGEST_FILE:
            message = f"the file has more than {LARGEST_FILE:,} bytes"
            self._reporter.at_value(trail, message, "split it, or use rows")
            return None
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            message = "this line is not UTF-8"
            self._reporter.problems.append(
                InFile(path, line).problem(message, "save the file as UTF-8 in your editor")
            )
            return None

    def _line(self, entry: Entry, line: str, place: Place) -> Choice | None:
        """One line of a file; for an input that is no text, the number or the word it spells."""
        from overnight.manifest.rows import CellProblem, cast

        kind = None if entry.raw is None else self._model.by_name[entry.raw].kind
        try:
            value = line if kind is None else cast(line, kind)
        except CellProblem as error:
            problem = place.problem(f"{entry.word}: {error}", error.hint)
            self._reporter.problems.append(problem)
            return None
        return self._checker.choice(entry.raw, entry.word, value, place)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sorts ``shot2`` before ``shot10``."""
    parts = re.findall(r"\d+|\D+", path.as_posix())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
