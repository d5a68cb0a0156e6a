"""
What a vendor does with somebody who is to be forgotten: erased by its API, or by hand in its own pages.

A connector that can writes `ERASURE = Erasure(...)` and `erase(api, sought) -> Sequence[Outcome]`; one whose vendor offers a
person's page alone writes ERASURE without the function. Without either, the manifest's docs URL is all that anybody is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is done, in a sentence, and where it says so."""

    does: str
    """What `erase` does there, or what a person does by hand: `deletes the contact and all that hangs on it`."""
    _: KW_ONLY
    docs_url: str
    by_hand: str = ""
    """Where in the vendor's own pages a person does it."""


@dataclass(frozen=True, slots=True)
class Sought:
    """Somebody to be erased, by all that is known of them at this connection."""

    identifiers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Kind to values: `email`, `user_id`, and the connection's own kinds without its name (`contact_id`)."""
    _: KW_ONLY
    records: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Stream to the keys of their records: of people, answers, deals; not of events."""
    slices: Sequence[str] = ()
    """The slices (forms, lists) that those are in."""

    def of(self, kind: str) -> Sequence[str]:
        """Return the identifiers of one kind."""
        return self.identifiers.get(kind, ())
