"""
Fixtures that every test may use: a settable clock, a temporary store, and apis that never really sleep.

`sandbox_api` opens an api against a sandbox served on loopback; `fake_api` opens one whose requests a test answers with respx.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import hypothesis
import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parent))  # `support` is importable from every folder of tests
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"  # nobody's own, in subprocesses neither

from support.new_stores import NewStores

from core import log
from core.contract import Limit, Sandbox, Settings, Window
from core.hidden import Hidden
from core.http import HttpApi, open_api
from core.registry import Connector, load_connector
from core.sandbox import Served, as_settings, serve
from core.store import Store
from core.store.upgrade import upgrade

# the same cases each time, so that a run that fails has met a change; `HYPOTHESIS_PROFILE=anew` and the benches look for others
_PATIENT = {"deadline": None, "suppress_health_check": list(hypothesis.HealthCheck)}  # a busy machine is no fault of a test
hypothesis.settings.register_profile("same", derandomize=True, **_PATIENT)
hypothesis.settings.register_profile("anew", **_PATIENT)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
# whoever asks a sandbox by itself names no timeout, and httpx gives up after five seconds: one object for all its functions
for _step in ("connect", "read", "write", "pool"):
    setattr(httpx.get.__kwdefaults__["timeout"], _step, 60.0)


class SettableClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        self.at += by


class Seconds:
    """A machine's seconds that pass only where somebody sleeps."""

    def __init__(self) -> None:
        self.at = time.time()

    def __call__(self) -> float:
        return self.at

    def sleep(self, wait_s: float) -> None:
        self.at += wait_s


class TestApi(HttpApi):
    """An api that remembers what it slept, and the sandbox that it speaks to."""

    __test__ = False
    slept: list[float]
    served: Served
    sandbox: Any


@pytest.fixture(autouse=True)
def _own_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave no secret of a test to be hidden in the next one, nor how loudly it logged."""
    monkeypatch.setattr(log, "_hidden", Hidden())
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session", autouse=True)
def _new_stores() -> Iterator[None]:
    """Migrate one new store for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.store.db.upgrade", NewStores(upgrade))
        yield


@pytest.fixture
def migrated_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new store goes through every migration, as in life."""
    monkeypatch.setattr("core.store.db.upgrade", upgrade)


@pytest.fixture
def clock() -> SettableClock:
    """A clock at noon of a Monday in the spring of 2026."""
    return SettableClock(datetime(2026, 3, 2, 12, tzinfo=UTC))


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    """What sandboxes' rates go by: several requests are in one second, however long the machine takes for them."""
    made = Seconds()
    monkeypatch.setattr(Window, "seconds", made)
    return made


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where `store` is."""
    return tmp_path / "tagalong.db"


@pytest.fixture
def store(store_path: Path) -> Iterator[Store]:
    """A temporary store."""
    with Store(store_path) as opened:
        yield opened


def _connector(of: str | Connector | ModuleType) -> Connector:
    match of:
        case str():
            return load_connector(of)
        case Connector():
            return of
        case _:
            return Connector(of)


@pytest.fixture
def fake_api(store_path: Path, tmp_path: Path, clock: SettableClock) -> Iterator[Callable[..., TestApi]]:
    """
    `fake_api(connector, settings, sleep=..., stop=..., connection=...)`: an api for requests that respx answers.

    Its seconds pass while it waits, and only then: what it waits is the same on a machine that has much to do.
    """
    seconds = Seconds()
    with ExitStack() as stack:

        def make(
            of: str | Connector | ModuleType,
            settings: Settings | dict[str, Any] | None = None,
            *,
            sleep: Callable[[float], None] | None = None,
            stop: threading.Event | None = None,
            connection: str | None = None,
            **options: Any,
        ) -> TestApi:
            connector = _connector(of)
            if not isinstance(settings, Settings):
                settings = connector.settings_model.model_validate(settings or {})
            slept: list[float] = []
            given = {
                "store_path": store_path, "folder": tmp_path, "clock": clock, "seconds": seconds, "rng": random.Random(1),
                **options,
            }  # fmt: skip
            name = connection or connector.name
            api = open_api(connector, settings, connection=name, sleep=sleep or slept.append, stop=stop, **given)
            api.__class__ = TestApi
            assert isinstance(api, TestApi)
            api.slept = slept
            stack.enter_context(api)
            return api

        yield make


@pytest.fixture
def sandbox_api(fake_api: Callable[..., TestApi]) -> Iterator[Callable[..., TestApi]]:
    """
    `sandbox_api(connector, sandbox=None, limits=None, **settings)`: an api against a served sandbox; `.slept`, `.sandbox`,
    `.served`. *limits* stand in for the manifest's.
    """
    with ExitStack() as stack:

        def make(
            of: str | Connector | ModuleType,
            sandbox: Sandbox | None = None,
            timeout_s: float | None = None,
            limits: Sequence[Limit] | None = None,
            **settings: Any,
        ) -> TestApi:
            connector = _connector(of)
            served = stack.enter_context(serve({connector.name: sandbox or connector.sandbox()}))[connector.name]
            options = {} if timeout_s is None else {"timeout": timeout_s}
            api = fake_api(connector, {**as_settings(served), **settings}, limits=limits, **options)
            api.served, api.sandbox = served, served.sandbox
            return api

        yield make
