"""
How answers look: tables for people, one JSON object for programs, progress on a terminal.

Text from a vendor may hold anything; before a terminal sees it, control characters go, and rich is handed `Text`, never markup.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import click

_ESCAPED = (*range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)
_CONTROL = {code: None for code in (*range(0x20), *_ESCAPED) if chr(code) not in "\n\t"}
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in _ESCAPED}
MAX_CELL = 200


def clean(text: str) -> str:
    """Return *text* without what could move the cursor, recolour the terminal or turn the reading direction."""
    return text.translate(_CONTROL)


def cell(value: object) -> str:
    """Return *value* as one line for a table."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%SZ")
        case float():
            return f"{value:,.2f}".rstrip("0").rstrip(".")
        case int():
            return f"{value:,}"
        case Mapping():
            return ", ".join(f"{cell(key)} {cell(inner)}" for key, inner in value.items())
        case list() | tuple() | set() | frozenset():
            return ", ".join(cell(inner) for inner in value)
        case _:
            text = one_line(clean(str(value))).replace("\t", " ")
            return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"


def one_line(text: str) -> str:
    """Return *text* on one line, its own lines told apart: an error stands above what to do about it."""
    return re.sub(r"\s*\n\s*", "; ", text.strip("\n"))


def age(seconds: float) -> str:
    """Return how long something took or has been, as coarse as one would say it: `40s`, `12m`, `30h`, `6d`."""
    for unit, size, most in (("s", 1, 90), ("m", 60, 5_400), ("h", 3_600, 172_800)):
        if seconds < most:
            return f"{round(seconds / size)}{unit}"
    return f"{round(seconds / 86_400)}d"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a count as one would say it: `1 sync`, `2 syncs`; *many* where more than an s is added."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Print rows: a drawn table on a terminal, aligned columns elsewhere; numbers stand to the right."""
    cells = [[cell(value) for value in row] for row in rows]
    right = [bool(rows) and all(isinstance(row[i], int | float) or row[i] is None for row in rows) for i in range(len(columns))]
    if sys.stdout.isatty():
        from core.cli.drawing import draw

        draw(columns, cells, right, title)
        return
    if title:
        click.echo(title)
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in [list(columns), *cells]:
        padded = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(line, widths, right, strict=True)]
        click.echo("  ".join(padded).rstrip())


class Progress:
    """What is under way. This one tells nobody; `progress` gives one that draws where there is a terminal."""

    def say(self, state: str) -> None:
        """Show a new state."""

    def of(self, total: int) -> None:
        """Show a bar from now on, for *total* steps."""

    def step(self) -> None:
        """Fill the bar by one step."""


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """Show what is under way, on a terminal only."""
    if not sys.stderr.isatty():
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Drawn

    columns = (SpinnerColumn(), BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Drawn(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task(clean(what), total=None)

        class Bar(Progress):
            def say(self, state: str) -> None:
                drawn.update(task, description=clean(f"{what}: {state}"))

            def of(self, total: int) -> None:
                drawn.update(task, total=total, completed=0)

            def step(self) -> None:
                drawn.advance(task)

        yield Bar()


def as_json(data: Mapping[str, object]) -> str:
    """Return *data* as one line of JSON that is safe to show on a terminal too."""
    return spelled(json.dumps(plain(data), ensure_ascii=False))


def spelled(text: str) -> str:
    """Return JSON that means the same and cannot move a terminal's cursor."""
    return text.translate(_JSON_ESCAPES)


def plain(value: Any) -> Any:
    """Return *value* in JSON's types: times are ISO 8601 with a Z, durations seconds, sets sorted lists."""
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return value.total_seconds()
        case date() | Path():
            return str(value)
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case set() | frozenset():
            return sorted((plain(inner) for inner in value), key=str)
        case _ if is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        case _ if hasattr(value, "__iter__"):
            return [plain(inner) for inner in value]
        case _:
            return str(value)
