"""
Who must not be added at a destination for want of consent, and why: a no, or the lack of a yes where one is needed.

Removals are never asked about. What is said is read from the store; nothing here asks a vendor.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from pyroaring import BitMap

from core.config.countries import ConsentRules
from core.contract import Category
from core.store.audiences import chunks
from core.store.consents import denied, refused_since
from core.store.forgettings import being_forgotten

SAID_NO: Final = "said_no"
NO_YES: Final = "no_yes"
"""Of a country where a yes is needed, and none stands."""
COUNTRY_UNKNOWN: Final = "country_unknown"
"""Nobody knows the country, which counts as one where a yes is needed; and none stands."""
FORGOTTEN: Final = "being_forgotten"
EMAIL: Final = "email"


def refused(
    conn: sqlite3.Connection, profiles: BitMap, *, category: Category, require_consent: bool, rules: ConsentRules
) -> dict[str, BitMap]:
    """Return who of *profiles* must not be added, each under the first reason that applies; reasons without anybody are out."""
    found: dict[str, BitMap] = {}
    left = profiles
    if left:
        found[FORGOTTEN] = being_forgotten(conn) & left
        left = left - found[FORGOTTEN]
    if left and (category is Category.EMAIL or require_consent):
        found[SAID_NO] = denied(conn, left, channel=_channel(category))
        left = left - found[SAID_NO]
    if left and rules and category is Category.EMAIL:
        found |= _without_yes(conn, left, rules)
    return {reason: who for reason, who in found.items() if who}


def _channel(category: Category) -> str | None:
    """Any channel's no is one where the sync itself asks for consent; an e-mail tool asks about e-mail."""
    return EMAIL if category is Category.EMAIL else None


def refused_meanwhile(conn: sqlite3.Connection, profiles: BitMap, *, category: Category, require_consent: bool) -> BitMap:
    """Return who of *profiles*, whom a plan lets through, was forgotten, suppressed or joined into another since."""
    found = gone_meanwhile(conn, profiles)
    if category is Category.EMAIL or require_consent:
        found |= refused_since(conn, profiles - found, channel=_channel(category))
    return found


def gone_meanwhile(conn: sqlite3.Connection, profiles: BitMap) -> BitMap:
    """
    Return who of *profiles*, of whom a plan was made, is in the store no more or is being forgotten.

    Of somebody who is in the store no more an address may be in hand all the same.
    """
    there = BitMap()
    for chunk in chunks(profiles):
        rows = conn.execute("SELECT p.id FROM json_each(?) j CROSS JOIN profiles p ON p.id = j.value", (chunk,))
        there.update(BitMap([profile_id for (profile_id,) in rows]))
    return (profiles - there) | (being_forgotten(conn) & profiles)


def _without_yes(conn: sqlite3.Connection, profiles: BitMap, rules: ConsentRules) -> dict[str, BitMap]:
    """Return who needs a yes by their country and has given none that stands, in a source that is still read."""
    found = {NO_YES: BitMap(), COUNTRY_UNKNOWN: BitMap()}
    for chunk in chunks(profiles):
        rows = conn.execute(
            "SELECT p.id, p.country FROM json_each(?) j CROSS JOIN profiles p ON p.id = j.value WHERE NOT EXISTS "
            "(SELECT 1 FROM consents c JOIN streams s ON s.id = c.stream_id AND s.removed_at IS NULL "
            "WHERE c.profile_id = p.id AND c.channel = ? AND c.state = 'granted' AND c.deleted_at IS NULL)",
            (chunk, EMAIL),
        )
        for profile_id, country in rows:
            if rules.needs_yes(country):
                found[COUNTRY_UNKNOWN if country is None else NO_YES].add(profile_id)
    return found
