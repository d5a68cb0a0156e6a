"""A portal on loopback that keeps no rate limits, on the test's clock; and payloads that look recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.recorder import behind

from connectors.hubspot.sandbox import HubSpotSandbox
from core.sandbox import Served, serve

PAYLOADS = Path(__file__).parent / "payloads"


@pytest.fixture(scope="module")
def _served() -> Iterator[Served]:
    """One server a module; each test puts a portal of its own behind it."""
    with serve({"hubspot": HubSpotSandbox()}) as served:
        yield served["hubspot"]


@pytest.fixture
def portal(clock: Any, fake_api: Callable[..., Any], _served: Served) -> Callable[..., Any]:
    """`portal(settings={}, **sandbox options)`: an api against a new portal; `.sandbox` is the portal, `.served` the server."""
    reach = behind(_served, fake_api, "hubspot")
    usual = {"now": clock, "rate_factor": None}
    return lambda settings=None, **options: reach(HubSpotSandbox(**{**usual, **options}), settings or {})


@pytest.fixture
def payload() -> Callable[[str], dict[str, Any]]:
    """Return a payload file by its name."""
    return lambda name: json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
