"""What the operators and functions of an expression do to values. Pure.

Each takes plain values (numbers, texts, true and false, null, lists) and gives one, or raises
:class:`Refused`. Nothing here can run long or grow large: numbers stay within :data:`LARGEST`,
exponents within :data:`LARGEST_EXPONENT`, texts within :data:`LONGEST_TEXT`, and there is no
operator that repeats a text.

Equality is between values of one kind, with one exception for cells of a table, which are written
as text: a number equals the text that spells it (``8`` and ``"8"`` or ``"8.0"``, never ``"08"``),
and true and false equal their words in any case. Null equals null only; in an order it is neither
before nor after anything, so ``<`` and its like are false, and not an error, for an empty cell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

LARGEST = 1e30
"""The largest number, either sign, that may come out of an operation."""
LARGEST_EXPONENT = 64
"""The largest exponent, either sign."""
LONGEST_TEXT = 10_000
"""Characters of the longest text that may come out of an operation."""
MOST_DIGITS = 15
"""The most places that ``round`` keeps."""

_NUMBERS = frozenset({int, float})
_SPELLED = re.compile(r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")
_WHOLE = re.compile(r"-?[0-9]+")


class Refused(Exception):
    """An operation that makes no sense for its values. The text is a sentence for people."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def spelled(text: str) -> int | float | None:
    """The number that a text spells the way JSON writes numbers, or None: ``007`` is a name."""
    if _SPELLED.fullmatch(text) is None:
        return None
    return int(text) if _WHOLE.fullmatch(text) else float(text)


def kind(value: object) -> str:
    """What a value is, for a sentence: ``a number``, ``text``, ``empty``, …"""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list | tuple) else "a mapping"


def _bounded(number: Any) -> Any:
    if -LARGEST <= number <= LARGEST:  # false for NaN too
        return number
    raise Refused("the result is too large, or no number at all")


def _numbers_only(sign: str, left: object, right: object) -> Refused:
    wrong = left if type(left) not in _NUMBERS else right
    hint = "give the value, or leave such rows out with == null" if wrong is None else None
    return Refused(f"{sign} works on numbers, and a value here is {kind(wrong)}", hint)


def add(left: Any, right: Any) -> Any:
    """The sum of two numbers, or two texts one after the other."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _bounded(left + right)
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > LONGEST_TEXT:
            raise Refused(f"the text gets longer than {LONGEST_TEXT:,} characters")
        return left + right
    raise _numbers_only("+", left, right)


def subtract(left: Any, right: Any) -> Any:
    """The difference of two numbers."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _bounded(left - right)
    raise _numbers_only("-", left, right)


def multiply(left: Any, right: Any) -> Any:
    """The product of two numbers."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _bounded(left * right)
    raise _numbers_only("*", left, right)


def divide(left: Any, right: Any) -> Any:
    """The quotient of two numbers."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _bounded(left / right)
    raise _numbers_only("/", left, right)


def divide_whole(left: Any, right: Any) -> Any:
    """How often one number goes into another, rounded down."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _bounded(left // right)
    raise _numbers_only("//", left, right)


def remainder(left: Any, right: Any) -> Any:
    """What is left after ``//``; it has the sign of the right number."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _bounded(left % right)
    raise _numbers_only("%", left, right)


def power(left: Any, right: Any) -> Any:
    """One number to the power of another."""
    if not (type(left) in _NUMBERS and type(right) in _NUMBERS):
        raise _numbers_only("**", left, right)
    if not -LARGEST_EXPONENT <= right <= LARGEST_EXPONENT:
        raise Refused(f"an exponent may be at most {LARGEST_EXPONENT}")
    _bounded(left)
    if left < 0 and right != int(right):
        raise Refused("a negative number has no power that is a fraction")
    return _bounded(left**right)


def negative(value: Any) -> Any:
    """The number with its sign turned."""
    if type(value) not in _NUMBERS:
        raise _numbers_only("-", value, value)
    return -value


def positive(value: Any) -> Any:
    """The number as it is."""
    if type(value) not in _NUMBERS:
        raise _numbers_only("+", value, value)
    return value


def truth(value: object) -> bool:
    """What a condition says: true and false are themselves, and empty is false.

    Other values are refused, because a text such as ``no`` would count as true.
    """
    if value is True or value is False:
        return value
    if value is None:
        return False
    raise Refused(
        f"a condition must be true or false, and this one is {kind(value)}",
        'compare it with something: style == "Anime"',
    )


