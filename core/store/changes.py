"""
Whom the store has learnt something about since a moment: the log by which an evaluation finds the few people to look at again.

Records cost nothing here: a pull marks their subjects dirty, and `resolve` notes the profiles and companies that it touched,
all at once. New events are found by their ids. What neither shows is noted by triggers (schema, m012): events that changed or
went, subjects that became somebody else's, people who changed their company or were joined away. Nothing is noted while nobody
keeps leaves. Which writer is covered by what is in docs/decisions/0012.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import KW_ONLY, dataclass, field
from typing import Final

from pyroaring import BitMap

from core.store.db import Store

MOST: Final = 500_000
"""Entries of the log, and new events: beyond that everything is evaluated anew, which then costs no more."""


@dataclass(slots=True)
class Changes:
    """What may be otherwise than it was."""

    people: BitMap = field(default_factory=BitMap)
    """Profiles whose fields, records, answers, subscriptions or payments may be others; also those that came or went."""
    _: KW_ONLY
    moved: BitMap = field(default_factory=BitMap)
    """Those of them whose events may be others, of whichever name."""
    companies: BitMap = field(default_factory=BitMap)
    """Companies whose fields, people or rows may be others."""
    events: dict[int, BitMap] = field(default_factory=dict)
    """By the id of the event's name: who has such an event that is new, gone or changed."""


def watch(store: Store) -> None:
    """Have everything noted from now on; to be called before the snapshot that is kept begins."""
    if not store.conn.execute("SELECT watching FROM kept_state").fetchone()[0]:
        with store.atomic() as conn:
            conn.execute("UPDATE kept_state SET watching = 1")


def forget(conn: sqlite3.Connection) -> None:
    """Note nothing more, and let the next evaluation be a full one; one under way will not be kept."""
    conn.execute("UPDATE kept_state SET watching = 0, epoch = epoch + 1, as_of = NULL")
    conn.execute("DELETE FROM changes")
    conn.execute("DELETE FROM kept_leaves")


def note_resolved(conn: sqlite3.Connection) -> None:
    """Note whom `resolve` touched; reads the temporary tables that it leaves."""
    if not conn.execute("SELECT watching FROM kept_state").fetchone()[0]:
        return
    conn.execute(
        "INSERT INTO changes (what, id) SELECT 'person', id FROM r_touch_profile "
        "UNION ALL SELECT 'company', id FROM r_touch_company"
    )
    # events of a record are nobody's until now, though their subject was somebody's before
    conn.execute(
        "INSERT INTO changes (what, id) SELECT DISTINCT 'moved', s.profile_id FROM r_dirty d "
        "CROSS JOIN subjects s ON s.id = d.id WHERE s.profile_id IS NOT NULL "
        "AND EXISTS (SELECT 1 FROM events e WHERE e.subject_id = s.id)"
    )
    (length,) = conn.execute("SELECT coalesce((SELECT max(seq) FROM changes) - (SELECT min(seq) FROM changes), 0)").fetchone()
    if length > MOST:
        forget(conn)


def position(conn: sqlite3.Connection) -> tuple[int, int]:
    """Return how far the log and the events have got in the snapshot at hand."""
    row = conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
    (mark,) = conn.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
    return (row[0] if row else 0), mark


def since(conn: sqlite3.Connection, seq: int, mark: int) -> Changes | None:
    """Return what may have changed since a position, or None where that is too much to go through."""
    found = Changes()
    last, newest = position(conn)
    if last - seq > MOST:
        return None
    events: dict[int, list[int]] = {}
    into = {"person": found.people, "moved": found.moved, "company": found.companies}
    for what, id_, name_id, low in conn.execute("SELECT what, id, name_id, mark FROM changes WHERE seq > ?", (seq,)):
        if what == "event":
            mark = min(mark, low) if low is not None else mark  # the last ids were freed, and may be others' by now
            if id_ is not None:
                events.setdefault(name_id, []).append(id_)
        else:
            into[what].add(id_)
    if newest - mark > MOST:
        return None
    for name_id, profile_id in conn.execute(
        "SELECT name_id, profile_id FROM events WHERE id > ? AND profile_id IS NOT NULL", (mark,)
    ):
        events.setdefault(name_id, []).append(profile_id)
    found.events = {name_id: BitMap(ids) for name_id, ids in events.items()}
    # pulled and not yet resolved: what is stored of them is seen already
    for profile_id, company_id in conn.execute("SELECT profile_id, company_id FROM subjects WHERE dirty = 1"):
        if profile_id is not None:
            found.people.add(profile_id)
        if company_id is not None:
            found.companies.add(company_id)
    found.people |= found.moved
    found.companies |= companies_of(conn, found.people)
    return found


def companies_of(conn: sqlite3.Connection, people: BitMap) -> BitMap:
    """Return the companies of *people*."""
    rows = conn.execute(
        "SELECT p.company_id FROM json_each(?) j CROSS JOIN profiles p ON p.id = j.value WHERE p.company_id IS NOT NULL",
        (json.dumps(people.to_array().tolist()),),
    )
    return BitMap([row[0] for row in rows])


def people_of(conn: sqlite3.Connection, companies: BitMap) -> BitMap:
    """Return the people of *companies*."""
    rows = conn.execute(
        "SELECT p.id FROM json_each(?) j CROSS JOIN profiles p ON p.company_id = j.value",
        (json.dumps(companies.to_array().tolist()),),
    )
    return BitMap([row[0] for row in rows])
