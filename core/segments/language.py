"""
Text to Python's own syntax tree, checked: sizes first, then only the few forms that the language has.

Nothing is ever executed. Whatever the text, the answer is a tree or an `ExpressionError` with a column. What the words
mean is in `reader` and `words`.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field
from typing import Final

from core.errors import HubError, Problem

MAX_CHARS: Final = 10_000
MAX_DEPTH: Final = 40
MAX_NODES: Final = 4_000

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
    | (?P<triple>\"{3}|'{3})
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<open>[\[({])
    | (?P<close>[\])}])
    | (?P<quote>["'])
    | (?P<space>[\n\r\t\f\v])
    """,
    re.VERBOSE,
)

_FORMS: Final[dict[type[ast.AST], str]] = {
    ast.Lambda: "lambda",
    ast.JoinedStr: "an f-string",
    ast.Subscript: "an index in brackets",
    ast.Dict: "a dictionary",
    ast.Set: "a set; write a list, [...]",
    ast.NamedExpr: "an assignment; to compare, write ==",
    ast.Starred: "a star",
    ast.Await: "await",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
}
_ALLOWED: Final = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.Eq, ast.NotEq, ast.Lt,
    ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Attribute, ast.Constant,
    ast.List, ast.Tuple, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.IfExp,
)  # fmt: skip


class ExpressionError(HubError):
    """What is wrong in an expression, and where."""

    def __init__(self, message: str, column: int, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.column = column
        """0-based, in the text as it was given."""
        self.remedy = remedy

    def problem(self, source: str, *, file: str | None, line: int | None, key: str | None) -> Problem:
        """Return this as a problem of the configuration, with the text and the caret."""
        return Problem(
            self.message, file=file, line=line, key=key, remedy=self.remedy, source=source, column=min(self.column, len(source))
        )


@dataclass(frozen=True, slots=True)
class Parsed:
    """A checked tree and the way back from its nodes to columns of the text."""

    root: ast.expr
    flat: bytes
    offset: int
    spent: dict[str, int] = field(default_factory=dict, compare=False)
    """How much of what is dear to read was read already."""

    def spend(self, node: ast.AST, what: str, most: int, amount: int = 1) -> None:
        """Count *amount* of what is dear to read; ExpressionError at *node* if the text has more than *most* of it."""
        self.spent[what] = self.spent.get(what, 0) + amount
        if self.spent[what] > most:
            raise ExpressionError(f"more than {most:,} {what}", self.column(node), "split it into segments and name them")

    def column(self, node: ast.AST) -> int:
        """Return the column of *node* in the text as it was given."""
        start = getattr(node, "col_offset", 0)
        return self.offset + len(self.flat[:start].decode("utf-8", "ignore"))


def parse(text: str) -> Parsed:
    """Return the checked syntax tree of *text*; ExpressionError for whatever is not in the language."""
    if len(text) > MAX_CHARS:
        raise ExpressionError(f"longer than {MAX_CHARS:,} characters", 0, "split it into segments and name them")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ExpressionError("a character that no text can hold", error.start) from error
    line = _on_one_line(text)
    flat = line.strip(" ")
    if not flat:
        raise ExpressionError("nothing is written here", 0)
    offset = len(line) - len(line.lstrip(" "))
    parsed = Parsed(_syntax(flat, offset), flat.encode(), offset)
    _check(parsed)
    return parsed


def _on_one_line(text: str) -> str:
    """Blank out comments and line ends, character for character, so that columns stay true; and cap the nesting."""
    out: list[str] = []
    at, depth = 0, 0
    for token in _TOKEN.finditer(text):
        out.append(text[at : token.start()])
        at = token.end()
        match token.lastgroup:
            case "comment" | "space":
                out.append(" " * len(token[0]))
                continue
            case "triple" | "quote":
                raise ExpressionError("a text that does not end on its line", token.start(), 'write "..." on one line')
            case "open":
                depth += 1
            case "close":
                depth -= 1
        if depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH}", token.start(), "split it into segments and name them")
        out.append(token[0])
    out.append(text[at:])
    return "".join(out)


def _syntax(flat: str, offset: int) -> ast.expr:
    if "\0" in flat:  # which error it is differs from one Python to the next
        raise ExpressionError("cannot be read: source code cannot contain null bytes", offset + flat.index("\0"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a pattern is meant
            return ast.parse(flat, mode="eval").body
    except SyntaxError as error:
        column = offset + max(0, min((error.offset or 1) - 1, len(flat)))
        remedy = "to compare, write ==" if re.match(r"\s*=(?!=)", flat[column - offset :]) else None
        if re.search(r"&&|\|\||(?<![=!<>])!(?!=)", flat):
            remedy = "write and, or, not"
        raise ExpressionError(f"cannot be read: {_plain(error.msg)}", column, remedy) from error
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise ExpressionError("cannot be read", offset, "look for odd characters and deep nesting") from error


def _plain(message: str | None) -> str:
    return (message or "invalid syntax").split(" (<")[0].split(". Perhaps")[0].split(". Maybe")[0]


def _check(parsed: Parsed) -> None:
    """Walk the tree without recursion: only known forms, not too deep, not too many."""
    stack: list[tuple[ast.AST, int]] = [(parsed.root, 1)]
    nodes = 0
    while stack:
        node, depth = stack.pop()
        nodes += 1
        if nodes > MAX_NODES:
            raise ExpressionError(f"more than {MAX_NODES:,} parts", parsed.column(node), "split it into segments and name them")
        if depth > MAX_DEPTH:
            raise ExpressionError(
                f"nested deeper than {MAX_DEPTH}", parsed.column(node), "split it into segments and name them"
            )
        if not isinstance(node, _ALLOWED) or (isinstance(node, ast.BinOp) and not isinstance(node.op, _ALLOWED)):
            raise ExpressionError(f"{_form(node)} is not in the language", parsed.column(node))
        if isinstance(node, ast.Constant):
            _check_constant(parsed, node)
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))


def _form(node: ast.AST) -> str:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
        return "`&` or `|` for `and` or `or`"
    if isinstance(node, ast.Is | ast.IsNot):
        return "`is`; write ==, exists(x) or missing(x):"
    if isinstance(node, ast.BinOp):
        return "other arithmetic than + - * /"
    return _FORMS.get(type(node), f"`{type(node).__name__.lower()}`")


def _check_constant(parsed: Parsed, node: ast.Constant) -> None:
    value = node.value
    column = parsed.column(node)
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        if not -(2**53) <= value <= 2**53:  # also infinity: beyond it a number is not exact in every store
            raise ExpressionError("a number too large to be exact", column)
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ExpressionError("a character that no text can hold", column) from error
        if "\0" in value:
            raise ExpressionError("a zero character inside a text", column)
    elif value is None:
        raise ExpressionError("None is not in the language", column, "write missing(x) or exists(x)")
    else:
        what = "bytes are" if isinstance(value, bytes) else f"{repr(value)[:20]} is"
        raise ExpressionError(f"{what} not in the language", column)
