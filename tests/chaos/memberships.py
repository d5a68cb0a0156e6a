"""
Who is in which audience of a sandbox, taken down and put back: what a vendor says yes to and loses never was.

For the vendors whose batches are no list of members that could be sent the other way round: a row each, or a tag a call. What
was counted on meanwhile (ids, times of change) is not put back: no vendor gives the same id twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.zoho_crm.sandbox_state import neutral_id
from core.contract import Sandbox

Kept = list[tuple[Any, Any]]
"""Containers, and a copy of what was in each."""


def _rows(box: Any) -> list[Any]:
    rows = box.state.records["CampaignMember"]
    return [rows, box.rows.members, *rows.values()]


_WHERE: dict[str, Callable[[Any], list[Any]]] = {
    "activecampaign": lambda box: [box.state.tagged, box.state._associations],
    "encharge": lambda box: [user.tags for user in box.users.values()],
    "salesforce": _rows,
    "zoho_crm": lambda box: [stored.tags for module in box.state.records.values() for stored in module.values()],
}
"""By connector: the dicts and lists that its sandbox keeps memberships in."""

_SPOKEN: dict[str, Callable[[Any, str], str]] = {
    "activecampaign": lambda box, id_: box.state.contacts[int(id_)].email if int(id_) in box.state.contacts else id_,
    "encharge": lambda box, id_: str(box.users[id_].email) if id_ in box.users else id_,
    "salesforce": lambda box, id_: box.state.neutral.get(id_, id_),
    "zoho_crm": lambda box, id_: neutral_id(id_),
}
"""By connector: as whom `Sandbox.audiences` speaks of the object of an id, where it is not by that."""


def spoken(box: Sandbox, remote_id: str) -> str:
    """Return as whom `Sandbox.audiences` speaks of an object, in small letters."""
    say = _SPOKEN.get(_name(box))
    return (remote_id if say is None else say(box, remote_id)).lower()


def _name(box: Sandbox) -> str:
    return type(box).__module__.split(".")[1]


def take_down(box: Sandbox) -> Kept | None:
    """Return who is in which audience; None of a vendor whose batches are lost in another way."""
    where = _WHERE.get(_name(box))
    return None if where is None else [(each, each.copy()) for each in where(box)]


def put_back(kept: Kept) -> None:
    """Make everything as it was taken down."""
    for each, before in kept:
        each.clear()
        each.extend(before) if isinstance(each, list) else each.update(before)
