"""A small Segment: one source's Tracking API, that takes nearly everything, says 200, and drops what it does not like."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from core.contract import Ask, Endpoint, ListChange, Refused, Reply, Sandbox, Window, make_app

WRITE_KEY = "sandboxWriteKey0000000000000000"
MAX_BATCH, MAX_ITEM, MAX_ITEMS = 500_000, 32_000, 2500
REMEMBERED = timedelta(hours=24)


class SegmentSandbox(Sandbox):
    """
    The vendor.

    Args:
        rate_factor: times the thousand requests a second that a workspace may make.
        refuses_empty: whether a batch of nothing is answered 400.
    """

    base_path: ClassVar[str] = "/v1"

    def __init__(
        self, *, now: Callable[[], datetime] | None = None, rate_factor: float = 1.0, refuses_empty: bool = False
    ) -> None:
        super().__init__(now=now)
        self.traits: dict[str, dict[str, Any]] = {}
        """By user id."""
        self.dropped: list[str] = []
        """Why something was taken and thrown away; nobody was told."""
        self.visits: set[str] = set()
        """User ids of calls that count as a visit."""
        self._refuses_empty = refuses_empty
        self._seen: dict[str, datetime] = {}
        self._rate = Window(1000 * rate_factor, 1)
        self.app = make_app(self, [Endpoint("POST", "/v1/batch", self._batch, write=True)], self._admit)

    def settings(self) -> Mapping[str, object]:
        return {"write_key": WRITE_KEY, "source": "sandbox/http", "region": "us"}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        if what != "users":
            raise KeyError(what)
        for row in rows:
            self.traits.setdefault(str(row["id"]), {})["email"] = row.get("email")

    def delete(self, what: str, ids: Iterable[str]) -> None:
        for user_id in ids:
            self.traits.pop(user_id, None)

    def audiences(self) -> Mapping[str, frozenset[str]]:
        names = {name for traits in self.traits.values() for name, value in traits.items() if isinstance(value, bool)}
        return {name: frozenset(id for id, traits in self.traits.items() if traits.get(name) is True) for name in names}

    def _admit(self, ask: Ask) -> None:
        if not self._rate.admits():
            body = {"success": False, "code": "too_many_requests", "message": "slow down"}
            raise Refused(429, body, headers={"retry-after": "1", "x-ratelimit-reset": "1"})

    def _batch(self, ask: Ask) -> Reply:
        try:
            body = json.loads(ask.body)
        except ValueError:
            body = None
        items = body.get("batch") if isinstance(body, dict) else None
        if not isinstance(items, list) or len(ask.body) > MAX_BATCH or (self._refuses_empty and not items):
            raise Refused(400, {"success": False, "code": "invalid_request", "message": "malformed, too large or empty"})
        if any(len(json.dumps(item)) > MAX_ITEM for item in items):
            raise Refused(400, {"success": False, "code": "invalid_request", "message": "an event is too large"})
        expected = "Basic " + base64.b64encode(f"{WRITE_KEY}:".encode()).decode()
        if ask.headers.get("authorization") != expected:
            self.dropped.append("unknown write key")
            return Reply({"success": True})
        self.dropped += ["over the count"] * len(items[MAX_ITEMS:])
        for item in items[:MAX_ITEMS]:
            self._take(item, body.get("context") or {})
        return Reply({"success": True})

    def _take(self, item: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        user_id, message_id = item.get("userId"), item.get("messageId")
        if not user_id or item.get("type") != "identify":
            self.dropped.append("no user id, or no identify")
            return
        now = self.now()
        if message_id in self._seen and now - self._seen[message_id] < REMEMBERED:
            self.dropped.append("seen before")
            return
        self._seen[str(message_id)] = now
        if {**context, **item.get("context", {})}.get("active", True):
            self.visits.add(user_id)
        traits = self.traits.setdefault(user_id, {})
        for name, value in item.get("traits", {}).items():
            if isinstance(value, bool) and bool(traits.get(name)) is not value:
                self.change_log.append(ListChange(name, "add" if value else "remove", user_id))
            traits[name] = value


SANDBOX = SegmentSandbox
