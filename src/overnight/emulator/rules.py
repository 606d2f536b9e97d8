"""Which calls go wrong, and when: rules over the faults, from text, from JSON, and at run time."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from overnight.catalog import nearest
from overnight.emulator.faults import FAULTS, Fault, Kind, Option
from overnight.emulator.routes import Call
from overnight.emulator.settings import EmulatorError

_ANY = "any"
_CONDITIONS = ("rate", "times", "after", "request", "model")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")
_TIMES = re.compile(r"(\d+)x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault, the call that it strikes, and when. Build it with :meth:`parse` or
    :meth:`from_json`, which check everything and raise :class:`EmulatorError`."""

    call: Call | None
    """None stands for every call that the fault can strike."""
    fault: Fault
    rate: float = 1.0
    """Share of the matching calls that are struck."""
    times: int | None = None
    """Strikes no more often than this."""
    after: int = 0
    """Lets this many matching calls pass first."""
    request: str | None = None
    model: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """Every option of the fault, defaults filled in."""

    @classmethod
    def parse(cls, spec: str) -> Rule:
        """Read ``CALL:FAULT[@10%|@3x][,name=value]...``."""
        head, *pairs = (part.strip() for part in spec.split(","))
        call, colon, rest = head.partition(":")
        if not colon:
            raise EmulatorError(
                f"{spec!r} is no fault rule. Write CALL:FAULT, such as submit:throttle@10%."
            )
        fault, at, when = rest.partition("@")
        words = _condition(spec, when) if at else {}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not equals or name in words:
                raise EmulatorError(
                    f"In the fault rule {spec!r}, {pair!r} should be a name=value given once."
                )
            words[name.strip()] = value.strip()
        return _build(call.strip(), fault.strip(), words)

    @classmethod
    def from_json(cls, value: Any) -> Rule:
        """Read ``{"call": …, "fault": …}`` with conditions and options beside them."""
        if not isinstance(value, dict):
            raise EmulatorError('A fault rule is an object such as {"call": …, "fault": …}.')
        words = {str(name): _text(item) for name, item in value.items() if item is not None}
        return _build(words.pop("call", _ANY), words.pop("fault", ""), words)

    def as_json(self) -> dict[str, Any]:
        """The rule as :meth:`from_json` reads it."""
        conditions = {
            "rate": self.rate,
            "times": self.times,
            "after": self.after,
            "request": self.request,
            "model": self.model,
        }
        head = {"call": self.call or _ANY, "fault": self.fault.name}
        return {**head, **conditions, **self.options}

    def matches(self, call: Call, request: str | None, model: str | None) -> bool:
        """Whether the rule is about this call at all."""
        return (
            (call in self.fault.calls if self.call is None else call is self.call)
            and self.request in (None, request)
            and self.model in (None, model)
        )


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _condition(spec: str, when: str) -> dict[str, str]:
    if match := _PERCENT.fullmatch(when):
        return {"rate": str(float(match[1]) / 100)}
    if match := _TIMES.fullmatch(when):
        return {"times": match[1]}
    raise EmulatorError(
        f"In the fault rule {spec!r}, write a share such as @10% or a count such as @3x."
    )


def _build(call_word: str, fault_word: str, words: Mapping[str, str]) -> Rule:
    calls = {call.value: call for call in Call}
    if call_word not in (*calls, _ANY):
        raise EmulatorError(_no_such("call", call_word, (*calls, _ANY)))
    if fault_word not in FAULTS:
        raise EmulatorError(_no_such("fault", fault_word, FAULTS))
    call, fault = calls.get(call_word), FAULTS[fault_word]
    if call is not None and call not in fault.calls:
        able = ", ".join(c for c in calls if calls[c] in fault.calls)
        raise EmulatorError(f"{fault.name} can't strike {call}; it can strike {able}.")
    known = (*_CONDITIONS, *fault.options)
    for name in words:
        if name not in known:
            raise EmulatorError(_no_such(f"option of {fault.name}", name, known))
    return Rule(
        call=call,
        fault=fault,
        rate=_number("rate", words.get("rate", "1"), most=1.0),
        times=_count("times", words["times"]) if "times" in words else None,
        after=_count("after", words.get("after", "0")),
        request=words.get("request"),
        model=words.get("model"),
        options={
            name: _option(name, words.get(name, option.default), option)
            for name, option in fault.options.items()
        },
    )


