"""What is held, for a person: each reason once, with everything that it holds and the command that lets it go on."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from core.cli.drawing import prose
from core.cli.output import age, clean

WIDTH = 100


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that is held."""

    label: str
    """`SYNC`, `SYNC.GROUP` or `CONNECTION.STREAM`."""
    reason: str
    approve: tuple[str, ...] = ()
    """What `tagalong approve` is told to release it; empty where only time or a repair does."""
    since: datetime | None = None


def show_held(waiting: Iterable[Waiting], now: datetime | None = None) -> None:
    """Print what is held, what is held for the same reason together; since when, where that is known and it is *now*."""
    of: dict[str, list[Waiting]] = {}
    for one in waiting:
        of.setdefault(one.label, []).append(one)
    together: dict[tuple[str, ...], list[Waiting]] = {}
    for several in of.values():
        together.setdefault(tuple(dict.fromkeys(one.reason for one in several)), []).extend(several)
    for reasons, several in together.items():
        _show(reasons, several, now)


def _show(reasons: tuple[str, ...], several: Sequence[Waiting], now: datetime | None) -> None:
    first = min((one.since for one in several if one.since is not None), default=None)
    since = "" if first is None or now is None else f" since {first:%Y-%m-%d %H:%M}Z ({age((now - first).total_seconds())})"
    labels = list(dict.fromkeys(one.label for one in several))
    alone = f"{labels[0]}: " if len(labels) == 1 else ""
    click.echo(prose(clean(f"held{since}: {alone}{reasons[0]}"), 6))
    for reason in reasons[1:]:
        click.echo(prose(clean(f"      {reason}"), 6))
    if not alone:
        click.echo(_indented(f"{len(labels)} audiences: {', '.join(_folded(labels))}"))
    click.echo(_indented(_way_on(several)))


def _indented(text: str) -> str:
    width = min(WIDTH, shutil.get_terminal_size().columns - 6) if sys.stdout.isatty() else WIDTH
    return textwrap.indent(textwrap.fill(clean(text), width, break_on_hyphens=False, break_long_words=False), "      ")


def _way_on(several: Sequence[Waiting]) -> str:
    targets = list(dict.fromkeys(target for one in several for target in one.approve))
    it = "it" if len({one.label for one in several}) == 1 else "them"
    if not targets:
        return f"nothing to approve; {'it goes' if it == 'it' else 'they go'} on once that is mended"
    commands = ", ".join(f"`tagalong approve {target}`" for target in targets)
    return f"{commands} {'lets' if len(targets) == 1 else 'let'} {it} go on"


def _folded(labels: Sequence[str]) -> list[str]:
    """Return *labels* with the groups of one sync as one word."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        sync, _, _ = label.partition(".")
        groups.setdefault(sync, []).append(label)
    return [several[0] if len(several) == 1 else f"{sync} ({len(several)} groups)" for sync, several in groups.items()]
