"""What to tell of a file that is no TOML: the line, a caret and what was most likely meant; tomllib's words are a parser's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from core.errors import ConfigError, Problem

_SECRET = re.compile(r"(?i)[^=]*(?:token|key|secret|pass|pwd|auth|cred)[^=]*=")
_POSITION = re.compile(r" \(at line (\d+), column (\d+)\)$")
_TWICE = re.compile(r"Cannot declare \(.*\) twice")
_NAMED = re.compile(r"\s*(\[.*\]|[^=\[\]{}]+?)\s*(?:=|#|$)")
_QUOTED = re.compile(r"[^=]*=\s*([\"'])")
_CURLY: Final = "\u201c\u201d\u201e\u2018\u2019"


def decoded(content: bytes, path: Path) -> str:
    """Return the text of a file, without a byte order mark; ConfigError with the line where it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem("is not UTF-8 text", file=str(path), line=line, remedy="save the file as UTF-8")
        raise ConfigError(problem) from error


def syntax_problem(message: str, path: Path, text: str) -> Problem:
    """Return what tomllib's *message* about *text* means to a person."""
    lines = text.splitlines() or [""]
    position = _POSITION.search(message)
    line, column = (int(position[1]), int(position[2])) if position else (len(lines), len(lines[-1]) + 1)
    line = min(line, len(lines))
    source = lines[line - 1]
    said, remedy = _meant(_POSITION.sub("", message).removesuffix(" (at end of document)"), source)
    return Problem(
        f"not TOML: {said}", file=str(path), line=line, source=_without_secret(source), column=column - 1, remedy=remedy
    )


def _meant(said: str, source: str) -> tuple[str, str | None]:
    """Return what is wrong with the line *source*, and what to do where that can be told."""
    if said == "Cannot overwrite a value" or _TWICE.fullmatch(said):
        named = _NAMED.match(source)
        table = named is not None and named[1].startswith("[")
        remedy = "put the two together, or give one another name" if table else "leave one of them"
        return f"{named[1] if named else 'a key'} is there twice", remedy
    if any(mark in source for mark in _CURLY):
        return said, "text stands in straight quotes, \" or '"
    quoted = _QUOTED.match(source)
    match said:
        case "Invalid value":
            return said, 'text stands in quotes, as "..."; true, false and numbers do without'
        case "Expected newline or end of document after a statement" if quoted:
            other = "single quotes, '...'" if quoted[1] == '"' else 'double quotes, "..."'
            return said, f"text that has {quoted[1]} in it stands in {other}"
        case "Unescaped '\\' in a string":
            return said, "in single quotes, '...', a backslash is one"
        case _:
            return said, None


def _without_secret(line: str) -> str:
    """Blot out the value of a key that sounds like a credential's; the caret still stands under the right column."""
    key = _SECRET.match(line)
    return line if key is None else line[: key.end()] + re.sub(r"\S", "*", line[key.end() :])
