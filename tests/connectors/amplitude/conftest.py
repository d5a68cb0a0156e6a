"""An Amplitude sandbox whose every request is held against JSON Schemas, since the vendor publishes no document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from amplitude_requests import Recorder
from amplitude_rows import make_world

from connectors.amplitude.sandbox import AmplitudeSandbox
from core.contract import Audience, Stream
from core.registry import load_connector
from core.sandbox import Served, as_settings, serve


@pytest.fixture(scope="module")
def _served() -> Iterator[Served]:
    """One server a module; each test puts a project of its own behind it."""
    with serve({"amplitude": AmplitudeSandbox()}) as served:
        yield served["amplitude"]


@pytest.fixture
def make_project(clock: Any, fake_api: Callable[..., Any], _served: Served) -> Iterator[Callable[..., Any]]:
    """`make_project(settings={}, **switches)`: an api and its new project; `.recorder` has the requests, judged at the end."""
    recorders: list[Recorder] = []

    def make(settings: dict[str, Any] | None = None, **switches: Any) -> Any:
        sandbox = AmplitudeSandbox(**{"now": clock, "rate_factor": 1000, **switches})
        sandbox.app = recorder = Recorder(sandbox.app)
        recorders.append(recorder)
        _served.sandbox, _served.faults = sandbox, None
        api = fake_api("amplitude", {**as_settings(_served), "start": "2026-02-27", **(settings or {})}, limits=())
        api.served, api.sandbox, api.recorder = _served, sandbox, recorder
        return api

    yield make
    assert [] == [problem for recorder in recorders for problem in recorder.problems()]


@pytest.fixture
def project(make_project: Callable[..., Any]) -> Any:
    """An api against a project with its usual manners, users and events."""
    api = make_project()
    make_world(api.sandbox)
    return api


@pytest.fixture
def events() -> Stream:
    """The stream of events."""
    return load_connector("amplitude").module.STREAMS["events"]


@pytest.fixture
def cohort() -> Audience:
    """The audience of cohorts."""
    return _audience("cohort")


@pytest.fixture
def field() -> Audience:
    """The audience of user properties."""
    return _audience("field")


def _audience(kind: str) -> Audience:
    cls = load_connector("amplitude").audiences[kind]
    return cls(cls.Params())
