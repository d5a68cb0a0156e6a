"""Recorded answers, neutral rows and small readings for the tests of the ActiveCampaign connector."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.contract import Change, Outcome, Ref, Verdict

SETTINGS = {"url": "https://example.api-us1.com", "api_key": "secret-key-of-some-length"}
BASE = "https://example.api-us1.com/api/3"
PAYLOADS = Path(__file__).parent / "payloads"


class Payload:
    """A recorded answer: what it holds, and itself as respx takes it."""

    def __init__(self, name: str) -> None:
        self.file = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
        self.body: Any = self.file["response"]["body"]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The answer as respx takes it."""
        answer = self.file["response"]
        return {"status_code": answer["status"], "headers": answer["headers"], "json": self.body}


def people(*addresses: str, **values: Any) -> list[dict[str, Any]]:
    """Return neutral rows of *addresses*."""
    return [{"id": address, "email": address, **values} for address in addresses]


def many(count: int, **values: Any) -> list[dict[str, Any]]:
    """Return neutral rows of so many people."""
    return people(*(f"p{i:04}@example.com" for i in range(count)), **values)


def ref(api: Any, address: str) -> Ref:
    """Return who has *address* in the sandbox."""
    return Ref(str(api.sandbox.state.by_email(address).id))


def refs(api: Any, *addresses: str) -> list[Ref]:
    """Return who have *addresses*."""
    return [ref(api, address) for address in addresses]


def adds(api: Any, *addresses: str) -> list[Change]:
    """Return adds of those who have *addresses*."""
    return [Change(ref(api, address)) for address in addresses]


def verdicts(outcomes: Iterable[Outcome]) -> list[Verdict]:
    """Return the verdicts in order."""
    return [outcome.verdict for outcome in outcomes]


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
