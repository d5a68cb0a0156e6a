"""
Companies as members: their keys, and the object that each is at a destination.

A destination knows a company by the record of it that was pulled from that very connection (`Audience.ids_from`), and by
nothing else: nobody is asked, and a company without such a record is not sent. In the ledger a company goes by its number in
the store behind a word (`company:7`), so that no key can be taken for anybody's id at a vendor. Decision 0021.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pyroaring import BitMap

from core.config.model import Config
from core.store import audiences, ledger, succession
from core.store.audiences import COMPANY, chunks

PREFIX: Final = f"{COMPANY}:"


def key_of(company_id: int) -> str:
    """Return the key of a company in ledgers."""
    return f"{PREFIX}{company_id}"


def ids_of(keys: Iterable[str]) -> list[int]:
    """Return the company of each key; what is no company's key is left out."""
    return [int(key.removeprefix(PREFIX)) for key in keys if key.startswith(PREFIX)]


def holders_of(conn: sqlite3.Connection, keys: Iterable[str]) -> dict[str, int]:
    """Return the live company of each key; what is no company's key is left out."""
    found: dict[str, int] = {}
    for chunk in chunks(ids_of(keys)):
        rows = conn.execute(
            "SELECT c.id FROM json_each(?) j CROSS JOIN companies c ON c.id = j.value WHERE c.live = 1", (chunk,)
        )
        found |= {key_of(company_id): company_id for (company_id,) in rows}
    return found


def known_refs(conn: sqlite3.Connection, stream_id: int, companies: Iterable[int]) -> dict[int, list[str]]:
    """Return the keys of the stream's live records of each company, oldest first; two are one company twice."""
    found: dict[int, list[str]] = {}
    for chunk in chunks(companies):
        rows = conn.execute(
            # driven by the few companies; a plus, or SQLite would rather read the whole stream for each
            "SELECT s.company_id, s.ref FROM json_each(?) j CROSS JOIN subjects s ON s.company_id = j.value"
            " WHERE +s.stream_id = ? AND s.live = 1 ORDER BY s.id",
            (chunk, stream_id),
        )
        for company_id, ref in rows:
            found.setdefault(company_id, []).append(ref)
    return found


def follow(conn: sqlite3.Connection, audience_id: int, stream_id: int) -> BitMap:
    """Hand each row to the company whose record its object is by now, and return whose rows changed hands."""
    rows = strayed(conn, audience_id, stream_id)
    touched = BitMap()
    for key, remote_id, company_id, _ in rows:  # by their objects first: the key of one may be the old one of another
        touched |= _rename(conn, audience_id, key, f"{ledger.REMOTE_PREFIX}{remote_id}", company_id)
    for _, remote_id, company_id, ours in rows:
        own = key_of(company_id)
        if ours and not ledger.of_keys(conn, audience_id, [own]):
            touched |= _rename(conn, audience_id, f"{ledger.REMOTE_PREFIX}{remote_id}", own, company_id)
    return touched


def strayed(conn: sqlite3.Connection, audience_id: int, stream_id: int) -> list[tuple[str, str, int, int]]:
    """
    Return the rows of an audience whose object is the record of another company by now: key, object, company, whether ours.

    Companies are joined and parted without a trace in their own fields, and there are few of them: all rows are looked at.
    """
    return conn.execute(
        "SELECT l.member_key, l.remote_id, s.company_id, l.state IN ('ours', 'unsure') FROM ledger l CROSS JOIN subjects s"
        " ON s.stream_id = ? AND s.ref = l.remote_id WHERE l.audience_id = ?"
        " AND s.company_id IS NOT NULL AND s.company_id IS NOT l.profile_id ORDER BY s.live DESC, l.member_key",
        (stream_id, audience_id),
    ).fetchall()


def _rename(conn: sqlite3.Connection, audience_id: int, key: str, new: str, company_id: int) -> BitMap:
    if key == new:
        return succession.give_to(conn, audience_id, {key: company_id})
    row = ledger.of_keys(conn, audience_id, [key])[key]
    return succession.rename(conn, audience_id, key, replace(row, member_key=new, profile_id=company_id))


def described(conn: sqlite3.Connection, companies: Iterable[int]) -> dict[int, dict[str, str | None]]:
    """Return the name and the domain of each company."""
    found: dict[int, dict[str, str | None]] = {}
    for chunk in chunks(companies):
        rows = conn.execute(
            "SELECT c.id, c.name, c.domain FROM json_each(?) j CROSS JOIN companies c ON c.id = j.value", (chunk,)
        )
        found |= {company_id: {"name": name, "domain": domain} for company_id, name, domain in rows}
    return found


def names_of(config: Config, conn: sqlite3.Connection) -> frozenset[str]:
    """Return the sets and syncs whose members are companies, and the labels of what syncs of companies left behind."""
    segments = {name for name, segment in config.segments.items() if segment.of == COMPANY}
    syncs = {sync.name for sync in config.syncs.values() if sync.segment in segments}
    rows = audiences.audiences(conn)
    left = {row.label for row in rows if row.of == COMPANY and row.label is not None and row.label not in config.syncs}
    return frozenset({f"segment.{name}" for name in segments} | syncs | left)
