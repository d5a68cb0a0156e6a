"""
What the command line and the daemon hold: the config, the connectors, the clock, and the way to the store and the vendors.

A store is opened for each job, since it belongs to its thread. A `Session` keeps the vendors' apis of one run: each is opened
when it is first needed, so that a plan with nothing to ask sends nothing, and is checked for being the account that the store
knows.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from core.clock import Clock, utc_now
from core.config.model import Config
from core.config.secrets import resolve_settings
from core.errors import ConnectorError, Stopped
from core.http import HttpApi, open_api
from core.http.observe import Observer
from core.http.vendor_time import ON_THE_WAY
from core.log import log
from core.registry import Connector, load_connector
from core.segments.definitions import Definitions, define
from core.segments.vocabulary import read_vocabulary
from core.store import Store, sources
from core.store.ahead import note_apart, set_right

Opener = Callable[..., Any]
"""`core.http.open_api`, or a test's stand-in with the same keywords."""


class Hub:
    """Everything that a run needs. Thread-safe; a context manager."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock = utc_now,
        stop: threading.Event | None = None,
        environ: Mapping[str, str] = os.environ,
        connectors: Mapping[str, Connector] | None = None,
        opener: Opener = open_api,
        sleep: Callable[[float], None] | None = None,
        attended: bool = True,
        probe: bool = False,
    ) -> None:
        self.config = config
        self.clock = clock
        self.stop = stop or threading.Event()
        self.environ = environ
        self._by_name = connectors if connectors is not None else {}
        self._opener = opener
        self._sleep = sleep
        self.attended = attended
        """Whether somebody waits for what is done; else a share of each quota is left alone."""
        self.probe = probe
        """Whether vendors that are left alone are asked all the same."""

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop.set()

    def successor(self, config: Config) -> Hub:
        """Return a hub like this one, with another config; it stops when this one does."""
        return Hub(
            config,
            clock=self.clock,
            stop=self.stop,
            environ=self.environ,
            connectors=self._by_name,
            opener=self._opener,
            sleep=self._sleep,
            attended=self.attended,
            probe=self.probe,
        )

    @property
    def path(self) -> Path:
        """The database."""
        return self.config.workspace.database

    def store(self) -> Store:
        """Open the store, for this thread."""
        return Store(self.path)

    def connector(self, connection: str) -> Connector:
        """Return the connector of a connection."""
        name = self.config.connections[connection].connector
        return self._by_name[name] if name in self._by_name else load_connector(name)

    @property
    def connectors(self) -> dict[str, Connector]:
        """The connectors that the config uses, by their own names."""
        return {c.connector: self.connector(c.name) for c in self.config.connections.values()}

    def register(self, store: Store) -> None:
        """Bring the store's connections and streams in step with the config."""
        sources.register(store, self.config, self.connectors, at=self.clock())

    def definitions(self, store: Store) -> Definitions:
        """Return the checked segments; ConfigError with all problems."""
        return define(self.config, read_vocabulary(self.config, self.connectors, store))

    def sleep(self, wait_s: float) -> None:
        """Wait, unless told to stop."""
        if self._sleep is not None:
            self._sleep(wait_s)
        elif self.stop.wait(wait_s):
            raise Stopped("told to stop")

    @contextmanager
    def api(self, connection: str) -> Iterator[HttpApi]:
        """Open one connection, account checked."""
        with self.session() as session:
            yield session.api(connection)

    @contextmanager
    def session(self, observer: Observer | None = None) -> Iterator[Session]:
        """Keep the apis that are opened in the block until its end; *observer* is shown what is answered to writes."""
        with ExitStack() as stack:
            yield Session(self, stack, observer)

    def open(self, connection: str, observer: Observer | None = None) -> Any:
        """Open a connection's api as it is; secrets are resolved here, and nothing is sent."""
        configured = self.config.connections[connection]
        connector = self.connector(connection)
        settings = resolve_settings(connector, configured, self.config.folder, self.environ)
        return self._opener(
            connector,
            settings,
            connection=connection,
            store_path=self.path,
            folder=self.config.folder,
            clock=self.clock,
            stop=self.stop,
            sleep=self._sleep,
            tokens=self.config.workspace.tokens,
            **({} if observer is None else {"observer": observer}),
            reserve=0.0 if self.attended else configured.reserve,
            probe=self.probe,
        )


class Session:
    """The apis of one run."""

    def __init__(self, hub: Hub, stack: ExitStack, observer: Observer | None = None) -> None:
        self.hub = hub
        self._stack = stack
        self._observer = observer
        self._apis: dict[str, Any] = {}
        self._counted: dict[str, Counter[str]] = {}

    def api(self, connection: str) -> HttpApi:
        """
        Return the api of a connection, opened at the first call and checked for the account that the store knows.

        Raises:
            ConfigError: a secret is missing, or the credentials are another account's.
        """
        if connection not in self._apis:
            api = self._stack.enter_context(self.hub.open(connection, self._observer))
            self._counted[connection] = Counter()
            self._apis[connection] = api
            try:
                account = self.hub.connector(connection).account(api)
                with self.hub.store() as store:
                    sources.bind_account(store, connection, account)
                self.heed_clock(connection)
            except BaseException as error:
                if isinstance(error, ConnectorError):
                    error.locate(connection=connection)
                # what could not be checked is not kept; its requests still count
                self._counted[f"{connection}\x1f"] = Counter(self._apis.pop(connection).requests)
                raise
        found: HttpApi = self._apis[connection]
        return found

    def heed_clock(self, connection: str) -> None:
        """Where the vendor's clock bears ours out, have what ours wrote while it was ahead given a time that has come."""
        api: HttpApi | None = self._apis.get(connection)
        ahead = None if api is None else api.clock_ahead
        if ahead is None:
            return
        with self.hub.store() as store:
            note_apart(store, connection, ahead)
            by = set_right(store, self.hub.clock()) if abs(ahead) <= ON_THE_WAY else None
        if by is not None:
            log.warning("clock_was_ahead", connection=connection, by_s=round(by.total_seconds()))

    def count(self) -> int:
        """Return how many requests were sent so far."""
        return sum(sum(api.requests.values()) for api in self._apis.values())

    def taken(self) -> dict[str, dict[str, int]]:
        """Return the requests since the last call: connection -> METHOD -> how many."""
        news: dict[str, dict[str, int]] = {}
        for connection, api in self._apis.items():
            now = Counter(api.requests)
            fresh = now - self._counted[connection]
            self._counted[connection] = now
            if fresh:
                news[connection] = dict(fresh)
        for key in [key for key in self._counted if key.endswith("\x1f")]:
            news[key[:-1]] = dict(Counter(news.get(key[:-1], {})) + self._counted.pop(key))
        return news
