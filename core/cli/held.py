"""What is held, for a person: each reason once, with everything that it holds and the command that lets it go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from core.cli.output import age, clean


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that is held."""

    label: str
    """`SYNC`, `SYNC.GROUP` or `CONNECTION.STREAM`."""
    reason: str
    approve: tuple[str, ...] = ()
    """What `tagalong approve` is told to release it; empty where only time or a repair does."""
    held_s: float | None = None
    """How long it has been held."""


def show_held(waiting: Iterable[Waiting]) -> None:
    """Print what is held, what is held for the same reason together."""
    by_reason: dict[str, list[Waiting]] = {}
    for one in waiting:
        by_reason.setdefault(one.reason, []).append(one)
    for reason, several in by_reason.items():
        longest = max((one.held_s for one in several if one.held_s is not None), default=None)
        since = "" if longest is None else f" for {age(longest)}"
        labels = list(dict.fromkeys(one.label for one in several))
        if len(labels) == 1:
            click.echo(clean(f"held{since}: {labels[0]}: {reason}"))
        else:
            click.echo(clean(f"held{since}: {reason}"))
            click.echo(clean(f"      {len(labels)} audiences: {', '.join(_folded(labels))}"))
        click.echo(clean(f"      {_way_on(several)}"))


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
