"""
The daemon takes over a config that was edited, between its jobs; one that is wrong is refused, and the old one goes on.

A job holds on to the hub that it began with, so what is under way ends by the config that it began by. Where the database is
cannot change without a restart: it is what the daemon's lease, its schedules and everything else hang on.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from core.config.load import load_config
from core.config.model import Config
from core.config.watch import ConfigWatch
from core.errors import ConfigError, HubError, Problem, StoreError, told
from core.hub import Hub
from core.log import log
from core.service.daemon_state import Running, note_running
from core.service.timetable import Timetable
from core.store import Store

RestsOn = Callable[[Hub, Store], Mapping[str, frozenset[str]]]


class Holder(Protocol):
    """Who hands the config to the jobs that begin."""

    hub: Hub
    timetable: Timetable

    def take_over(self, hub: Hub, timetable: Timetable) -> None: ...


class Reload:
    """Asked at each tick of the daemon; belongs to its thread."""

    def __init__(self, holder: Holder, rests_on: RestsOn, watch: ConfigWatch, *, hangup: threading.Event) -> None:
        self.holder = holder
        self.rests_on = rests_on
        self.watch = watch
        self.hangup = hangup
        now = holder.hub.clock()
        self.state = Running(now, loaded_at=now, digest=watch.began)
        self.refused = ""
        """The digest of the files that were refused last."""
        self.waiting = False
        """Whether the store could not be written when a config was to be taken over."""

    def begin(self, store: Store) -> None:
        """Note which config the daemon begins with."""
        note_running(store, self.state)

    def end(self) -> None:
        """Note that the daemon was told to end."""
        self._note(replace(self.state, stopped_at=self.holder.hub.clock()))

    def look(self) -> Timetable | None:
        """Return the timetable of a config that was just taken over; None while the old one goes on."""
        asked = self.hangup.is_set()
        self.hangup.clear()
        if not (self.watch.changed() or asked):
            return None
        digest = self.watch.digest()
        if digest == self.state.digest:
            self._back(asked=asked)
            return None
        if digest == self.refused and not asked:
            return None
        try:
            return self._take_over(digest)
        except ConfigError as error:
            self._refuse(digest, error.problems)
        except (StoreError, sqlite3.Error) as error:
            if not self.waiting:  # a full disk or a lock passes, perhaps in hours: said once
                log.error("config_not_taken_over", reason=told(error))
            self.waiting = True
            self.watch.again()
        except Exception as error:  # whatever it is, the daemon goes on
            self._refuse(digest, (Problem(told(error), file=str(self.watch.path)),))
        return None

    def _take_over(self, digest: str) -> Timetable | None:
        old = self.holder.hub
        config = load_config(old.config.path, old.environ)
        if self.watch.digest() != digest:  # written to while it was read
            self.watch.again()
            return None
        if config.workspace.database != old.path:
            message = f"the daemon runs on {old.path}; another database needs a restart"
            raise ConfigError(Problem(message, file=str(config.path), key="workspace.database"))
        hub = old.successor(config)
        with hub.store() as store:
            self.rests_on(hub, store)  # every expression is read before anything is changed
            hub.register(store)
            timetable = Timetable(config, self.rests_on(hub, store), self.holder.timetable.began_at)
            state = replace(self.state, loaded_at=hub.clock(), digest=digest, refused_at=None, refusal=None)
            note_running(store, state)
        self.state, self.refused, self.waiting = state, "", False
        self.holder.take_over(hub, timetable)
        log.info("config_reloaded", connections=len(config.connections), syncs=len(config.syncs), **_news(old.config, config))
        return timetable

    def _back(self, *, asked: bool) -> None:
        """The files are what the daemon runs by."""
        if self.state.refused_at is not None:
            self._note(replace(self.state, refused_at=None, refusal=None))
            log.info("config_as_before")
        elif asked:
            log.info("config_unchanged")
        self.refused = ""

    def _refuse(self, digest: str, problems: tuple[Problem, ...]) -> None:
        first, self.refused = problems[0], digest
        where = ":".join(str(part) for part in (first.file, first.line) if part is not None)
        refusal = ": ".join(part for part in (where, first.key) if part) or "the config"
        # noted before it is said: whoever reads it in the log finds it in `status`
        self._note(replace(self.state, refused_at=self.state.refused_at or self.holder.hub.clock(), refusal=refusal))
        log.error(
            "config_refused", file=first.file, line=first.line, key=first.key, problem=first.message, problems=len(problems)
        )

    def _note(self, state: Running) -> None:
        self.state = state
        try:
            with self.holder.hub.store() as store:
                note_running(store, state)
        except HubError as error:
            log.error("daemon_state_not_noted", reason=told(error))


def _news(old: Config, new: Config) -> dict[str, list[str]]:
    """Return the names of the connections and syncs that came and went, where any did."""
    found = {
        "added": [*(new.connections.keys() - old.connections.keys()), *(new.syncs.keys() - old.syncs.keys())],
        "removed": [*(old.connections.keys() - new.connections.keys()), *(old.syncs.keys() - new.syncs.keys())],
    }
    return {what: sorted(names) for what, names in found.items() if names}
