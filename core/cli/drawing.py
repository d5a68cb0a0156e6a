"""
Tables and sentences on a terminal of any width.

Where a table is too narrow, its prose is folded; where folding would leave columns of a few letters, prose stands underneath
its line, and at last figures do too. What a line is about always begins it.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

GAP: Final = 2
READABLE: Final = 22
"""How narrow prose may be folded, in characters."""
INDENT: Final = "    "


def beneath(widths: Sequence[int], figures: Sequence[bool], room: int) -> frozenset[int]:
    """
    Return which columns stand underneath their line where *room* characters are all there is.

    *widths* is how wide each column would like to be, *figures* which hold numbers and cannot be folded. None, where folding is
    enough; the first column is never among them.
    """
    places = range(len(widths))
    folded = [widths[place] if figures[place] or not place else min(widths[place], READABLE) for place in places]
    if _across(folded) <= room:
        return frozenset()
    prose = sorted((place for place in places[1:] if not figures[place]), key=lambda place: (-widths[place], -place))
    below: set[int] = set()
    for place in (*prose, *(place for place in reversed(places[1:]) if figures[place])):
        if _across([widths[other] for other in places if other not in below]) <= room:
            break
        below.add(place)
    return frozenset(below)


def prose(line: str, hang: int) -> str:
    """
    Return a line folded between words to the terminal's width, what follows *hang* characters in; as it is off a terminal.

    A word that is wider than that (an address, a command's argument) stays whole.
    """
    if not sys.stdout.isatty():
        return line
    width = shutil.get_terminal_size().columns
    if len(line) <= width:
        return line
    indent = " " * (hang if hang <= width // 2 else 2 * GAP)
    kept = textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )
    return "\n".join(kept)


def draw(columns: Sequence[str], cells: Sequence[Sequence[str]], figures: Sequence[bool], title: str) -> None:
    """Print a table as wide as the terminal allows."""
    from rich.cells import cell_len
    from rich.console import Console

    console = Console(highlight=False)
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    below = beneath(widths, figures, console.width)
    filled = [place for place in range(len(columns)) if not place or any(row[place] for row in cells)]
    if len(filled) < len(columns) and _across(widths) > console.width:  # a column of nothing takes room from the others
        kept = [[row[place] for place in filled] for row in (columns, *cells)]
        draw(kept[0], kept[1:], [figures[place] for place in filled], title)
        return
    if below:
        _stacked(console, columns, cells, figures, title, below)
    else:
        _folded(console, columns, cells, figures, title)


def _across(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _folded(
    console: Console, columns: Sequence[str], cells: Sequence[Sequence[str]], figures: Sequence[bool], title: str
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        box=SIMPLE_HEAD,
        title=Text(title) if title else None,
        title_justify="left",
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for place, (name, number) in enumerate(zip(columns, figures, strict=True)):
        # what a line is about, and figures, stay whole; prose makes room
        whole = number or (place == 0 and len(columns) > 1)
        drawn.add_column(Text(name), justify="right" if number else "left", overflow="fold", no_wrap=whole)
    for row in cells:
        drawn.add_row(*(Text(text) for text in row))
    console.print(drawn)


def _stacked(
    console: Console, columns: Sequence[str], cells: Sequence[Sequence[str]], figures: Sequence[bool], title: str,
    below: frozenset[int],
) -> None:  # fmt: skip
    from rich.cells import cell_len
    from rich.padding import Padding
    from rich.text import Text

    kept = [place for place in range(len(columns)) if place not in below]
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]

    def line(texts: Sequence[str], style: str = "") -> Text:
        padded = []
        for place in kept:
            blank = " " * (widths[place] - cell_len(texts[place]))
            padded.append(blank + texts[place] if figures[place] else texts[place] + blank)
        return Text((" " * GAP).join(padded).rstrip(), style)

    if title:
        console.print(Text(title, "table.title"))
    console.print(line(columns, "table.header"))
    console.print(Text("─" * min(console.width, _across([widths[place] for place in kept]))))
    for row in cells:
        console.print(line(row))
        for place in sorted(below):
            if row[place]:
                console.print(Padding(Text(f"{columns[place]}: {row[place]}"), (0, 0, 0, len(INDENT))))