def equal(left: object, right: object) -> bool:
    """Whether two values are the same, by the rules at the top of this module."""
    if type(left) is type(right):
        if isinstance(left, list | tuple) and isinstance(right, list | tuple):
            return len(left) == len(right) and all(map(equal, left, right))
        return left == right
    if isinstance(left, str):
        return _equal_to_text(right, left)
    if isinstance(right, str):
        return _equal_to_text(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return equal(list(left), list(right))
    return left == right


def _equal_to_text(value: object, text: str) -> bool:
    if isinstance(value, bool):
        return text.lower() == ("true" if value else "false")
    return type(value) in _NUMBERS and spelled(text) == value


def unequal(left: object, right: object) -> bool:
    """The opposite of :func:`equal`."""
    return not equal(left, right)


def before(left: Any, right: Any) -> bool:
    """``<``"""
    pair = _ordered(left, right)
    return pair is not None and pair[0] < pair[1]


def not_after(left: Any, right: Any) -> bool:
    """``<=``"""
    pair = _ordered(left, right)
    return pair is not None and pair[0] <= pair[1]


def after(left: Any, right: Any) -> bool:
    """``>``"""
    pair = _ordered(left, right)
    return pair is not None and pair[0] > pair[1]


def not_before(left: Any, right: Any) -> bool:
    """``>=``"""
    pair = _ordered(left, right)
    return pair is not None and pair[0] >= pair[1]


def _ordered(left: Any, right: Any) -> tuple[Any, Any] | None:
    """Two values that have an order, or None where one is empty."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return left, right
    if left is None or right is None:
        return None
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    if isinstance(left, str) and type(right) in _NUMBERS:
        number = spelled(left)
        if number is not None:
            return number, right
    if isinstance(right, str) and type(left) in _NUMBERS:
        number = spelled(right)
        if number is not None:
            return left, number
    raise Refused(f"{kind(left)} and {kind(right)} have no order", "numbers and texts have one")


def inside(left: object, right: Any) -> bool:
    """Whether a list has a value, or a text has a text in it. Nothing is in an empty cell."""
    if isinstance(right, list | tuple):
        return any(equal(left, member) for member in right)
    if left is None or right is None:
        return False
    if isinstance(right, str) and isinstance(left, str):
        return left in right
    hint = 'write a list: style in ["Anime", "Film"]'
    raise Refused(f"in needs a list or a text after it, not {kind(right)}", hint)


def outside(left: object, right: Any) -> bool:
    """The opposite of :func:`inside`."""
    return not inside(left, right)


class Function(NamedTuple):
    """A function of expressions: how many values it takes, and how it is written."""

    run: Callable[..., Any]
    fewest: int
    most: int
    usage: str


def _number(name: str, value: Any) -> Any:
    if type(value) not in _NUMBERS:
        raise Refused(f"{name}() needs a number, not {kind(value)}")
    return _bounded(value)


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise Refused(f"{name}() needs text, not {kind(value)}")


def _of_all(name: str, choose: Callable[[Sequence[Any]], Any]) -> Callable[..., Any]:
    def run(*values: Any) -> Any:
        members = values[0] if len(values) == 1 and isinstance(values[0], list | tuple) else values
        if not members:
            raise Refused(f"{name}() of an empty list is nothing")
        return choose([_number(name, member) for member in members])

    return run


def _round(value: Any, digits: Any = 0) -> Any:
    if type(digits) is not int or not 0 <= digits <= MOST_DIGITS:
        raise Refused(f"round() keeps 0 to {MOST_DIGITS} places")
    number = _number("round", value)
    return round(number, digits) if digits else round(number)


def _length(value: object) -> int:
    if isinstance(value, str | list | tuple):
        return len(value)
    raise Refused(f"len() needs text or a list, not {kind(value)}")


def _lower(value: object) -> str:
    return _text("lower", value).lower()


def _upper(value: object) -> str:
    return _text("upper", value).upper()


def _starts(value: object, beginning: object) -> bool:
    return _text("startswith", value).startswith(_text("startswith", beginning))


def _ends(value: object, ending: object) -> bool:
    return _text("endswith", value).endswith(_text("endswith", ending))


FUNCTIONS: dict[str, Function] = {
    "min": Function(_of_all("min", min), 1, 20, "min(a, b)"),
    "max": Function(_of_all("max", max), 1, 20, "max(a, b)"),
    "round": Function(_round, 1, 2, "round(x) or round(x, 2)"),
    "abs": Function(lambda value: abs(_number("abs", value)), 1, 1, "abs(x)"),
    "ceil": Function(lambda value: math.ceil(_number("ceil", value)), 1, 1, "ceil(x)"),
    "floor": Function(lambda value: math.floor(_number("floor", value)), 1, 1, "floor(x)"),
    "len": Function(_length, 1, 1, "len(text)"),
    "lower": Function(_lower, 1, 1, "lower(text)"),
    "upper": Function(_upper, 1, 1, "upper(text)"),
    "startswith": Function(_starts, 2, 2, 'startswith(text, "A")'),
    "endswith": Function(_ends, 2, 2, 'endswith(text, ".png")'),
}
"""Every function, by name. ``round`` takes a half to the even neighbour."""
