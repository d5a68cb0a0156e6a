"""An Amplitude sandbox whose every request is held against JSON Schemas, since the vendor publishes no document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from amplitude_requests import Recorded
from amplitude_rows import make_world
from support.recorder import behind, judged

from connectors.amplitude.sandbox import AmplitudeSandbox
from core.contract import Audience, Stream
from core.registry import load_connector
from core.sandbox import Served, serve


@pytest.fixture(scope="module")
def _served() -> Iterator[Served]:
    """One server a module; each test puts a project of its own behind it."""
    with serve({"amplitude": AmplitudeSandbox()}) as served:
        yield served["amplitude"]


@pytest.fixture
def make_project(clock: Any, fake_api: Callable[..., Any], _served: Served) -> Iterator[Callable[..., Any]]:
    """`make_project(settings={}, **switches)`: an api and its new project; `.recorder` has the requests, judged at the end."""
    sandbox = partial(AmplitudeSandbox, now=clock, rate_factor=1000)
    reach = behind(_served, fake_api, "amplitude", limits=())
    with judged(sandbox, Recorded, lambda box, own: reach(box, {"start": "2026-02-27", **own}), Recorded.problems) as make:
        yield make


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
