"""The expressions of a config before they are read, and the order that what they name asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from core.errors import Problem
from core.segments.rests import names_in
from core.segments.tree import Condition

if TYPE_CHECKING:
    from core.config.model import Config, Place

Zone = ZoneInfo | Literal["person"]


@dataclass(frozen=True, slots=True)
class Text:
    """One expression of the config, before it is read."""

    set_name: str
    text: str
    key: str
    place: Place
    zone: Zone
    of: str = "person"
    anonymous: bool = False
    calendar: str = ""
    """What of the workspace's calendar the text may hang on, for its hash."""


def texts_of(config: Config) -> Iterator[Text]:
    """Yield the text of every segment and of every group."""
    workspace = config.workspace.timezone
    for s in config.segments.values():
        key, zone = f"{s.place.key}.where", s.timezone or workspace
        yield Text(f"segment.{s.name}", s.where, key, s.place, zone, s.of, s.anonymous, _calendar(config, zone))
    for p in config.partitions.values():
        for group, text in p.groups.items():
            key, zone = f"{p.place.key}.groups.{group}", p.timezone or workspace
            yield Text(f"partition.{p.name}.{group}", text, key, p.place, zone, "person", p.anonymous, _calendar(config, zone))


def _calendar(config: Config, zone: Zone) -> str:
    """Return what the calendar words of a text hang on besides its zone, where that is not the usual."""
    workspace = config.workspace
    weeks = f" {workspace.week_start}" if workspace.week_start != "monday" else ""
    return weeks if isinstance(zone, ZoneInfo) else f"{weeks} {workspace.timezone}"


def in_order(texts: Mapping[str, Text], read_: Mapping[str, Condition], problems: list[Problem]) -> list[str]:
    """Return `segment.NAME` and `partition.NAME`, each after what it names; a circle is a problem shown where it closes."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, condition in read_.items():
        whole = whole_of(name)
        sorter.add(whole, *names_in(condition))
    try:
        wholes = list(sorter.static_order())
    except CycleError as error:
        circle: list[str] = list(reversed(error.args[1]))
        first = next(t for name, t in texts.items() if whole_of(name) == circle[0] and circle[1] in names_in(read_[name]))
        told = circle[1].split(".", 1)[1]
        problems.append(
            Problem(
                f"goes round in a circle: {' -> '.join(circle)}",
                first.place.file,
                first.place.line,
                first.key,
                source=first.text,
                column=max(0, first.text.find(f'"{told}"')),
            )
        )
        return []
    return wholes


def whole_of(name: str) -> str:
    """Return what is ordered as one: a segment, or a partition with all of its groups."""
    return ".".join(name.split(".")[:2])