def _no_such(what: str, word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = nearest(word, names)
    hint = f"Did you mean {near}?" if near else f"There are: {', '.join(names)}."
    return f"There is no {what} named {word!r}. {hint}"


def _option(name: str, value: str, option: Option) -> str:
    if value == option.default:
        return value
    if option.choices and value not in option.choices:
        raise EmulatorError(f"{name} is one of {', '.join(option.choices)}, not {value!r}.")
    if option.shape == "seconds":
        _number(name, value, most=86_400.0)
    if option.shape == "code" and not re.fullmatch(r"\d{6}", value):
        raise EmulatorError(f"{name} is six digits such as 400002, not {value!r}.")
    if not value:
        raise EmulatorError(f"{name} needs a value after its equals sign.")
    return value


def _number(name: str, value: str, *, most: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise EmulatorError(f"{name} is a number from 0 to {most:g}, not {value!r}.")
    return number


def _count(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,9}", value):
        raise EmulatorError(f"{name} is a whole number such as 3, not {value!r}.")
    return int(value)


@dataclass(slots=True)
class _Counted:
    rule: Rule
    seed: str
    rng: random.Random = field(init=False)
    matched: int = field(init=False)
    struck: int = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget what was counted and drawn."""
        self.rng = random.Random(self.seed)  # noqa: S311 - must be repeatable, guards nothing
        self.matched = self.struck = 0

    def strikes(self) -> bool:
        """Count one more matching call, and say whether this one goes wrong."""
        self.matched += 1
        if self.matched <= self.rule.after or self.struck == self.rule.times:
            return False
        if self.rule.rate < 1.0 and self.rng.random() >= self.rule.rate:
            return False
        self.struck += 1
        return True


class Rules:
    """The rules of one emulator, in the order in which they were added.

    The first rule that strikes settles a call, and the ones behind it don't count that call. Each
    rule draws from a random source of its own, made from the emulator's seed and the rule's
    place, so that adding one changes nothing about the others.
    """

    def __init__(self, seed: int, rules: Iterable[Rule | str] = ()) -> None:
        self._seed = seed
        self._made = 0
        self._wire: list[_Counted] = []
        self._jobs: list[_Counted] = []
        for rule in rules:
            self.add(rule)

    def __iter__(self) -> Iterator[Rule]:
        return (counted.rule for counted in (*self._wire, *self._jobs))

    def add(self, rule: Rule | str) -> Rule:
        """Add a rule, or the text of one; it applies from the next call on."""
        if isinstance(rule, str):
            rule = Rule.parse(rule)
        counted = _Counted(rule, f"{self._seed}:{self._made}")
        self._made += 1
        (self._jobs if rule.fault.kind is Kind.JOB else self._wire).append(counted)
        return rule

    def clear(self) -> None:
        """Take every rule away; what stuck to a request stays with it."""
        self._wire.clear()
        self._jobs.clear()

    def restart(self) -> None:
        """Begin counting and drawing from the start, with the same rules."""
        for counted in (*self._wire, *self._jobs):
            counted.restart()

    def on_call(self, call: Call, request: str | None, model: str | None) -> Rule | None:
        """The rule that strikes this call, if one does."""
        return _first(self._wire, call, request, model)

    def on_accept(self, model: str) -> Rule | None:
        """The job rule that sticks to a submit that has just been accepted, if one does."""
        return _first(self._jobs, Call.SUBMIT, None, model)

    def as_json(self) -> list[dict[str, Any]]:
        """Every rule with how many calls it has ``matched`` and ``struck``."""
        return [
            counted.rule.as_json() | {"matched": counted.matched, "struck": counted.struck}
            for counted in (*self._wire, *self._jobs)
        ]


def _first(
    rules: list[_Counted], call: Call, request: str | None, model: str | None
) -> Rule | None:
    for counted in rules:
        if counted.rule.matches(call, request, model) and counted.strikes():
            return counted.rule
    return None
