"""
Plan a sync whose audience has N members, with nothing changed: no request may be made. Prints one JSON object.

    python bench/plan.py --profiles 1000000 --events 100000 --segments 1

Each segment is a sync of its own, whose audience has everybody; the events lie in a stream on which all of them rest.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
import types
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from contestant import MANIFEST, streams
from pyroaring import BitMap

from core.clock import to_us
from core.config.model import Config, ConnectionConfig, Place, Segment, SyncConfig, Workspace
from core.contract import Audience, AudienceSet, Kind, Settings, StreamSet
from core.hub import Hub
from core.pushing.deliver import plans_of
from core.pushing.delivery import Delivery
from core.pushing.targets import targets_of
from core.registry import Connector
from core.segments.evaluate import Evaluation
from core.store import Store

AUDIENCES = AudienceSet()
WITH_EVENTS = StreamSet(streams("contacts", 0))
PLACE = Place("bench", None, "bench")
WHERE = 'exists(email) or did("Page Viewed")'
DAY_US = 86_400_000_000


@WITH_EVENTS.add("events", kind=Kind.EVENT, key="id", identifiers={"contact_id": "contact"})
def events(*_: object) -> NoReturn:
    """A stream that is never pulled: its rows are written by `_fill`."""
    raise AssertionError("a plan pulled something")


@AUDIENCES.add("list")
class Everyone(Audience):
    """A list that may be planned for and never asked."""

    ids_from = "contacts"

    def find(self, *_: object) -> NoReturn:
        raise AssertionError("a plan with nothing changed asked the vendor")

    def lookup(self, *_: object) -> NoReturn:
        raise AssertionError("a plan with nothing changed looked for its audience")


def main() -> None:
    """Fill a store, plan, change a hundred addresses, plan again, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--segments", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hub = _hub(Path(folder), options.segments)
        begun = time.perf_counter()
        with hub.store() as store:
            hub.register(store)
            _fill(store, hub, options)
        made = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = [_plan(hub, options.profiles) for _ in range(options.rounds)]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "members": options.profiles,
        "events": options.events,
        "segments": options.segments,
        "cores": os.cpu_count(),
        "make_seconds": round(made - begun, 1),
        "seconds": round(min(seconds), 4),
        "seconds_of_each_round": [round(s, 4) for s in seconds],
        "records_per_s": round(options.profiles * options.segments / min(seconds)),
        "requests": 0,
        "peak_rss_mb": round(peak / 1024),
        "rss_before_mb": round(before / 1024),
    }
    print(json.dumps(figures, indent=2))


def _hub(folder: Path, segments: int) -> Hub:
    module = types.ModuleType("bench_connector")
    vars(module).update(
        MANIFEST=MANIFEST,
        Settings=Settings,
        STREAMS=WITH_EVENTS,
        AUDIENCES=AUDIENCES,
        auth=lambda _: None,
        account=lambda _: "bench",
    )
    config = Config(
        folder / "bench.toml",
        Workspace(folder / "bench.db", timezone=ZoneInfo("UTC")),
        connections={"crm": ConnectionConfig("crm", "bench", place=PLACE)},
        segments={f"all{n}": Segment(f"all{n}", WHERE, place=PLACE, title=f"All {n}") for n in range(segments)},
        syncs={
            f"all{n}_to_crm": SyncConfig(
                f"all{n}_to_crm", place=PLACE, segment=f"all{n}", to="crm", audience_kind="list", audience_name=f"All {n}"
            )
            for n in range(segments)
        },
    )

    def asked(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a plan with nothing changed opened a connection")

    return Hub(config, connectors={"bench": Connector(module)}, opener=asked)


def _fill(store: Store, hub: Hub, options: argparse.Namespace) -> None:
    now = to_us(datetime.now(UTC))
    members = _members(options.profiles)
    with store.atomic() as conn:
        conn.execute("UPDATE connections SET account = 'bench'")
        conn.execute(
            "UPDATE streams SET started_at = ?1, finished_at = ?1, completed_at = ?1, full_completed_at = ?1, took_s = 1,"
            " accepted_count = ?2, live_count = ?2",
            (now, options.profiles),
        )
        conn.executemany(
            "INSERT INTO profiles (id, email, changed_at) VALUES (?, ?, ?)",
            ((n, f"person{n}@example.com", now - 1) for n in members),
        )
        (stream,) = conn.execute("SELECT id FROM streams WHERE name = 'events'").fetchone()
        conn.execute("INSERT INTO event_names (id, name) VALUES (1, 'Page Viewed')")
        conn.execute("INSERT INTO event_sources VALUES (?, 'event', 'Page Viewed', ?)", (stream, now))
        step = 10 * DAY_US // max(options.events, 1)
        conn.executemany(
            "INSERT INTO events (stream_id, key, name_id, time, profile_id) VALUES (?, ?, 1, ?, ?)",
            ((stream, str(n), now - n * step, members[n % len(members)]) for n in range(options.events)),
        )
        for number, sync in enumerate(hub.config.syncs.values(), start=1):
            _fill_audience(conn, hub, number, sync, members, now)


def _fill_audience(conn: Connection, hub: Hub, number: int, sync: SyncConfig, members: BitMap, now: int) -> None:
    (target,) = targets_of(sync, hub.config, hub.connector("crm"))
    nobody = BitMap().serialize()
    conn.execute(
        "INSERT INTO audiences (id, connection, account, kind, name, remote_id, sync, target, made_by_us, owned, theirs,"
        " waiting, planned_at) VALUES (?, 'crm', 'bench', 'list', ?, ?, ?, ?, 1, ?, ?, ?, ?)",
        (number, target.name, str(number), sync.name, target.target, members.serialize(), nobody, nobody, now),
    )
    conn.executemany(
        "INSERT INTO ledger (audience_id, member_key, profile_id, sync, remote_id, state, at)"
        " VALUES (?, ?, ?, ?, ?, 'ours', ?)",
        ((number, f"person{n}@example.com", n, sync.name, str(n), now) for n in members),
    )
    conn.execute(
        "INSERT INTO runs (kind, name, started_at, finished_at, status) VALUES ('sync', ?1, ?2, ?2, 'done')",
        (sync.name, now),
    )


def _members(profiles: int) -> BitMap:
    """Return so many ids, scattered, so that no bitmap can be stored as one run."""
    return BitMap(n * 3 + n % 2 for n in range(1, profiles + 1))


def _plan(hub: Hub, profiles: int) -> float:
    """Plan every sync once, in a fresh connection; return the seconds it took."""
    with hub.session() as session, hub.store() as store:
        definitions = hub.definitions(store)
        members = _members(profiles)
        evaluation = Evaluation(datetime.now(UTC), {f"segment.{name}": members for name in hub.config.segments})
        begun = time.perf_counter()
        delivery = Delivery(session, store, definitions, evaluation, attended=True)
        plans = [plan for sync in hub.config.syncs.values() for plan in plans_of(delivery, sync)]
        seconds = time.perf_counter() - begun
    assert not any(plan.held for plan in plans), plans[0].held
    assert not any(plan.size for plan in plans), plans[0].size
    return seconds


if __name__ == "__main__":
    main()
