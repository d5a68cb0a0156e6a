"""Neutral rows of made-up people, and ids as the sandbox has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.zoho_crm.sandbox_state import vendor_id

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def contact(number: int, **more: Any) -> dict[str, Any]:
    """Return a customer; the lower the number, the older the change."""
    row = {
        "id": str(number), "email": f"p{number}@example.com", "first_name": "Ann", "last_name": f"Lee {number}",
        "lifecycle_stage": "customer", "company_id": None, "updated_at": NOON - timedelta(days=9) + timedelta(seconds=number),
    }  # fmt: skip
    return row | more


def lead(number: int, **more: Any) -> dict[str, Any]:
    """Return somebody of the time before a sale."""
    return contact(number, **{"lifecycle_stage": "lead", **more})


def c(number: int) -> str:
    """Return the vendor's id of a contact."""
    return vendor_id("Contacts", str(number))


def l(number: int) -> str:  # noqa: E743 - a lead
    """Return the vendor's id of a lead."""
    return vendor_id("Leads", str(number))
