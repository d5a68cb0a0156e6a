"""
On which line of a TOML text each key stands, so that a message can name it.

`tomllib` reads the values but tells no positions. This walks a text that `tomllib` has already accepted, so it judges nothing:
it follows headers, arrays of tables, dotted and quoted keys, and steps over strings (multi-line ones too), arrays and inline
tables, noting where each begins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Steps from the top: `("syncs", 0, "to")`."""

_BARE_END = frozenset(" \t.=]\"'")
_SCALAR_END = frozenset(",]}#\n\r")


def find_lines(text: str) -> Mapping[Path, int]:
    """Return the 1-based line of every table, key and array element of *text*, which must be valid TOML."""
    return _Walk(text).run()


class _Walk:
    """One pass over the text; `at` is the position, `lines` what was found."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}  # arrays of tables: how many there are so far
        self.line, self.counted_to = 1, 0

    def run(self) -> Mapping[Path, int]:
        table: Path = ()
        while self._skip_blank():
            if self.text.startswith("[[", self.at):
                table = self._array_header()
            elif self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self.lines

    def _note(self, path: Path, start: int) -> None:
        self.line += self.text.count("\n", self.counted_to, start)
        self.counted_to = start
        for depth in range(1, len(path) + 1):  # tables that only a dotted key implies stand where that key stands
            self.lines.setdefault(path[:depth], self.line)

    def _skip_blank(self) -> bool:
        """Move over spaces, line ends and comments; False at the end of the text."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text[self.at] in " \t\r\n":
                self.at += 1
            else:
                return True
        return False

    def _within_arrays(self, path: Path) -> Path:
        """Put the index of the latest element after each step that is an array of tables."""
        real: Path = ()
        for step in path:
            real = (*real, step)
            if real in self.counts:
                real = (*real, self.counts[real] - 1)
        return real

    def _header(self) -> Path:
        start = self.at
        self.at += 1
        *parents, last = self._key()
        self.at += 1  # the closing bracket
        path = (*self._within_arrays(tuple(parents)), last)
        self._note(path, start)
        return path

    def _array_header(self) -> Path:
        start = self.at
        self.at += 2
        *parents, last = self._key()
        self.at += 2
        array = (*self._within_arrays(tuple(parents)), last)
        index = self.counts.get(array, 0)
        self.counts[array] = index + 1
        self._note((*array, index), start)
        return (*array, index)

    def _pair(self, table: Path) -> None:
        start = self.at
        path = (*table, *self._key())
        self._note(path, start)
        self.at += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        """Return the steps of a key and stop at what follows it: `=` or a closing bracket."""
        steps = []
        while True:
            self._skip_blank()
            if self.text[self.at] in "\"'":
                steps.append(self._string())
            else:
                start = self.at
                while self.text[self.at] not in _BARE_END:
                    self.at += 1
                steps.append(self.text[start : self.at])
            self._skip_blank()
            if self.text[self.at] != ".":
                return steps
            self.at += 1

    def _string(self) -> str:
        """Step over a string of any of the four sorts and return what a key needs of it."""
        quote = self.text[self.at]
        fence = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        start = self.at + len(fence)
        end = start
        while not self.text.startswith(fence, end):
            end += 2 if quote == '"' and self.text[end] == "\\" else 1
        while len(fence) == 3 and self.text.startswith(quote, end + 3):  # up to two quotes may stand before the fence
            end += 1
        self.at = end + len(fence)
        body = self.text[start:end]
        return _unescaped(body) if quote == '"' and len(fence) == 1 else body

    def _value(self, path: Path) -> None:
        self._skip_blank()
        match self.text[self.at]:
            case '"' | "'":
                self._string()
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                while self.at < len(self.text) and self.text[self.at] not in _SCALAR_END:
                    self.at += 1

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self._skip_blank() and self.text[self.at] != "]":
            self._note((*path, index), self.at)
            self._value((*path, index))
            index += 1
            self._skip_comma()
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self._skip_blank() and self.text[self.at] != "}":
            self._pair(path)
            self._skip_comma()
        self.at += 1

    def _skip_comma(self) -> None:
        if self._skip_blank() and self.text[self.at] == ",":
            self.at += 1


def _unescaped(body: str) -> str:
    """Return a basic string's text; TOML's escapes are JSON's but for the eight-digit one."""
    if "\\" not in body:
        return body
    try:
        return str(json.loads(f'"{body}"', strict=False))
    except ValueError:
        return body
