"""Made-up customers, subscriptions and invoices in the sandbox's neutral shape."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When the test's clock starts."""


def customers(count: int, **more: Any) -> Iterator[dict[str, Any]]:
    """Customers cus_1, cus_2, ..., the first the oldest."""
    for i in range(1, count + 1):
        made = NOON - timedelta(days=300) + timedelta(hours=i)
        yield {"id": f"cus_{i}", "email": f"person{i}@example.com", "user_id": str(i), "created_at": made, **more}


def subscriptions(count: int, **more: Any) -> Iterator[dict[str, Any]]:
    """One for each customer: 15.00 EUR a month for three seats."""
    for i in range(1, count + 1):
        made = NOON - timedelta(days=200) + timedelta(hours=i)
        yield {
            "id": f"sub_{i}", "customer": f"cus_{i}", "status": "active", "plan": "Team", "unit_amount": 1500,
            "currency": "EUR", "interval": "month", "quantity": 3, "started_at": made, "created_at": made, **more,
        }  # fmt: skip


def invoices(count: int, **more: Any) -> Iterator[dict[str, Any]]:
    """One paid invoice of 45.00 EUR for each customer."""
    for i in range(1, count + 1):
        made = NOON - timedelta(days=100) + timedelta(hours=i)
        yield {
            "id": f"in_{i}", "customer": f"cus_{i}", "subscription": f"sub_{i}", "status": "paid", "amount_paid": 4500,
            "currency": "EUR", "created_at": made, "paid_at": made, **more,
        }  # fmt: skip
