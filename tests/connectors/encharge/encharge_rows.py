"""Recorded answers, neutral rows and small readings for the tests of the Encharge connector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support import recorded

from core.contract import Change, Ref

SETTINGS = {"api_key": "secret-key-of-some-length"}
BASE = "https://api.encharge.io/v1"


class Payload(recorded.Payload):
    folder = Path(__file__).parent / "payloads"


def refs(api: Any, *addresses: str) -> list[Ref]:
    """Return who have *addresses* in the sandbox."""
    return [Ref(api.sandbox.user(address).id) for address in addresses]


def adds(api: Any, *addresses: str) -> list[Change]:
    """Return adds of those who have *addresses*."""
    return [Change(ref) for ref in refs(api, *addresses)]
