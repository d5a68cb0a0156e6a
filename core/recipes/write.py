"""
Tables into a config file: where they belong, everything else left byte for byte, all at once or not at all.

tomlkit spells the new tables and checks the result: the old text must be there whole, and mean what it meant.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Item, Table

from core.config.locate import find_lines
from core.durable import write_file
from core.recipes.fill import RecipeError, Tables
from core.recipes.model import TABLES

BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Edit:
    """A config as it is and as it would be."""

    path: Path
    before: bytes
    after: bytes
    added: tuple[str, ...]
    """`segments.NAME` and its like."""

    @property
    def text(self) -> str:
        """The new config."""
        return self.after.decode("utf-8-sig")

    def diff(self) -> str:
        """Return what changes, as `diff -u` would show it."""
        old, new = (side.decode("utf-8-sig").replace("\r\n", "\n").splitlines() for side in (self.before, self.after))
        return "\n".join(unified_diff(old, new, str(self.path), str(self.path), lineterm=""))


def edit(path: Path, tables: Tables, comment: Sequence[str]) -> Edit:
    """
    Return the config at *path* with *tables* in it, the first of them after the lines of *comment*.

    RecipeError if there is no place. The file was loaded before: it is there, it is TOML, and no name is taken.
    """
    before = path.read_bytes()
    text = before.decode("utf-8-sig")
    flat = text.replace("\r\n", "\n")
    after = flat
    remarks = list(comment)
    for kind in (kind for kind in TABLES if kind in tables):
        block = block_of(kind, tables[kind], remarks)
        remarks = []
        after = _checked(after, kind, tables[kind], block)
    if "\r\n" in text:
        after = after.replace("\n", "\r\n")
    data = ((BOM if before.startswith(BOM.encode()) else "") + after).encode()
    added = tuple(f"{kind}.{name}" for kind, named in tables.items() for name in named)
    return Edit(path, before, data, added)


def block_of(kind: str, tables: Mapping[str, Mapping[str, Any]], comment: Sequence[str]) -> str:
    """Return *tables* as lines of TOML."""
    parts = ["".join(f"# {line}\n" for line in comment)]
    for name, table in tables.items():
        document = tomlkit.document()
        outer = tomlkit.table(is_super_table=True)
        outer.add(name, _table(table))
        document.add(kind, outer)
        parts.append(tomlkit.dumps(document).strip("\n") + "\n")
    head, *bodies = parts
    return head + "\n".join(bodies)


def _table(values: Mapping[str, Any]) -> Table:
    made = tomlkit.table()
    inner = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    for key, value in values.items():
        if key not in inner:
            made.add(key, _text(value) if isinstance(value, str) else value)
    for key, value in inner.items():
        made.add(key, _table(value))
    return made


def _text(value: str) -> Item:
    """Return *value* in the quotes that leave it as one reads it."""
    if "\n" in value and "'''" not in value and value.replace("\n", "").isprintable() and not value.endswith("'"):
        return tomlkit.value(f"'''\n{value}'''")
    plain = value.isprintable() and "'" not in value and ('"' in value or "\\" in value)
    return tomlkit.string(value, literal=plain)


def _checked(text: str, kind: str, tables: Mapping[str, Any], block: str) -> str:
    """Return *text* with *block* in the first place where it means what it should and nothing else changed."""
    old = tomllib.loads(text)
    wanted = {**old, kind: {**old.get(kind, {}), **tables}}
    for after in _attempts(text, kind, tables, block):
        with contextlib.suppress(tomllib.TOMLDecodeError, TOMLKitError):
            if tomllib.loads(after) == wanted and tomlkit.parse(after).unwrap() == wanted and _holds(after, text):
                return after
    raise RecipeError(f"there is no place for it: write [{kind}] as tables of their own, [{kind}.NAME]")


def _attempts(text: str, kind: str, tables: Mapping[str, Any], block: str) -> Iterator[str]:
    lines = text.splitlines(keepends=True)
    for at in dict.fromkeys((*_places(text, lines, kind), len(lines))):
        before, after = "".join(lines[:at]), "".join(lines[at:])
        if before and not before.endswith("\n"):
            before += "\n"
        gap = "\n" if before.strip() and not before.endswith("\n\n") else ""
        yield before + gap + block + ("\n" if after and not after.startswith("\n") else "") + after
    with contextlib.suppress(TOMLKitError):  # a table in braces can only be added to where it stands
        document = tomlkit.parse(text)
        for name, table in tables.items():
            document[kind][name] = table
        yield tomlkit.dumps(document)


def _places(text: str, lines: Sequence[str], kind: str) -> range:
    """Return after how many lines the last table of *kind* may end, likeliest first; none, where there is no such table."""
    found = find_lines(text)
    last = max((line for path, line in found.items() if path[0] == kind), default=None)
    if last is None:
        return range(0)
    following = min((line for path, line in found.items() if path[0] != kind and line > last), default=len(lines) + 1)
    at = following - 1
    while at > last and (not lines[at - 1].strip() or lines[at - 1].lstrip().startswith("#")):
        at -= 1  # what stands above the next table is about that one; it may be the end of a long text, too
    return range(at, following)


def _holds(after: str, before: str) -> bool:
    """Return whether all lines of *before* are in *after*, in their order; a table in braces may have grown on its line."""
    old, new = before.splitlines(), after.splitlines()
    lines = iter(new)
    if all(line in lines for line in old):
        return True
    grown = [line for line, now in zip(old, new, strict=False) if line != now]
    return len(old) == len(new) and len(grown) == 1 and "{" in grown[0]


def write(made: Edit) -> None:
    """Replace the file by the new text, all at once; RecipeError if somebody else has changed it meanwhile."""
    path = made.path.resolve()  # a link stays a link
    if path.read_bytes() != made.before:
        raise RecipeError(f"{made.path} was changed meanwhile; nothing is written")
    write_file(path, made.after, like=path.stat())
