"""`tagalong run`: the scheduler's jobs are real pulls and syncs of the hub, one daemon a store."""

from __future__ import annotations

import sqlite3

from core.alerts.watch import Watch
from core.evaluated import Evaluations
from core.fill import pull
from core.hub import Hub
from core.run import connections_under, sync
from core.scheduler import Daemon, Ended
from core.store import Store, leases
from core.timetable import Timetable

LEASE = "daemon"


def rests_on(hub: Hub, store: Store) -> dict[str, frozenset[str]]:
    """Return the connections that each sync rests on, as far as the config has them."""
    definitions = hub.definitions(store)
    configured = hub.config.connections.keys()
    return {one.name: connections_under(hub, definitions, [one]) & configured for one in hub.config.syncs.values()}


class HubWork:
    """Has pulls and syncs done by the line of `core.run`, with nobody looking on."""

    def __init__(self, hub: Hub, timetable: Timetable, watch: Watch) -> None:
        self.hub = hub
        self.timetable = timetable
        self.watch = watch
        self.evaluations = Evaluations()

    def pull(self, connection: str) -> Ended:
        try:
            (run,) = pull(self.hub, names=[connection], trigger="schedule")
        finally:
            self.watch.ended()
        with self.hub.store() as store:  # a pull may have shown which stream brings what
            self.timetable.rests_on = rests_on(self.hub, store)
        return Ended(str(run.status), run.error)

    def sync(self, name: str) -> Ended:
        try:
            report = sync(self.hub, names=[name], pull=False, attended=False, trigger="schedule", evaluations=self.evaluations)
        finally:
            self.watch.ended()
        (run,) = report.syncs
        return Ended(str(run.status), run.error)


def run_daemon(hub: Hub) -> bool:
    """
    Run every schedule of the config until `hub.stop` is set; return whether all had ended within the grace.

    Raises:
        ConfigError: a segment is wrong.
        LeaseLost: another daemon runs on this store.
    """
    with leases.hold(hub.path, LEASE, hub.clock):
        with hub.store() as store:
            hub.register(store)
            timetable = Timetable(hub.config, rests_on(hub, store), hub.clock())

        def connect() -> sqlite3.Connection:
            return hub.store().conn

        watch = Watch(hub)
        watch.start()
        try:
            return Daemon(timetable, HubWork(hub, timetable, watch), connect, stop=hub.stop, clock=hub.clock).run()
        finally:
            watch.close()
