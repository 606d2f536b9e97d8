"""Templates in text inputs: ``{{ subject }}`` and what may stand around it.

Jinja2 in its sandbox, cut down to what makes the same text every time and ends soon. A text that
came out differently tomorrow would be a new job, and would be paid again; so nothing here is
random, no method can be reached (its printed form holds a memory address), and whatever prints as
something else than a text, a number, true or false is an error. Loops, ranges and the length of
the result are limited; there is no power operator, and ``*`` and ``%`` work on numbers only.

``{{ … }}`` and ``{% … %}`` are the only marks. ``{#`` is plain text, and so are line statements,
single braces, ``%``, ``$`` and ``#``. ``{% raw %}`` keeps the marks themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, meta, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.runtime import LoopContext
from jinja2.sandbox import SandboxedEnvironment

from overnight.catalog import nearest

LONGEST_TEXT = 100_000
"""Characters that a template may make."""
LONGEST_RANGE = 1_000
"""Numbers in one ``range()``."""
DEEPEST_LOOP = 2
"""Loops inside one another."""

_MARK = re.compile(r"\{\{|\{%")
_FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "first", "float", "int", "join", "last"),
    *("length", "lower", "max", "min", "replace", "round", "sort", "string", "sum", "title"),
    *("trim", "truncate", "upper", "wordcount"),
)
_TESTS = (
    *("defined", "divisibleby", "even", "false", "in", "integer", "lower", "mapping", "none"),
    *("number", "odd", "sequence", "string", "true", "undefined", "upper"),
    *("eq", "equalto", "==", "ne", "!=", "lt", "<", "le", "<=", "gt", ">", "ge", ">="),
)
_LOOP_PARTS = frozenset({"index", "index0", "first", "last", "length"})
_NODES: tuple[type[nodes.Node], ...] = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const),
    *(nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword, nodes.Slice),
    *(nodes.Filter, nodes.Test, nodes.Getattr, nodes.Getitem, nodes.Call),
    *(nodes.If, nodes.CondExpr, nodes.For, nodes.Compare, nodes.Operand),
    *(nodes.Not, nodes.And, nodes.Or, nodes.Concat, nodes.Neg, nodes.Pos),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
)
_WENT_WRONG = (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class TemplateProblem(Exception):
    """A template that can't be used, or can't be filled in. The text is a sentence for people."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Template:
    """A text with ``{{ }}`` in it, compiled once. ``names`` are what it needs from outside."""

    def __init__(self, source: str) -> None:
        """Raises :class:`TemplateProblem` when the text is not a template, or does what a
        template may not."""
        try:
            tree = _ENVIRONMENT.parse(source)
            _restrict(tree, 0)
            found = meta.find_undeclared_variables(tree)
            self._compiled = _ENVIRONMENT.from_string(source)
        except TemplateSyntaxError as error:
            raise _syntax(error) from None
        except TemplateProblem:
            raise
        except _WENT_WRONG as error:
            raise TemplateProblem(f"the template can't be read: {error}") from None
        self.source = source
        self.names = frozenset(found - {"range"})
        self._short = _short_form(tree)

    def render(self, values: Mapping[str, Any]) -> str:
        """The text for one job; ``values`` holds at least :attr:`names`.

        Raises :class:`TemplateProblem`.
        """
        if self._short is None:
            return _bounded(self._compiled, values)
        try:
            parts = [text if name is None else printed(values[name]) for text, name in self._short]
        except KeyError as missing:
            raise TemplateProblem(f'"{missing.args[0]}" has no value in this job') from None
        if sum(map(len, parts)) > LONGEST_TEXT:
            raise _too_long()
        return "".join(parts)


def is_template(text: str) -> bool:
    """Whether a text has a mark of ours in it; one that has none is sent as it is."""
    return _MARK.search(text) is not None


def mention(name: str) -> re.Pattern[str]:
    """Finds a name inside the marks of a template's source; the name is the first group."""
    return re.compile(
        r"\{[{%](?:(?![%}]\}).)*?(?<![\w.'\"])(" + re.escape(name) + r")\b", re.DOTALL
    )


