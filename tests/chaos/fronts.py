"""What stands before one sandbox: where it is found, the requests that it saw, and how it lists its people."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Final

from answers import Answer, half

from core.contract import Sandbox

MEMBERS: Final = (("recordIdsToAdd", "recordIdsToRemove"), ("members_to_add", "members_to_remove"))
"""Where a body names those who are to enter and to leave, for the vendors who have both in one."""
PAGING: Final = ("offset", "after", "starting_after", "ending_before", "page", "cursor")
"""What a query says of the page."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, as the proxy saw it."""

    connection: str
    method: str
    path: str
    """Below the base path, without query."""
    _: KW_ONLY
    query: str
    sent_at: float | None
    body: bytes

    @property
    def listing(self) -> tuple[str, str]:
        """What is asked for, but for which page of it."""
        kept = sorted(pair for pair in self.query.split("&") if pair.partition("=")[0] not in PAGING)
        return self.method, f"{self.path}?{'&'.join(kept)}"

    @property
    def begins_listing(self) -> bool:
        """Whether it asks for the first page of it."""
        pairs = (pair.partition("=") for pair in self.query.split("&"))
        return all(value in {"", "0"} for name, _, value in pairs if name in PAGING)

    @property
    def writes_members(self) -> tuple[str, str] | None:
        """The keys of its body that name members, if it has them."""
        return next((keys for keys in MEMBERS if keys[0].encode() in self.body), None)


@dataclass(slots=True)
class Front:
    """One connection's sandbox behind the proxy."""

    name: str
    sandbox: Sandbox
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    last: dict[tuple[str, str], Answer] = field(default_factory=dict)
    """The last answer to each listing, whatever its page, in this run: what is answered again."""
    halved: set[tuple[str, str]] = field(default_factory=set)
    """The listings that were begun while half of the people were away."""

    def listed(self, seen: Seen, answer: Answer, *, half_away: bool) -> Answer:
        """
        Return the answer as a source gives it of whose people half are away: on each page of a listing, or on none.

        Nobody could tell a listing that is whole but for a few of its last page from one whose few were deleted: what was begun
        whole goes on so, however the weather turns between its pages.
        """
        if not half_away:
            self.halved.discard(seen.listing)
        elif seen.begins_listing:
            self.halved.add(seen.listing)
        return half(seen.method, seen.path, seen.query, answer) if seen.listing in self.halved else answer

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.sandbox.base_path}"
