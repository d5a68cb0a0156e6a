"""Recorded answers, neutral rows and small readings for the tests of the ActiveCampaign connector."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support import recorded

from core.contract import Change, Outcome, Ref, Verdict

SETTINGS = {"url": "https://example.api-us1.com", "api_key": "secret-key-of-some-length"}
BASE = "https://example.api-us1.com/api/3"


class Payload(recorded.Payload):
    folder = Path(__file__).parent / "payloads"


def ref(api: Any, address: str) -> Ref:
    """Return who has *address* in the sandbox."""
    return Ref(str(api.sandbox.state.by_email(address).id))


def refs(api: Any, *addresses: str) -> list[Ref]:
    """Return who have *addresses*."""
    return [ref(api, address) for address in addresses]


def adds(api: Any, *addresses: str) -> list[Change]:
    """Return adds of those who have *addresses*."""
    return [Change(ref(api, address)) for address in addresses]


def settled(api: Any, audience: Any, audience_id: str, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return *outcomes* with those of their jobs in the place of the pending ones; nothing may be left to run."""
    said: list[Outcome] = []
    for outcome in outcomes:
        if outcome.verdict is Verdict.PENDING:
            told = audience.settle(api, audience_id, outcome.job)
            assert told is not None
            outcome = told[outcome.ref.remote_id]
        said.append(outcome)
    return said
