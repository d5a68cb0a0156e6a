"""An Encharge sandbox whose every request is held against schemas written from the vendor's document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.openapi import objections
from support.recorder import BodiesByPath, apart, judged

from connectors.encharge.sandbox import EnchargeSandbox
from core.contract import Audience, Stream
from core.registry import load_connector

DOCUMENT = json.loads((Path(__file__).parent / "schemas/requests.json").read_text(encoding="utf-8"))
CONNECTOR = load_connector("encharge")


@pytest.fixture
def make_mail(sandbox_api: Callable[..., Any], clock: Callable[[], Any]) -> Iterator[Callable[..., Any]]:
    """`make_mail(settings={}, **switches)`: an api against a sandbox; `.recorder` has the requests, judged at the end."""
    sandbox = partial(EnchargeSandbox, now=clock, rate_factor=1000)
    with judged(sandbox, BodiesByPath, apart(sandbox_api, "encharge"), objections(DOCUMENT)) as make:
        yield make


@pytest.fixture
def streams() -> dict[str, Stream]:
    """The streams by name."""
    return dict(CONNECTOR.module.STREAMS)


@pytest.fixture
def tag() -> Audience:
    """The audience of tags."""
    audience = CONNECTOR.audiences["tag"]
    return audience(audience.Params())
