"""Expressions over a job's values: a price, a row's ``where``, a rule's ``when``, ``exclude``.

The syntax is a small part of Python's: numbers, texts in quotes, ``true``, ``false``, ``null``,
``[lists]``, names, ``+ - * / // % **``, comparisons (also ``8 <= steps < 14``), ``in``, ``and``,
``or``, ``not``, ``a if b else c``, and the functions of :data:`operations.FUNCTIONS`. A name that
is no single word stands in backquotes: ```shot type` == "wide"``.

Python's parser makes a tree of the text (:mod:`overnight.manifest.expression_text`); nothing is
ever run by Python. The tree becomes functions of ours, node by node, and whatever this module does
not know is refused. What the operators mean is in :mod:`overnight.manifest.operations`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from overnight.catalog import nearest
from overnight.manifest import operations
from overnight.manifest.expression_text import LONGEST, ExpressionProblem, Source
from overnight.manifest.operations import FUNCTIONS, LARGEST, Refused

__all__ = ["DEEPEST", "LONGEST", "Expression", "ExpressionProblem"]

DEEPEST = 50
"""How deep an expression may be nested; a sum of fifty terms is that deep."""

_Run = Callable[[Mapping[str, Any]], Any]

_WORDS = {"true": True, "false": False, "null": None}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operations.add,
    ast.Sub: operations.subtract,
    ast.Mult: operations.multiply,
    ast.Div: operations.divide,
    ast.FloorDiv: operations.divide_whole,
    ast.Mod: operations.remainder,
    ast.Pow: operations.power,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operations.negative,
    ast.UAdd: operations.positive,
    ast.Not: lambda value: not operations.truth(value),
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operations.equal,
    ast.NotEq: operations.unequal,
    ast.Lt: operations.before,
    ast.LtE: operations.not_after,
    ast.Gt: operations.after,
    ast.GtE: operations.not_before,
    ast.In: operations.inside,
    ast.NotIn: operations.outside,
}
_UNKNOWN = {
    ast.Attribute: ("a dot after a name", "there are functions: lower(style), startswith(key, x)"),
    ast.Subscript: ("square brackets after a value", "[…] makes a list here"),
    ast.Tuple: ("a list without brackets", 'write it in brackets: ["Anime", "Film"]'),
    ast.Is: ("is", "write =="),
    ast.IsNot: ("is not", "write !="),
    ast.JoinedStr: ("a text with a letter before its quotes", "leave the letter out"),
    ast.Set: ("braces", "write a list in brackets: [1, 2]"),
    ast.Dict: ("braces", "write a list in brackets: [1, 2]"),
}


class Expression:
    """An expression, read once. ``names`` are what it needs from outside."""

    def __init__(self, text: str) -> None:
        """Raises :class:`ExpressionProblem`."""
        self.text = text
        builder = _Builder(text)
        self._run = builder.run
        self.names = frozenset(builder.names)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The result for one job; ``values`` holds at least :attr:`names`.

        A number, a text, true, false, None or a list. Raises :class:`ExpressionProblem`.
        """
        result = self._run(values)
        if type(result) in (int, float) and not -LARGEST <= result <= LARGEST:
            raise ExpressionProblem("the result is too large, or no number at all")
        return result

    def holds(self, values: Mapping[str, Any]) -> bool:
        """The result of a condition. An empty one (null) is false.

        Raises :class:`ExpressionProblem`, also when the result is a number, a text or a list.
        """
        try:
            return operations.truth(self._run(values))
        except Refused as refused:
            raise ExpressionProblem(str(refused), refused.hint) from None

    def number(self, values: Mapping[str, Any]) -> float:
        """The result of a calculation. Raises :class:`ExpressionProblem` when it is no number."""
        result = self.evaluate(values)
        if isinstance(result, bool) or not isinstance(result, int | float):
            raise ExpressionProblem(f"this must give a number, and it is {operations.kind(result)}")
        return float(result)


