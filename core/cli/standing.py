"""How everything stands, in JSON's words: read from the store alone, so `tagalong status` works while the daemon runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from core.cli.flapping import count_flapping
from core.clock import from_us, to_us
from core.config.model import Config
from core.config.watch import ConfigWatch
from core.hub import Hub
from core.live import orphans
from core.pulling.freshness import stale_at
from core.pushing.targets import sets_of, sync_of
from core.service.daemon import LEASE, rests_on
from core.service.daemon_state import running_config
from core.service.health import NEW_FOR
from core.service.timetable import Timetable
from core.store import leases, outages
from core.store.audiences import AudienceRow, audiences, standing
from core.store.holds import Hold, holds
from core.store.pauses import ALL, pauses
from core.store.runs import Run, last_finished
from core.store.sources import began_after, declared_streams


def read_standing(hub: Hub) -> dict[str, Any]:
    """Return how connections and syncs stand, what is held, retired, paused and given up on."""
    config, now = hub.config, hub.clock()
    with hub.store() as store:
        conn = store.conn
        timetable = Timetable(config, rests_on(hub, store), now)
        due = timetable.due(conn, now)
        stopped = pauses(conn)
        rows = audiences(conn)
        syncs = [_sync(conn, config, name, rows, due.get(f"sync.{name}"), stopped, now) for name in config.syncs]
        return {
            "as_of": now,
            "daemon": leases.is_held(conn, LEASE, hub.clock),
            "daemon_config": daemon_config(conn, config.path) if leases.is_held(conn, LEASE, hub.clock) else None,
            "paused": [{"target": target, "since": at} for target, at in stopped.items()],
            "connections": [
                {
                    **_connection(conn, config, name, due.get(f"pull.{name}"), stopped, now),
                    "pulls": bool(declared_streams(hub.connector(name), one)),
                }
                for name, one in config.connections.items()
            ],
            "syncs": syncs,
            "holds": [_hold(one) for one in holds(conn) if sync_of(one.target, config) is not None],
            "dead_letters": _dead_letters(conn, now),
            "retired": retired(conn, config),
        }


def daemon_config(conn: sqlite3.Connection, path: Path) -> dict[str, Any] | None:
    """Return which config the daemon runs by, and whether it is what the files hold now."""
    state = running_config(conn)
    if state is None:
        return None
    return {
        "loaded_at": state.loaded_at, "current": state.digest == ConfigWatch(path).began,
        "refused_at": state.refused_at, "refusal": state.refusal,
    }  # fmt: skip


def retired(conn: sqlite3.Connection, config: Config) -> list[dict[str, Any]]:
    """Return the audiences that hold members of ours and that no sync of the config fills any more."""
    return [{"sync": row.label, **_audience(conn, row)} for row in orphans.retired(conn, config)]


def _connection(
    conn: sqlite3.Connection, config: Config, name: str, due: datetime | None, stopped: Mapping[str, datetime], now: datetime
) -> dict[str, Any]:
    configured = config.connections[name]
    row = conn.execute("SELECT id, account, resume_at, kept_until FROM connections WHERE name = ?", (name,)).fetchone()
    id_, account, resume_at, kept_until = row or (None, None, None, None)
    streams = []
    for stream, live, completed, error, took_s, held, vanished in conn.execute(
        "SELECT s.name, s.live_count, s.completed_at, s.error, s.took_s, s.held_since IS NOT NULL,"
        " (SELECT count(*) FROM vanished v WHERE v.stream_id = s.id)"
        " FROM streams s WHERE s.connection_id = ? AND s.removed_at IS NULL ORDER BY s.name",
        (id_,),
    ):
        completed_at = None if completed is None else from_us(completed)
        stale = None if completed_at is None else stale_at(configured, config, completed_at, took_s or 0.0)
        streams.append({
            "name": stream, "records": live, "completed_at": completed_at, "stale": stale is not None and stale <= now,
            "error": error, "held": bool(held), "vanished": vanished,
        })  # fmt: skip
    return {
        "name": name,
        "connector": configured.connector,
        "enabled": configured.enabled,
        "paused": ALL in stopped or f"connection.{name}" in stopped,
        "account": account,
        **_last(last_finished(conn, "pull", name, after=began_after(conn, name))),
        "due_at": due,
        "quota_until": _ahead(resume_at, now),
        "quota_kept_until": _ahead(kept_until, now),
        "away": _away(outages.away(conn, name)),
        "streams": streams,
    }


def _ahead(at: int | None, now: datetime) -> datetime | None:
    return from_us(at) if at is not None and from_us(at) > now else None


def _away(away: outages.Away | None) -> dict[str, Any] | None:
    """Return how a vendor stands that did not answer the last request; `until` where it is left alone."""
    if away is None:
        return None
    return {"since": away.since, "failures": away.failures, "until": away.probe_at, "reason": away.reason}


def _sync(
    conn: sqlite3.Connection,
    config: Config,
    name: str,
    rows: Iterable[AudienceRow],
    due: datetime | None,
    stopped: Mapping[str, datetime],
    now: datetime,
) -> dict[str, Any]:
    sync = config.syncs[name]
    run, mirror = last_finished(conn, "sync", name), sync.mode == "mirror"
    return {
        "name": name,
        "segment": sync.segment,
        "partition": sync.partition,
        "to": sync.to,
        "enabled": sync.enabled,
        "paused": not {ALL, f"sync.{name}", f"connection.{sync.to}"}.isdisjoint(stopped),
        **_last(run),
        "due_at": due,
        "delayed": _delayed(run),
        "flapping": count_flapping(conn, sets_of(sync, config), until=now) if sync.grace is None and mirror else None,
        "audiences": [_audience(conn, row) for row in rows if sync_of(row.label, config) == name],
    }


def _audience(conn: sqlite3.Connection, row: AudienceRow) -> dict[str, Any]:
    found = standing(conn, row.id)
    return {
        "connection": row.connection, "kind": row.kind, "name": row.name,
        "ours": len(found.owned), "theirs": len(found.theirs), "on_their_way": len(found.waiting),
    }  # fmt: skip


def _delayed(run: Run | None) -> dict[str, Any]:
    """Return who stayed for `grace` or `min_stay` in the last run, by audience."""
    found = {} if run is None else {label: plan.get("delayed") for label, plan in run.summary.items()}
    return {label: delayed for label, delayed in found.items() if delayed}


def _last(run: Run | None) -> dict[str, Any]:
    return {
        "status": None if run is None or run.status is None else run.status.value,
        "run_at": None if run is None else run.started_at,
        "error": None if run is None else run.error,
    }


def _hold(hold: Hold) -> dict[str, Any]:
    return {
        "target": hold.target, "kind": hold.kind, "reason": hold.reason, "since": from_us(hold.since),
        "adds": len(hold.adds), "removes": len(hold.removes),
        "approve": [name for name in hold.facts.get("approve", ()) if name],
        "facts": {name: fact for name, fact in hold.facts.items() if name not in ("definition", "approve")},
    }  # fmt: skip


def _dead_letters(conn: sqlite3.Connection, now: datetime) -> dict[str, int]:
    records, members, given_up, new = conn.execute(
        "SELECT count(*) FILTER (WHERE what = 'record'), count(*) FILTER (WHERE what = 'member' AND given_up_at IS NULL),"
        " count(given_up_at), count(*) FILTER (WHERE first_at > ?) FROM dead_letters WHERE dropped_at IS NULL",
        (to_us(now - NEW_FOR),),
    ).fetchone()
    return {"records": records, "members": members, "given_up": given_up, "new": new}
