"""Who may change address, be merged or be deleted without anybody having to guess what should come of it; and a merge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.demo.people.model import Person, World


def settled(people: Sequence[Person]) -> list[Person]:
    """Return whom the CRM and the e-mail tool know by one and the same address, and the billing tool not at all."""
    return [p for p in people if p.contact_id and p.member_email == p.email and not p.other_emails and not p.customer_id]


def alone(world: World, people: Sequence[Person]) -> list[Person]:
    """Return whom nobody but the CRM knows."""
    there = (p for p in people if p.contact_id and not p.user_id and not p.customer_id and not p.member_email)
    return [p for p in there if p in world.people]


def mergeable(people: Sequence[Person]) -> Iterator[tuple[Person, Person]]:
    """
    Yield winner and loser: two of a shop's contacts whom the CRM may find to be one human.

    Only the CRM knew the loser, but perhaps for the e-mail tool.
    """
    for loser in people:
        if loser.user_id or loser.customer_id or loser.other_emails or not loser.contact_id or loser.answers:
            continue
        if loser.member_status != "subscribed" or loser.member_email not in (None, loser.email):
            continue
        winner = next((p for p in people if p.shop is loser.shop and p.contact_id and p is not loser and p.user_id), None)
        if winner is not None:
            yield winner, loser


def merge(world: World, winner: Person, loser: Person) -> str:
    """Make one of two; return the loser's id in the CRM."""
    contact_id = str(loser.contact_id)
    winner.other_emails.append(loser.email)
    winner.merged_contacts.append(contact_id)
    if not winner.member_email and loser.member_email:
        winner.member_email, winner.member_status = loser.member_email, loser.member_status
    loser.contact_id = loser.member_email = None
    world.people.remove(loser)
    return contact_id