class _Builder:
    """Turns one text into a function. ``names`` gathers what it asks for."""

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self._source = Source(text)
        self._column = self._source.column
        self.run = self._build(self._source.tree, 0)

    def _build(self, node: ast.expr, depth: int) -> _Run:
        if depth > DEEPEST:
            message = f"the expression is nested more than {DEEPEST} deep"
            raise ExpressionProblem(message, "write it in a simpler way")
        kinds: dict[type[ast.expr], Callable[[Any, int], _Run]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.BinOp: self._binary,
            ast.UnaryOp: self._unary,
            ast.BoolOp: self._logic,
            ast.Compare: self._compare,
            ast.IfExp: self._choice,
            ast.List: self._list,
            ast.Call: self._call,
        }
        build = kinds.get(type(node))
        if build is None:
            raise self._unknown(type(node), self._column(node))
        return build(node, depth + 1)

    def _constant(self, node: ast.Constant, _depth: int) -> _Run:
        value = node.value
        if value is not None and not isinstance(value, str | int | float):
            hint = "leave the letter out"
            message = "an expression has numbers and texts, and this is neither"
            raise ExpressionProblem(message, hint, self._column(node))
        if isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:
            raise ExpressionProblem("this number is too large", None, self._column(node))
        return lambda values: value

    def _name(self, node: ast.Name, _depth: int) -> _Run:
        name = self._source.name(node)
        if node.id in _WORDS:
            value = _WORDS[node.id]
            return lambda values: value
        self.names.add(name)
        column = self._column(node)

        def run(values: Mapping[str, Any]) -> Any:
            try:
                return values[name]
            except KeyError:
                raise _missing(name, values, column) from None

        return run

    def _binary(self, node: ast.BinOp, depth: int) -> _Run:
        operate = _BINARY.get(type(node.op))
        if operate is None:
            raise self._unknown(type(node.op), self._column(node))
        left, right = self._build(node.left, depth), self._build(node.right, depth)
        # A problem belongs to the sign, and between two operands is all that Python tells of it.
        column = self._column(node.right)

        def run(values: Mapping[str, Any]) -> Any:
            try:
                return operate(left(values), right(values))
            except _WENT_WRONG as error:
                raise _located(error, column) from None

        return run

    def _unary(self, node: ast.UnaryOp, depth: int) -> _Run:
        operate = _UNARY.get(type(node.op))
        if operate is None:
            raise self._unknown(type(node.op), self._column(node))
        inner, column = self._build(node.operand, depth), self._column(node)

        def run(values: Mapping[str, Any]) -> Any:
            try:
                return operate(inner(values))
            except _WENT_WRONG as error:
                raise _located(error, column) from None

        return run

    def _logic(self, node: ast.BoolOp, depth: int) -> _Run:
        parts = [(self._condition(part, depth)) for part in node.values]
        if isinstance(node.op, ast.And):
            return lambda values: all(part(values) for part in parts)
        return lambda values: any(part(values) for part in parts)

    def _condition(self, node: ast.expr, depth: int) -> Callable[[Mapping[str, Any]], bool]:
        inner, column = self._build(node, depth), self._column(node)

        def run(values: Mapping[str, Any]) -> bool:
            result = inner(values)
            if result is True or result is False:
                return result
            try:
                return operations.truth(result)
            except Refused as error:
                raise _located(error, column) from None

        return run

    def _compare(self, node: ast.Compare, depth: int) -> _Run:
        first = self._build(node.left, depth)
        steps = []
        for sign, operand in zip(node.ops, node.comparators, strict=True):
            compare = _COMPARE.get(type(sign))
            if compare is None:
                raise self._unknown(type(sign), self._column(operand))
            steps.append((compare, self._build(operand, depth), self._column(operand)))

        def run(values: Mapping[str, Any]) -> bool:
            left = first(values)
            for compare, operand, column in steps:
                right = operand(values)
                try:
                    if not compare(left, right):
                        return False
                except _WENT_WRONG as error:
                    raise _located(error, column) from None
                left = right
            return True

        return run

    def _choice(self, node: ast.IfExp, depth: int) -> _Run:
        condition = self._condition(node.test, depth)
        yes, no = self._build(node.body, depth), self._build(node.orelse, depth)
        return lambda values: yes(values) if condition(values) else no(values)

    def _list(self, node: ast.List, depth: int) -> _Run:
        if all(isinstance(member, ast.Constant) for member in node.elts):
            fixed = [self._build(member, depth)({}) for member in node.elts]
            return lambda values: fixed
        members = [self._build(member, depth) for member in node.elts]
        return lambda values: [member(values) for member in members]

    def _call(self, node: ast.Call, depth: int) -> _Run:
        column = self._column(node)
        name = node.func.id if isinstance(node.func, ast.Name) else None
        function = FUNCTIONS.get(name or "")
        if name is None or function is None:
            raise _unknown_function(name, column)
        if node.keywords or not function.fewest <= len(node.args) <= function.most:
            raise ExpressionProblem(
                f"{name}() can't take these values", f"write {function.usage}", column
            )
        operate, inner = function.run, [self._build(part, depth) for part in node.args]

        def run(values: Mapping[str, Any]) -> Any:
            try:
                return operate(*[part(values) for part in inner])
            except _WENT_WRONG as error:
                raise _located(error, column) from None

        return run

    def _unknown(self, kind: type[ast.AST], column: int) -> ExpressionProblem:
        what, hint = _UNKNOWN.get(kind, ("this", None))
        return ExpressionProblem(f"an expression can't have {what}", hint, column)


_WENT_WRONG = (Refused, ArithmeticError, RecursionError, TypeError, ValueError)


def _located(error: Exception, column: int) -> ExpressionProblem:
    """What went wrong in one operation, with its place."""
    if isinstance(error, Refused):
        return ExpressionProblem(str(error), error.hint, column)
    if isinstance(error, ZeroDivisionError):
        return ExpressionProblem("this divides by zero", None, column)
    if isinstance(error, OverflowError):
        return ExpressionProblem("the result is too large", None, column)
    return ExpressionProblem("this can't be worked out", None, column)


def _missing(name: str, values: Mapping[str, Any], column: int) -> ExpressionProblem:
    close = nearest(name, values)
    hint = f'did you mean "{close}"?' if close else f'a text stands in quotes: "{name}"'
    return ExpressionProblem(f'there is no value called "{name}"', hint, column)


def _unknown_function(name: str | None, column: int) -> ExpressionProblem:
    close = nearest(name, FUNCTIONS) if name else None
    hint = f"did you mean {close}?" if close else f"functions: {', '.join(FUNCTIONS)}"
    what = f"there is no function {name}()" if name else "only a function's name may stand here"
    return ExpressionProblem(what, hint, column)
