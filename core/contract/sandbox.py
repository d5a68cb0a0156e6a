"""
What a connector's `sandbox.py` is: a small stateful emulator of the endpoints used, as unkind as the vendor.

It is loaded with made-up people in the neutral shape below and then lives its own life behind HTTP. `core.sandbox` serves it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple


class ListChange(NamedTuple):
    """One line of a sandbox's change log: a member that really entered or left an audience."""

    audience: str
    op: str
    """`add` or `remove`."""
    member: str
    """The address or remote id by which `Sandbox.audiences` speaks of the member."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer to give instead of the right one. *act* says whether the request is carried out first."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    act: bool = False


class Sandbox:
    """
    Base of the vendors' sandboxes: a subclass sets `app` (an ASGI application) and keeps its state on itself.

    `requests` counts every request as `METHOD /template`; `writes` counts those that change or could change something; both
    are the sandbox's own, so a test can hold them against what the hub says it cost. `change_log` holds what really moved.
    """

    base_path: ClassVar[str] = ""
    """What a connection's `base_url` has after the host: `/3.0`."""

    additional_emails: ClassVar[bool] = True
    """Whether one of its people can have several addresses (CRM)."""
    tells_events: ClassVar[bool] = True
    """Whether each event that was loaded can be pulled (analytics); no where only sums can."""
    merges: ClassVar[bool] = True
    """Whether a merge of two of its people shows (CRM)."""

    def __init__(self, *, now: Callable[[], datetime] | None = None) -> None:
        self.now: Callable[[], datetime] = now or (lambda: datetime.now(UTC))
        self.app: Any = None
        self.requests: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.change_log: list[ListChange] = []

    def settings(self) -> Mapping[str, object]:
        """Return the keys of a `[connections.NAME]` table that reach this sandbox, but for `base_url`."""
        raise NotImplementedError

    def oauth_settings(self) -> Mapping[str, object] | None:
        """Return what `settings` does, for a connection that signs in by browser; None where the vendor has no page for it."""
        return None

    def params(self, kind: str) -> Mapping[str, object]:
        """Return what a sync must say of an audience of *kind* here, besides its name."""
        return {}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """
        Insert or change objects by `id` (the vendor-side id), in the neutral shape of the demo's world; keys left out stay.

        *what* is one of: people, companies, deals, customers, subscriptions, invoices, members, surveys, responses, users,
        events. What a vendor does not have raises KeyError.
        """
        raise NotImplementedError

    def delete(self, what: str, ids: Iterable[str]) -> None:
        """Delete objects the way the vendor shows it."""
        raise NotImplementedError

    def merge(self, what: str, loser: str, winner: str) -> None:
        """Merge two objects the way the vendor shows it."""
        raise NotImplementedError

    def audiences(self) -> Mapping[str, frozenset[str]]:
        """
        Return the members of each audience by its name: ids as loaded for a CRM, lower-case addresses for an e-mail tool, user
        ids for an analytics tool; of a yes-or-no field those who have it true.
        """
        return {}