def printed(value: object) -> str:
    """A value as a template writes it: true and false as YAML does, nothing that is no text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Undefined):
        return str(value)  # raises with its own message
    if value is None:
        raise TemplateProblem("the template prints an empty value (null)")
    if isinstance(value, list | tuple):
        raise TemplateProblem("the template prints a list", "write {{ name | join(', ') }}")
    if isinstance(value, dict):
        raise TemplateProblem(
            "the template prints a mapping", "name a part of it: {{ shot.angle }}"
        )
    raise TemplateProblem("the template prints something that is neither text nor a number")


def _bounded(template: JinjaTemplate, values: Mapping[str, Any]) -> str:
    pieces: list[str] = []
    room = LONGEST_TEXT
    try:
        for piece in template.root_render_func(template.new_context(dict(values))):
            room -= len(piece)
            if room < 0:
                break
            pieces.append(piece)
    except _WENT_WRONG as error:
        raise TemplateProblem(f"the template can't be filled in: {error}") from None
    if room < 0:
        raise _too_long()
    return "".join(pieces)


def _too_long() -> TemplateProblem:
    return TemplateProblem(f"the template makes more than {LONGEST_TEXT:,} characters")


def _short_form(tree: nodes.Template) -> list[tuple[str, str | None]] | None:
    """Text and plain names in turn, when the template has nothing else: the common case, for
    which joining is ten times as fast as running compiled code."""
    parts: list[tuple[str, str | None]] = []
    for output in tree.body:
        if not isinstance(output, nodes.Output):
            return None
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                parts.append((node.data, None))
            elif isinstance(node, nodes.Name):
                parts.append(("", node.name))
            else:
                return None
    return parts


def _restrict(node: nodes.Node, loops: int) -> None:
    """Refuse what could be random, endless or huge. Raises :class:`TemplateProblem`."""
    if not isinstance(node, _NODES):
        raise TemplateProblem(
            f"a template can't use {_word(node)}",
            "templates have {{ }} expressions, filters, {% if %} and {% for %}",
        )
    if isinstance(node, nodes.Call):
        if not isinstance(node.node, nodes.Name) or node.node.name != "range":
            hint = "use a filter: {{ subject | upper }}"
            raise TemplateProblem("a template can't call anything but range()", hint)
        for child in (*node.args, *node.kwargs):
            _restrict(child, loops)
        return
    if isinstance(node, nodes.Name) and node.name == "range":
        raise TemplateProblem("range is a function here, not a value", "write range(3)")
    if isinstance(node, nodes.For):
        loops += 1
        if loops > DEEPEST_LOOP or node.recursive:
            raise TemplateProblem(f"a template can't have more than {DEEPEST_LOOP} nested loops")
    for child in node.iter_child_nodes():
        _restrict(child, loops)


def _word(node: nodes.Node) -> str:
    if isinstance(node, nodes.Pow):
        return "the operator **"
    words = {"Assign": "set", "AssignBlock": "set", "CallBlock": "call", "FromImport": "import"}
    name = type(node).__name__
    return "{% " + words.get(name, name.lower()) + " %}"


def _syntax(error: TemplateSyntaxError) -> TemplateProblem:
    message = error.message or "the template can't be read"
    for pattern, kind, known in (
        (r"No filter named '(.+?)'", "filter", _FILTERS),
        (r"No test named '(.+?)'", "test", _TESTS),
    ):
        match = re.search(pattern, message)
        if match is not None:
            close = nearest(match.group(1), known)
            hint = f'did you mean "{close}"?' if close else f"{kind}s: {', '.join(known)}"
            return TemplateProblem(f'there is no {kind} "{match.group(1)}"', hint)
    hint = "{{ opens a template; write {% raw %}{{{% endraw %} for the braces themselves"
    return TemplateProblem(f"this is not a template: {message.rstrip('.')}", hint)


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > LONGEST_RANGE:
        raise TemplateProblem(f"range() may have {LONGEST_RANGE:,} numbers, not {len(numbers):,}")
    return numbers


def _replace(text: object, old: str, new: str) -> str:
    """The ``replace`` filter; a chain of them could otherwise make any amount of text."""
    source = printed(text)
    if len(source) + source.count(old) * (len(new) - len(old)) > LONGEST_TEXT:
        raise _too_long()
    return source.replace(old, new)


class _Sandbox(SandboxedEnvironment):
    """Jinja2's sandbox, in which data has parts and nothing has methods."""

    intercepted_binops = frozenset({"*", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in _LOOP_PARTS:
            return super().getattr(obj, attribute)
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return self._absent(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        try:
            return (
                obj[argument]
                if isinstance(obj, str | list | tuple | dict)
                else self._absent(obj, argument)
            )
        except (LookupError, TypeError):
            return self._absent(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise TemplateProblem(f"{operator} works on numbers only in a template")
        return super().call_binop(context, operator, left, right)

    def _absent(self, obj: Any, part: object) -> Any:
        if isinstance(obj, Undefined):
            return obj
        close = nearest(str(part), [str(key) for key in obj]) if isinstance(obj, dict) else None
        more = f' (did you mean "{close}"?)' if close else ""
        return self.undefined(hint=f'there is no part "{part}" in this value{more}', name=str(part))


def _environment() -> _Sandbox:
    environment = _Sandbox(
        undefined=StrictUndefined,
        finalize=printed,
        keep_trailing_newline=True,
        # No text can hold these: a comment mark would swallow prompts that have {# in them.
        comment_start_string="{\ud800#",
        comment_end_string="#\ud800}",
        autoescape=False,
        cache_size=0,
    )
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    environment.filters["replace"] = _replace
    environment.tests = {name: environment.tests[name] for name in _TESTS}
    environment.globals = {"range": _range}
    return environment


_ENVIRONMENT = _environment()
