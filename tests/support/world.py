"""The demo's made-up people, poured into any sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from core.contract import Sandbox
from core.demo.people import rows
from core.demo.people.make import make_world
from core.demo.people.model import World

WHATS = (
    "companies", "people", "deals", "customers", "subscriptions", "invoices", "members",
    "surveys", "responses", "users", "events",
)  # fmt: skip


@cache
def _world(people: int) -> World:
    return make_world(datetime(2026, 3, 2, 11, tzinfo=UTC), people=people, seed=5)


@cache
def _rows(what: str, people: int) -> tuple[Mapping[str, Any], ...]:
    world = _world(people)
    if what == "deals":
        return tuple(
            {
                "id": str(700_000 + n), "name": f"Deal {n}", "stage": "won" if n % 2 else "open", "won": bool(n % 2),
                "closed": bool(n % 2), "amount": f"{n * 100}.00", "currency": "EUR", "company_id": shop.id, "contact_ids": [],
            }
            for n, shop in enumerate(world.shops[:20])
        )  # fmt: skip
    if what in ("companies", "surveys"):
        return tuple(getattr(rows, what)(world))
    make = {"people": rows.contacts}.get(what) or getattr(rows, what)
    return tuple(make(world.people))


class _Load:
    """`load_everything(sandbox, people=N)` pours in what the vendor has; `.rows(what, people=N)` says what that was."""

    def __call__(self, sandbox: Sandbox, *, people: int) -> None:
        for what in WHATS:
            try:
                sandbox.load(what, _rows(what, people))
            except KeyError:  # the vendor has no such thing
                continue

    def rows(self, what: str, *, people: int) -> tuple[Mapping[str, Any], ...]:
        return _rows(what, people)


load_everything = _Load()
