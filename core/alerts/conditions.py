"""
What is wrong now: runs that failed, what is held, sources that are stale, refusals, schedules that nothing came of.

Read from the store alone, so it is the same whoever asks, in whatever process the run was. Nothing here knows whom to tell.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import Final

from core.alerts.runs import Last, last_run, last_telling, new_refusals
from core.clock import from_us
from core.config.model import AlertState, Config, Schedule
from core.log import redact
from core.planning.guards import HeldKind, SourceState, lost, quiet, stale, taken_out
from core.pulling.freshness import DUE_TIMES_MISSED, source_states
from core.pushing.targets import sync_of
from core.service.schedule import due_after
from core.store.holds import Hold, holds
from core.store.pauses import ALL, pauses
from core.store.sources import began_after

OF_SOURCES: Final = frozenset({HeldKind.SOURCE, HeldKind.VANISHED})
"""Why a sync is held where it is not its own doing."""
MAX_REASON: Final = 600
"""Characters; a partition of thirty groups has as many reasons."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is wrong."""

    subject: str
    """connection.NAME, stream.CONNECTION.NAME, sync.NAME."""
    state: AlertState
    _: KW_ONLY
    since: datetime
    reason: str
    counts: Mapping[str, int] = field(default_factory=dict)
    remedy: str = ""
    """The command that a person would type."""
    sources: frozenset[str] = frozenset()
    """The connections that it is only a consequence of."""


@dataclass(slots=True)
class Seen:
    """What one look at the store shows."""

    conditions: list[Condition] = field(default_factory=list)
    watched: set[str] = field(default_factory=set)
    """All subjects that are looked at; what is not among them was taken out of the config, or is not enabled."""
    unknown: set[tuple[str, AlertState]] = field(default_factory=set)
    """Of which nothing can be said now (paused, or nothing was sent since): whatever was told of them stands."""


def look_around(conn: sqlite3.Connection, config: Config, now: datetime, *, began_at: datetime | None = None) -> Seen:
    """Return what is wrong as of *now*; *began_at* is since when somebody has been there to run what is due."""
    seen = Seen()
    stopped = frozenset(pauses(conn))
    for name, connection in config.connections.items():
        if not connection.enabled or connection.streams == ():
            continue
        subject = f"connection.{name}"
        seen.watched.add(subject)
        if {ALL, subject} & stopped:
            seen.unknown |= {(subject, state) for state in AlertState}
            continue
        after = began_after(conn, name)
        seen.conditions += _of_job(conn, "pull", name, connection.schedule, config, now, began_at, after, seen)
    _streams(conn, config, now, stopped, seen)
    held = _holds(conn, config)
    for name, sync in config.syncs.items():
        if not sync.enabled or not config.connections[sync.to].enabled:
            continue
        subject = f"sync.{name}"
        seen.watched.add(subject)
        if {ALL, subject, f"connection.{sync.to}"} & stopped:
            seen.unknown |= {(subject, state) for state in AlertState}
            continue
        seen.conditions += _of_job(conn, "sync", name, sync.schedule, config, now, began_at, 0, seen)
        if name in held:
            _tell_held(conn, name, held[name], seen)
    return seen


def _of_job(
    conn: sqlite3.Connection,
    kind: str,
    name: str,
    schedule: Schedule | None,
    config: Config,
    now: datetime,
    began_at: datetime | None,
    after: int,
    seen: Seen,
) -> Iterator[Condition]:
    """Yield what the runs of one pull or sync show: failed, too many refused, none that was good for too long."""
    subject = f"{'connection' if kind == 'pull' else 'sync'}.{name}"
    last = last_telling(conn, kind, name, after=after)
    if last is not None and last.status == "failed":
        remedy = f"tagalong check {name}" if kind == "pull" else f"tagalong check {config.syncs[name].to}"
        yield Condition(
            subject, AlertState.FAILED, since=last.bad_since or last.finished_at,
            reason=plain(last.error or "it failed"), counts={"runs": last.bad_runs}, remedy=remedy,
        )  # fmt: skip
    refused = new_refusals(conn, kind, name, after=after)
    if refused is None:
        seen.unknown.add((subject, AlertState.REJECTED))
    elif refused.count:
        what = "records of the last pull could not be read" if kind == "pull" else "members of the last run were refused"
        yield Condition(
            subject, AlertState.REJECTED, since=refused.at, reason=f"{refused.count} of {refused.of} {what}",
            counts={"rejected": refused.count, "of": refused.of}, remedy=f"tagalong dead-letters {name}",
        )  # fmt: skip
    if schedule is not None:
        yield from _overdue(conn, kind, name, schedule, config, now, began_at, after)


def _overdue(
    conn: sqlite3.Connection,
    kind: str,
    name: str,
    schedule: Schedule,
    config: Config,
    now: datetime,
    began_at: datetime | None,
    after: int,
) -> Iterator[Condition]:
    """Two due times have passed since the last good run, and as long as that took."""
    good = last_run(conn, kind, name, good=True, after=after)
    first = None if good is not None else last_run(conn, kind, name, first=True, after=after)
    since = good.finished_at if good is not None else first.started_at if first is not None else began_at
    if since is None:
        return
    at = since
    for _ in range(DUE_TIMES_MISSED):
        at = due_after(schedule, at, config.workspace.timezone)
    if good is not None:
        at += good.finished_at - good.started_at
    if now <= at:
        return
    reason = "no successful run in twice its interval" + ("" if good is not None else ", and never one before")
    resume_at = _quota(conn, name if kind == "pull" else config.syncs[name].to)
    if resume_at is not None and resume_at > now:
        reason += f"; the vendor's quota is used up until {resume_at:%Y-%m-%d %H:%M} UTC"
    yield Condition(
        f"{'connection' if kind == 'pull' else 'sync'}.{name}", AlertState.OVERDUE, since=since, reason=reason,
        remedy=f"tagalong runs {name}",
    )  # fmt: skip


