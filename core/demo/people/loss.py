"""A clumsy import deletes half of the CRM's contacts; what is true of the people after that."""

from __future__ import annotations

from random import Random

from core.demo.people.model import Person, World


def lose_half_of_the_crm(world: World, *, seed: int = 9) -> int:
    """
    Let the CRM forget every second of its contacts, and return how many those are.

    Only contacts are lost that tie no two other tools together: of the others the truth would be another person each time.
    """
    random = Random(seed)  # noqa: S311 - made-up people need no secrecy
    contacts = [person for person in world.people if person.contact_id]
    lost = random.sample([person for person in contacts if _ties_nothing(person)], len(contacts) // 2)
    for person in lost:
        person.contact_id = None
        if person.user_id is None:
            person.shop = None  # nobody else knew where they work
    return len(lost)


def _ties_nothing(person: Person) -> bool:
    if person.staff or person.other_emails or person.member_email not in (None, person.email):
        return False
    return person.product_email == person.email if person.user_id else person.customer_id is None
