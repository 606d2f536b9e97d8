"""The text of an expression, made ready for Python's parser, and the tree that it makes.

Python's syntax serves, but for three things: names that are no single word stand in backquotes, an
expression may go over several lines, and signs of other languages (``&&``, ``=``) get a hint of
their own instead of "invalid syntax".
"""

from __future__ import annotations

import ast
import re
import warnings

LONGEST = 2_000
"""Characters of an expression."""
_MOST_QUOTED = 100
"""Names in backquotes."""

_PIECE = re.compile(
    r"""(?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|`(?P<name>[^`]*)`"""
    r"""|(?P<odd>&&|\|\||\{\{|\#|`|(?<![<>=!])=(?!=)|!(?!=))"""
)
_ODD = {
    "&&": "write and",
    "||": "write or",
    "!": "write not",
    "=": "write == to compare",
    "{{": "an expression has names without braces: subject, not {{ subject }}",
    "#": "put quotes around a text that has a # in it",
    "`": "close the name with another backquote",
}


class ExpressionProblem(Exception):
    """An expression that can't be read, or not worked out. The text is a sentence for people.

    ``column`` counts the expression's characters from 1; None is the expression as a whole.
    """

    def __init__(self, message: str, hint: str | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.column = column


class Source:
    """One expression's text. ``tree`` is Python's tree of it, not checked for what may be in it."""

    def __init__(self, text: str) -> None:
        """Raises :class:`ExpressionProblem`."""
        if len(text) > LONGEST:
            raise ExpressionProblem(f"an expression may have {LONGEST:,} characters")
        if not text.strip():
            raise ExpressionProblem("the expression is empty", "write one, such as steps > 8")
        self._quoted: dict[str, str] = {}
        line = re.sub(r"[\r\n\t\f\v]", " ", _PIECE.sub(self._piece, text))
        self._indent = len(line) - len(line.lstrip())
        self._line = line.lstrip()
        self.tree = self._parse()

    def name(self, node: ast.Name) -> str:
        """The name that somebody wrote, without backquotes."""
        return self._quoted.get(node.id, node.id)

    def column(self, node: ast.AST) -> int:
        """Where a node begins, in characters from 1; Python counts bytes of UTF-8."""
        offset: int = getattr(node, "col_offset", 0)
        before = self._line.encode("utf-8", "surrogatepass")[:offset]
        return len(before.decode("utf-8", "surrogatepass")) + 1 + self._indent

    def _piece(self, found: re.Match[str]) -> str:
        """A quoted text as it is; a name in backquotes as a word of equal length that Python can
        read, so that columns stay right."""
        column = found.start() + 1
        if found["text"] is not None:
            return found[0]
        if found["odd"] is not None:
            sign = found["odd"]
            raise ExpressionProblem(f"an expression can't have {sign} here", _ODD[sign], column)
        name = found["name"]
        if not name or len(self._quoted) >= _MOST_QUOTED:
            message = "there are too many names in backquotes" if name else "there is no name here"
            raise ExpressionProblem(message, None, column)
        word = "ǃ" + str(len(self._quoted)).rjust(len(name) + 1, "0")
        self._quoted[word] = name
        return word

    def _parse(self) -> ast.expr:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's advice on its own code
                return ast.parse(self._line, mode="eval").body
        except SyntaxError as error:
            column = min(error.offset or LONGEST, len(self._line) + 1) + self._indent
            hint = "texts stand in quotes, names without: style == 'Anime' and steps > 8"
            raise ExpressionProblem("the expression can't be read here", hint, column) from None
        except (RecursionError, MemoryError):
            message = "the expression is nested too deeply"
            raise ExpressionProblem(message, "write it in a simpler way") from None
        except ValueError:
            raise ExpressionProblem("the expression has a character that can't be read") from None