def _quota(conn: sqlite3.Connection, connection: str) -> datetime | None:
    row = conn.execute("SELECT resume_at FROM connections WHERE name = ?", (connection,)).fetchone()
    return None if row is None or row[0] is None else from_us(row[0])


def _streams(conn: sqlite3.Connection, config: Config, now: datetime, stopped: frozenset[str], seen: Seen) -> None:
    """Add the sources that are stale or quiet, or lost rows that wait for approval; a failed one is its pull's affair."""
    names = [
        f"{connection}.{stream}"
        for connection, stream in conn.execute(
            "SELECT c.name, s.name FROM streams s JOIN connections c ON c.id = s.connection_id"
        )
        if connection not in config.connections or config.connections[connection].enabled
    ]
    old: dict[str, list[SourceState]] = {}
    for source in source_states(conn, names, config=config, now=now):
        connection, subject = source.name.partition(".")[0], f"stream.{source.name}"
        seen.watched.add(subject)
        if {ALL, f"connection.{connection}"} & stopped:
            seen.unknown |= {(subject, state) for state in AlertState}
            continue
        if stale(source, now) is not None:
            old.setdefault(connection, []).append(source)
        seen.conditions += _of_source(source, subject, now)
    seen.conditions += [_stale(connection, several, now) for connection, several in old.items()]


def _stale(connection: str, sources: list[SourceState], now: datetime) -> Condition:
    """All of a connection's streams in one: they are pulled together, and grow old together."""
    oldest = min(sources, key=lambda source: source.stale_at or now)
    held = stale(oldest, now)
    reason = "" if held is None else held.reason + (f", and {len(sources) - 1} more like it" if len(sources) > 1 else "")
    since = oldest.stale_at or now
    return Condition(
        f"connection.{connection}", AlertState.STALE, since=since, reason=reason, remedy=f"tagalong pull {connection}"
    )


def _of_source(source: SourceState, subject: str, now: datetime) -> Iterator[Condition]:
    silent = quiet(source, now)
    if silent is not None and source.newest_at is not None:
        remedy = f"tagalong approve {silent.approve}"
        yield Condition(subject, AlertState.STALE, since=source.newest_at, reason=silent.reason, remedy=remedy)
    gone = lost(source, now) or taken_out(source, now)
    if gone is not None:
        counts = {"rows": int(gone.facts.get("gone", 0))}
        remedy = f"tagalong approve {gone.approve}"
        yield Condition(subject, AlertState.HELD, since=now, reason=gone.reason, counts=counts, remedy=remedy)


def _holds(conn: sqlite3.Connection, config: Config) -> dict[str, list[Hold]]:
    found: dict[str, list[Hold]] = {}
    for hold in holds(conn):
        name = sync_of(hold.target, config)
        if name is not None:
            found.setdefault(name, []).append(hold)
    return found


def _tell_held(conn: sqlite3.Connection, name: str, held: list[Hold], seen: Seen) -> None:
    subject = f"sync.{name}"
    last = last_run(conn, "sync", name, good=True)  # one that failed may not have come to what is held
    standing = [hold for hold in held if not _outdated(conn, hold, last)]
    if not standing:  # its sources are well again, and the next run will say so of itself
        seen.unknown.add((subject, AlertState.HELD))
        return
    streams = [_streams_of(hold) for hold in standing]
    by_sources = all(streams) and all(hold.kind in OF_SOURCES for hold in standing)
    reasons = dict.fromkeys(hold.reason for hold in standing)
    approve = [target for hold in standing for target in hold.facts.get("approve", ()) if target]
    seen.conditions.append(
        Condition(
            subject, AlertState.HELD, since=from_us(min(hold.since for hold in standing)), reason=plain("; ".join(reasons)),
            counts={
                "adds": sum(len(hold.adds) for hold in standing), "removes": sum(len(hold.removes) for hold in standing)
            },
            remedy="; ".join(f"tagalong approve {target}" for target in dict.fromkeys(approve)) or f"tagalong plan {name}",
            sources=frozenset(one.partition(".")[0] for several in streams for one in several) if by_sources else frozenset(),
        )
    )  # fmt: skip


def _streams_of(hold: Hold) -> set[str]:
    if hold.kind not in OF_SOURCES:
        return set()
    named = {str(target) for target in hold.facts.get("approve", ()) if "." in str(target)}
    return named | {str(stream) for stream in hold.facts.get("streams", ())}


def _outdated(conn: sqlite3.Connection, hold: Hold, last: Last | None) -> bool:
    """Whether all the sources that it was held for have been pulled well since."""
    streams = _streams_of(hold)
    if not streams or last is None:
        return False
    (still,) = conn.execute(
        "SELECT count(*) FROM json_each(?) j WHERE NOT EXISTS (SELECT 1 FROM streams s JOIN connections c ON"
        " c.id = s.connection_id WHERE c.name || '.' || s.name = j.value AND s.error IS NULL AND s.held_since IS NULL"
        " AND s.completed_at > ?)",
        (json.dumps(sorted(streams)), hold.since if last.started_us < hold.since else last.started_us),
    ).fetchone()
    return not still


def plain(text: str) -> str:
    """Return a reason without secrets and addresses, and not at any length."""
    text = "; ".join(" ".join(line.split()) for line in redact(text).splitlines() if line.strip())
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1] + "…"
