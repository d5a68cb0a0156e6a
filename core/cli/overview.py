"""How everything stands, for a person: as little as says whether all is well, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from core.cli.flapping import told_flapping
from core.cli.held import Waiting, show_held
from core.cli.output import age, cell, clean, counted, one_line, table
from core.store.pauses import ALL


def show_standing(found: Mapping[str, Any]) -> None:
    """Print what `core.cli.standing` read."""
    now = found["as_of"]
    click.echo(f"The daemon is {'running' if found['daemon'] else 'not running'}.")
    if found["daemon_config"] is not None and not found["daemon_config"]["current"]:
        click.echo(clean(spell_config(found["daemon_config"])))
    if any(one["target"] == ALL for one in found["paused"]):
        click.echo("Everything is paused; `tagalong resume --all` lets it go on.")
    click.echo()
    rows = [_connection_row(one, now) for one in found["connections"]]
    if rows:
        table(("connection", "last pull", "status", "records", "next", "note"), rows)
    if found["syncs"]:
        click.echo()
        rows = [_sync_row(one, now) for one in found["syncs"]]
        table(("sync", "to", "last run", "status", "ours", "next", "note"), rows)
    waiting = [Waiting(hold["target"], hold["reason"], tuple(hold["approve"]), hold["since"]) for hold in found["holds"]]
    if waiting:
        click.echo()
        show_held(waiting, now)
    for line in _endings(found):
        click.echo(clean(f"\n{line}"))


def spell_config(running: Mapping[str, Any]) -> str:
    """Return what is to be known of the daemon's config where it is not the one in the files."""
    told = f"It runs by the config of {cell(running['loaded_at'])}"
    if running["refused_at"] is None:
        return f"{told}; the files have been edited, and are read in a moment."
    return f"{told}; that in the files was refused at {cell(running['refused_at'])}: {running['refusal']} (`tagalong check`)."


def _endings(found: Mapping[str, Any]) -> Iterator[str]:
    for one in found["syncs"]:
        for label, delays in one["delayed"].items():
            yield from (_told_delay(label, reason, delayed) for reason, delayed in delays.items())
        if one["flapping"]:
            yield told_flapping(one["name"], one["flapping"])
    for one in found["retired"]:
        also = f", and {one['on_their_way']} are on their way in or out" if one["on_their_way"] else ""
        yield f"retired: {one['ours']} of ours stay in the {one['kind']} {one['name']!r} at {one['connection']}{also}"
    letters = found["dead_letters"]
    counts = (
        ("records", "unreadable record", "unreadable records"),
        ("members", "member to be tried again", "members to be tried again"),
        ("given_up", "given up", "given up"),
    )
    if any(letters.values()):
        told = ", ".join(counted(letters[name], one, many) for name, one, many in counts if letters[name])
        yield f"dead letters: {told} (`tagalong dead-letters`)"


def _told_delay(label: str, reason: str, delayed: Mapping[str, Any]) -> str:
    first, last = (delayed[key][:16].replace("T", " ") for key in ("first_at", "last_at"))
    stay = "1 stays" if delayed["members"] == 1 else f"{delayed['members']:,} stay"
    return f"{label}: {stay} for {reason}, until {first}Z" + (f" to {last}Z" if first != last else "")


def _connection_row(one: Mapping[str, Any], now: datetime) -> list[object]:
    records = sum(stream["records"] for stream in one["streams"])
    status = one["status"] or ("never pulled" if one["pulls"] else "only pushed to")
    return [one["name"], _ago(one["run_at"], now), status, records, _ahead(one["due_at"], now), "; ".join(_doubts(one))]


def _doubts(one: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is to be known of a connection; nothing where all is well."""
    if not one["enabled"]:
        yield "not enabled"
    if one["paused"]:
        yield f"paused, until `tagalong resume {one['name']}`"
    if one["quota_until"]:
        yield f"quota used up until {one['quota_until']:%H:%M}Z"
    elif one["quota_kept_until"]:
        yield f"the rest of its quota is kept for people until {one['quota_kept_until']:%H:%M}Z"
    if one["away"] and one["away"]["until"]:
        since, until = one["away"]["since"], one["away"]["until"]
        yield f"no answer since {since:%H:%M}Z, left alone until {until:%H:%M}Z ({one['away']['reason']})"
    yield from _failures(one["streams"])
    for stream in one["streams"]:
        if stream["stale"]:
            yield f"{stream['name']} is stale"
        if stream["held"]:
            yield f"{stream['name']}: {stream['vanished']:,} vanished"
    if one["error"] and not any(stream["error"] for stream in one["streams"]):
        yield one["error"]


def _failures(streams: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield each error once, with the streams that have it; alone where all do: then it is the connection's own."""
    of: dict[str, list[str]] = {}
    for stream in streams:
        if stream["error"]:
            of.setdefault(one_line(stream["error"]), []).append(stream["name"])
    for error, names in of.items():
        yield error if len(names) == len(streams) > 1 else f"{', '.join(names)}: {error}"


def _sync_row(one: Mapping[str, Any], now: datetime) -> list[object]:
    notes = [] if one["enabled"] else ["not enabled"]
    notes += ["paused"] if one["paused"] else []
    notes += [one["error"]] if one["error"] else []
    ours = sum(audience["ours"] for audience in one["audiences"])
    status = one["status"] or "never run"
    return [one["name"], one["to"], _ago(one["run_at"], now), status, ours, _ahead(one["due_at"], now), "; ".join(notes)]


def _ago(at: datetime | None, now: datetime) -> str:
    return "" if at is None else f"{age(max(0.0, (now - at).total_seconds()))} ago"


def _ahead(at: datetime | None, now: datetime) -> str:
    if at is None:
        return ""
    return "due" if at <= now else f"in {age((at - now).total_seconds())}"
