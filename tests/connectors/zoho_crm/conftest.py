"""An organisation on loopback that keeps no rates, every request held against the card's schemas; and payload files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.recorder import behind, judged
from zoho_recorder import Recorded

from connectors.zoho_crm.sandbox import ZohoSandbox
from core.contract import Stream
from core.registry import load_connector
from core.sandbox import Served, serve

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def _served() -> Iterator[Served]:
    """One server a module; each test puts an organisation of its own behind it."""
    with serve({"zoho_crm": ZohoSandbox()}) as served:
        yield served["zoho_crm"]


@pytest.fixture
def org(clock: Any, fake_api: Callable[..., Any], _served: Served) -> Iterator[Callable[..., Any]]:
    """`org(settings={}, **switches)`: an api against a new organisation; `.recorder` has the requests, judged at the end."""
    sandbox = partial(ZohoSandbox, now=clock, rate_factor=1000)
    with judged(sandbox, Recorded, behind(_served, fake_api, "zoho_crm"), Recorded.problems) as make:
        yield make


@pytest.fixture
def stream() -> Callable[[Any, str], Stream]:
    """`stream(api, name)`: a stream as the api's settings make it."""
    return lambda api, name: load_connector("zoho_crm").streams(api.settings)[name]


@pytest.fixture
def tag() -> Any:
    """The audience."""
    audience = load_connector("zoho_crm").audiences["tag"]
    return audience(audience.Params())


@pytest.fixture
def payload() -> Callable[[str], dict[str, Any]]:
    """Return a payload file by its name."""
    return lambda name: json.loads((HERE / "payloads" / f"{name}.json").read_text(encoding="utf-8"))
