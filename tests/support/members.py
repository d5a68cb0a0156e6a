"""Made-up people of e-mail tools in the sandboxes' neutral shape, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.contract import Outcome, Verdict


def people(*addresses: str, **values: Any) -> list[dict[str, Any]]:
    """Return neutral rows of *addresses*."""
    return [{"id": address, "email": address, **values} for address in addresses]


def many(count: int, **values: Any) -> list[dict[str, Any]]:
    """Return neutral rows of so many people."""
    return people(*(f"p{i:04}@example.com" for i in range(count)), **values)


def verdicts(outcomes: Iterable[Outcome]) -> list[Verdict]:
    """Return the verdicts in order."""
    return [outcome.verdict for outcome in outcomes]


def in_tag(mail: Any, name: str = "VIP") -> frozenset[str]:
    """Return who has a tag in the sandbox."""
    found: frozenset[str] = mail.sandbox.audiences()[name]
    return found
