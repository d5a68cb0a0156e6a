"""An account on loopback that keeps no rate limits, on the test's clock; and payloads that look recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.stripe.sandbox import StripeSandbox
from core.contract import Page, Stream
from core.registry import load_connector

PAYLOADS = Path(__file__).parent / "payloads"


@pytest.fixture
def payload() -> Callable[[str], httpx.Response]:
    """`payload(name)`: the response of a payload file."""

    def read(name: str) -> httpx.Response:
        response = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))["response"]
        return httpx.Response(response["status"], headers=response["headers"], json=response["body"])

    return read


@pytest.fixture
def sandbox(clock: Any) -> StripeSandbox:
    """An account on the test's clock, without rate limits."""
    return StripeSandbox(now=clock, rate_factor=None)


@pytest.fixture
def account(sandbox_api: Callable[..., Any], sandbox: StripeSandbox) -> Any:
    """An api of that account."""
    return sandbox_api("stripe", sandbox)


@pytest.fixture
def stream() -> Callable[..., Stream]:
    """`stream(api, name)`: the stream with the api's settings."""

    def find(api: Any, name: str) -> Stream:
        return load_connector("stripe").streams(api.settings)[name]

    return find


@pytest.fixture
def pulled(stream: Callable[..., Stream]) -> Callable[..., list[Page]]:
    """`pulled(api, name, cursor=None, resume=None)`: all pages."""

    def pull(api: Any, name: str, cursor: datetime | None = None, resume: str | None = None) -> list[Page]:
        return list(stream(api, name).pull(api, cursor, resume))

    return pull
