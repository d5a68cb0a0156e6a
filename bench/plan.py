"""
Plan a sync whose audience has N members, with nothing changed: no request may be made. Prints one JSON object.

    python bench/plan.py --profiles 1000000
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
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from contestant import MANIFEST, STREAMS
from pyroaring import BitMap

from core.clock import to_us
from core.config.model import Config, ConnectionConfig, Place, Segment, SyncConfig, Workspace
from core.contract import Audience, AudienceSet, Settings
from core.deliver import Delivery, plans_of
from core.hub import Hub
from core.registry import Connector
from core.segments.evaluate import Evaluation
from core.store import Store

AUDIENCES = AudienceSet()
PLACE = Place("bench", None, "bench")


@AUDIENCES.add("list")
class Everyone(Audience):
    """A list that may be planned for and never asked."""

    ids_from = "contacts"

    def find(self, *_: object) -> NoReturn:
        raise AssertionError("a plan with nothing changed asked the vendor")

    lookup = find  # type: ignore[assignment]


def main() -> None:
    """Fill a store, plan, change a hundred addresses, plan again, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hub = _hub(Path(folder))
        begun = time.perf_counter()
        with hub.store() as store:
            hub.register(store)
            _fill(store, options.profiles)
        made = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = [_plan(hub, options.profiles) for _ in range(options.rounds)]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "members": options.profiles, "cores": os.cpu_count(), "make_seconds": round(made - begun, 1),
        "seconds": round(min(seconds), 3), "seconds_of_each_round": [round(s, 3) for s in seconds], "requests": 0,
        "peak_rss_mb": round(peak / 1024), "rss_before_mb": round(before / 1024),
    }  # fmt: skip
    print(json.dumps(figures, indent=2))


def _hub(folder: Path) -> Hub:
    module = types.ModuleType("bench_connector")
    vars(module).update(
        MANIFEST=MANIFEST,
        Settings=Settings,
        STREAMS=STREAMS,
        AUDIENCES=AUDIENCES,
        auth=lambda _: None,
        account=lambda _: "bench",
    )
    config = Config(
        folder / "bench.toml",
        Workspace(folder / "bench.db", timezone=ZoneInfo("UTC")),
        connections={"crm": ConnectionConfig("crm", "bench", place=PLACE)},
        segments={"everyone": Segment("everyone", "exists(email)", place=PLACE, title="Everyone")},
        syncs={
            "everyone_to_crm": SyncConfig(
                "everyone_to_crm", place=PLACE, segment="everyone", to="crm", audience_kind="list", audience_name="Everyone"
            )
        },
    )

    def asked(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a plan with nothing changed opened a connection")

    return Hub(config, connectors={"bench": Connector(module)}, opener=asked)


def _fill(store: Store, profiles: int) -> None:
    now = to_us(datetime.now(UTC))
    owned = _members(profiles).serialize()
    with store.atomic() as conn:
        conn.execute("UPDATE connections SET account = 'bench'")
        conn.execute(
            "UPDATE streams SET started_at = ?1, finished_at = ?1, completed_at = ?1, full_completed_at = ?1, took_s = 1,"
            " accepted_count = ?2, live_count = ?2",
            (now, profiles),
        )
        conn.executemany(
            "INSERT INTO profiles (id, email, changed_at) VALUES (?, ?, ?)",
            ((n, f"person{n}@example.com", now - 1) for n in _members(profiles)),
        )
        conn.execute(
            "INSERT INTO audiences (id, connection, account, kind, name, remote_id, sync, target, made_by_us, owned, theirs,"
            " waiting, planned_at) VALUES (1, 'crm', 'bench', 'list', 'Everyone', '77', 'everyone_to_crm', ?, 1, ?, ?, ?, ?)",
            (_target(), owned, BitMap().serialize(), BitMap().serialize(), now),
        )
        conn.executemany(
            "INSERT INTO ledger (audience_id, member_key, profile_id, sync, remote_id, state, at)"
            " VALUES (1, ?, ?, 'everyone_to_crm', ?, 'ours', ?)",
            ((f"person{n}@example.com", n, str(n), now) for n in _members(profiles)),
        )
        conn.execute(
            "INSERT INTO runs (kind, name, started_at, finished_at, status) VALUES ('sync', 'everyone_to_crm', ?1, ?1, 'done')",
            (now,),
        )


def _members(profiles: int) -> BitMap:
    """Return so many ids, scattered, so that no bitmap can be stored as one run."""
    return BitMap(n * 3 + n % 2 for n in range(1, profiles + 1))


def _target() -> str:
    from core.targets import targets_of

    hub = _hub(Path())
    sync = hub.config.syncs["everyone_to_crm"]
    return targets_of(sync, hub.config, hub.connector("crm"))[0].target


def _plan(hub: Hub, profiles: int) -> float:
    """Plan once, in a fresh connection; return the seconds it took."""
    with hub.session() as session, hub.store() as store:
        definitions = hub.definitions(store)
        evaluation = Evaluation(datetime.now(UTC), {"segment.everyone": _members(profiles)})
        begun = time.perf_counter()
        delivery = Delivery(session, store, definitions, evaluation, attended=True)
        (plan,) = plans_of(delivery, hub.config.syncs["everyone_to_crm"])
        seconds = time.perf_counter() - begun
    assert not plan.held, plan.held
    assert plan.size == 0, plan.size
    return seconds


if __name__ == "__main__":
    main()
