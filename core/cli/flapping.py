"""Who goes in and out of a segment over and over: by name for `segments --flapping`, by number for `plan` and `status`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import App

if TYPE_CHECKING:
    import sqlite3

    from core.segments.flapping import Flapping
    from core.store import Store


def show_flapping(
    app: App,
    store: Store,
    chosen: Sequence[str],
    *,
    until: datetime,
    within: timedelta | None,
    times: int | None,
    of: str = "person",
) -> int:
    """Print who flaps in each of the sets *chosen*, most often first; *of* says whether they are people or companies."""
    from core.segments.flapping import TIMES, WITHIN, flapping

    least, span = times or TIMES, within or WITHIN
    found = {name: flapping(store.conn, name, until=until, within=span, times=least) for name in chosen}
    key = "company_id" if of == "company" else "profile_id"
    rows = [row for name, one in found.items() for row in _rows(store, name, one, key)]
    rows.sort(key=lambda row: -row["times"])
    graces = [one.grace for one in found.values() if one.grace]
    grace = max(graces, key=_length, default=None)
    if app.as_json:
        return app.answer({"as_of": until, "times": least, "within_s": span, "flapping": rows, "grace": grace})
    _show(rows, key, least, span, grace, several=len(chosen) > 1)
    return 0


def _length(text: str) -> timedelta:
    from core.durations import parse_duration

    return parse_duration(text)


def _rows(store: Store, name: str, found: Flapping, key: str) -> Iterator[dict[str, Any]]:
    from pyroaring import BitMap

    from core.cli.members import identified

    for id_, identifiers in identified(store, BitMap(found.people), key):
        one = found.people[id_]
        yield {
            "set": name, key: id_, "identifiers": identifiers, "times": one.times, "member": one.member,
            "last_at": one.last_at,
        }  # fmt: skip


def _show(
    rows: Sequence[Mapping[str, Any]], key: str, times: int, within: timedelta, grace: str | None, *, several: bool
) -> None:
    from core.cli.output import table

    if not rows:
        click.echo(f"nobody went out {times} times or more within {_spoken(within)}")
        return
    first = ("set",) if several else ()
    told = [[*(one[key] for key in first), str(one[key]), _who(one["identifiers"]),
             one["times"], one["last_at"], one["member"]] for one in rows]  # fmt: skip
    table((*first, key.removesuffix("_id"), "who", "times out", "last out", "in now"), told)
    if grace is not None:
        click.echo(f'\ngrace = "{grace}" on a sync keeps most of them in until they are back')


def _spoken(duration: timedelta) -> str:
    from core.cli.output import counted
    from core.durations import spell_duration

    return spell_duration(duration) if duration % timedelta(days=1) else counted(duration.days, "day")


def _who(identifiers: Mapping[str, Sequence[str]]) -> str:
    for kind in ("email", "user_id", *identifiers):
        if identifiers.get(kind):
            return identifiers[kind][0]
    return ""


# --- for plan and status -------------------------------------------------------------------------------------------


def count_flapping(conn: sqlite3.Connection, sets: Iterable[str], *, until: datetime) -> dict[str, Any] | None:
    """Return how many people flap in *sets* and what grace would help; None where nobody does."""
    from core.segments.flapping import TIMES, WITHIN, flapping

    found = {name: flapping(conn, name, until=until) for name in sets}
    members = len({person for one in found.values() for person in one.people})  # who goes to and fro is out of both
    if not members:
        return None
    worst = max(found, key=lambda name: len(found[name].people))
    graces = [one.grace for one in found.values() if one.grace]
    return {
        "members": members, "times": TIMES, "within_s": WITHIN.total_seconds(), "name": worst.partition(".")[2],
        "grace": max(graces, key=_length, default=None),
    }  # fmt: skip


def told_flapping(label: str, found: Mapping[str, Any]) -> str:
    """Return the line that `plan` and `status` have of it."""
    from core.cli.output import counted

    people, within = counted(found["members"], "person", "people"), _spoken(timedelta(seconds=found["within_s"]))
    grace = f'; grace = "{found["grace"]}" would keep most of them in' if found["grace"] else ""
    return (
        f"{label}: {people} went out of it {found['times']} times or more within {within}"
        f" (`tagalong segments {found['name']} --flapping`){grace}"
    )
