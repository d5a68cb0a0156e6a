"""`tagalong run`: the scheduler's jobs are real pulls and syncs of the hub, one daemon a store."""

from __future__ import annotations

import sqlite3
import threading

from core.alerts.watch import Watch
from core.config.watch import ConfigWatch
from core.evaluated import Evaluations
from core.hub import Hub
from core.pulling.fill import pull
from core.run import connections_under, sync
from core.service.notify import notifier
from core.service.reload import Reload
from core.service.scheduler import Daemon, Ended
from core.service.timetable import Timetable
from core.store import Store, leases
from core.upkeep.prune import Pruner

LEASE = "daemon"


def rests_on(hub: Hub, store: Store) -> dict[str, frozenset[str]]:
    """Return the connections that each sync rests on, as far as the config has them."""
    definitions = hub.definitions(store)
    configured = hub.config.connections.keys()
    return {one.name: connections_under(definitions, [one]) & configured for one in hub.config.syncs.values()}


class HubWork:
    """Has pulls and syncs done by the line of `core.run`, with nobody looking on. A job keeps the hub that it began with."""

    def __init__(self, hub: Hub, timetable: Timetable, watch: Watch) -> None:
        self.hub = hub
        self.timetable = timetable
        self.watch = watch
        self.pruner = Pruner(hub)
        self.evaluations = Evaluations()

    def take_over(self, hub: Hub, timetable: Timetable) -> None:
        """Have the jobs that begin from now on done by another config."""
        self.hub, self.timetable = hub, timetable
        self.watch.hub = self.pruner.hub = hub

    def pull(self, connection: str) -> Ended:
        hub, timetable = self.hub, self.timetable
        try:
            (run,) = pull(hub, names=[connection], trigger="schedule")
        finally:
            self.watch.ended()
        with hub.store() as store:  # a pull may have shown which stream brings what
            timetable.rests_on = rests_on(hub, store)
        return Ended(str(run.status), run.error)

    def sync(self, name: str) -> Ended:
        try:
            report = sync(self.hub, names=[name], pull=False, attended=False, trigger="schedule", evaluations=self.evaluations)
        finally:
            self.watch.ended()
        (run,) = report.syncs
        return Ended(str(run.status), run.error)


def run_daemon(hub: Hub, *, files: ConfigWatch | None = None, hangup: threading.Event | None = None) -> bool:
    """
    Run every schedule of the config until `hub.stop` is set; return whether all had ended within the grace.

    An edited config is taken over while it runs, at once when *hangup* is set; *files* were seen before they were read.

    Raises:
        ConfigError: a segment is wrong.
        LeaseLost: another daemon runs on this store.
        NewerStoreError: a newer version upgraded the store meanwhile; what was under way was given its grace.
    """
    with leases.hold(hub.path, LEASE, hub.clock):
        with hub.store() as store:
            hub.register(store)
            timetable = Timetable(hub.config, rests_on(hub, store), hub.clock())
            watch = Watch(hub)
            work = HubWork(hub, timetable, watch)
            reload = Reload(work, rests_on, files or ConfigWatch(hub.config.path), hangup=hangup or threading.Event())
            reload.begin(store)

        def connect() -> sqlite3.Connection:
            return hub.store().conn

        watch.start()
        work.pruner.start()
        try:
            tell = notifier(hub.environ)
            daemon = Daemon(timetable, work, connect, stop=hub.stop, clock=hub.clock, renew=reload.look, tell=tell)
            ended = daemon.run()
            if daemon.error is not None:
                raise daemon.error
            return ended
        finally:
            reload.end()
            watch.close()
            work.pruner.close()
