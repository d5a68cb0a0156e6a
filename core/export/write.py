"""The document: sections one after the other, rows as they are read; a person of a hundred thousand events is no burden."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from core.clock import iso, to_us
from core.config.model import Config
from core.contract import Kind
from core.errors import ConfigError, HubError, Problem
from core.export import consequences, sections
from core.export.person import Person
from core.pushing.company_members import names_of
from core.store import Store
from core.store.people import as_id, find_profiles
from core.store.schema import TABLES
from core.store.sources import workspace_currency

FORMAT: Final = 1
"""Counts up when a section changes its meaning; a new section or key does not."""
ONE: Final[Mapping[str, Callable[[Person], Any]]] = {"profile": sections.profile, "company": sections.company}
MANY: Final[Mapping[str, Callable[[Person], Iterator[dict[str, Any]]]]] = {
    "identifiers": sections.identifiers,
    "links": sections.links,
    "merges": sections.merges,
    "unmerged": sections.unmerged,
    "vanished": sections.vanished,
    "slices": sections.slices,
    "records": sections.records,
    **{table: partial(sections.canonical, kind=kind) for kind, table in TABLES.items() if kind is not Kind.EVENT},
    "events": sections.events,
    "field_history": sections.field_history,
    "segments": consequences.segments,
    "audiences": consequences.audiences,
    "leaving": consequences.leaving,
    "sent": consequences.sent,
    "held": consequences.held,
    "dead_letters": consequences.dead_letters,
    "refusals": consequences.refusals,
    "forgettings": consequences.forgettings,
}
"""The sections, in the order in which they are written."""


class Out(Protocol):
    """Where text goes."""

    def write(self, text: str, /) -> object: ...


def find_person(store: Store, who: str) -> int:
    """
    Return the one profile that *who* names, as `find_profiles` does; `profile:7` is the profile 7 and nobody else.

    Raises:
        HubError: nobody is known by it; a ConfigError: several are.
    """
    kind, _, number = who.partition(":")
    found = find_profiles(store, who)
    asked = as_id(number)
    if kind == "profile" and asked is not None:
        found = [id_ for id_ in find_profiles(store, number) if _is(store, id_, asked)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise HubError("nobody is known by that; `tagalong segments NAME --members` lists identifiers")
    each = ", ".join(f"profile:{id_}" for id_ in found)
    raise ConfigError(Problem(f"{len(found)} people are known by that", remedy=f"name one of {each}"))


def _is(store: Store, profile_id: int, number: int) -> bool:
    joined = "SELECT 1 FROM profile_aliases WHERE old_id = ? AND new_id = ?"
    return profile_id == number or store.conn.execute(joined, (number, profile_id)).fetchone() is not None


def export(
    store: Store,
    config: Config,
    profile_id: int,
    out: Out,
    *,
    at: datetime,
    traits: Mapping[str, object],
    on_section: Callable[[str], None] = lambda _name: None,
) -> dict[str, int]:
    """Write all that is known of a profile to *out* as one JSON object; return how many rows each section has."""
    counts: dict[str, int] = {}
    store.conn.execute("BEGIN")  # one snapshot, whatever is pulled and pushed meanwhile
    try:
        person = _person(store.conn, config, profile_id)
        head = {"ok": True, "format": FORMAT, "exported_at": iso(to_us(at)), "profile_id": profile_id}
        out.write(_text(head)[:-1])
        for name, read in ONE.items():
            on_section(name)
            out.write(f',\n"{name}": {_text(read(person))}')
        for name, rows in MANY.items():
            on_section(name)
            counts[name] = _write_rows(out, name, rows(person))
        out.write(f',\n"traits": {_text(dict(traits))}}}\n')
    finally:
        store.conn.execute("ROLLBACK")
    return counts


def _person(conn: sqlite3.Connection, config: Config, profile_id: int) -> Person:
    joined = conn.execute("SELECT old_id FROM profile_aliases WHERE new_id = ? ORDER BY 1", (profile_id,))
    values = conn.execute("SELECT value FROM identifiers WHERE profile_id = ?", (profile_id,))
    return Person(
        conn,
        profile_id,
        currency=workspace_currency(conn),
        company_sets=names_of(config, conn),
        ids=[profile_id, *(id_ for (id_,) in joined)],
        own=frozenset(value for (value,) in values),
    )


def _write_rows(out: Out, name: str, rows: Iterator[dict[str, Any]]) -> int:
    out.write(f',\n"{name}": [')
    count = 0
    for row in rows:
        out.write(("\n" if not count else ",\n") + _text(row))
        count += 1
    out.write("]")
    return count


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
