"""Recorded answers, neutral rows and small readings for the tests of the Encharge connector."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.contract import Change, Outcome, Ref, Verdict

SETTINGS = {"api_key": "secret-key-of-some-length"}
BASE = "https://api.encharge.io/v1"
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


def refs(api: Any, *addresses: str) -> list[Ref]:
    """Return who have *addresses* in the sandbox."""
    return [Ref(api.sandbox.user(address).id) for address in addresses]


def adds(api: Any, *addresses: str) -> list[Change]:
    """Return adds of those who have *addresses*."""
    return [Change(ref) for ref in refs(api, *addresses)]


def verdicts(outcomes: Iterable[Outcome]) -> list[Verdict]:
    """Return the verdicts in order."""
    return [outcome.verdict for outcome in outcomes]
