"""
The leaves of the last evaluation that was kept: one bitmap for each, all taken at one moment of the clock and of the log.

They are a copy of what can be computed again, so whoever is in doubt drops them. How they are brought up to date is
`core.segments.incremental`'s business.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass

from pyroaring import BitMap

from core.store.db import Store


@dataclass(frozen=True, slots=True)
class Taken:
    """The moment at which leaves were taken."""

    as_of: int
    _: KW_ONLY
    seq: int
    """The last entry of the log of changes that is in them."""
    mark: int
    """The last event that is in them."""
    epoch: int
    """Which log that is."""
    facts: str
    """Fingerprint of what all of them rest on: code, schema, config."""


def epoch(conn: sqlite3.Connection) -> int:
    """Return which log of changes is being written."""
    return int(conn.execute("SELECT epoch FROM kept_state").fetchone()[0])


def taken(conn: sqlite3.Connection) -> Taken | None:
    """Return when the kept leaves were taken; None where there are none."""
    row = conn.execute("SELECT as_of, seq, mark, epoch, facts FROM kept_state WHERE as_of IS NOT NULL AND watching").fetchone()
    return Taken(row[0], seq=row[1], mark=row[2], epoch=row[3], facts=row[4]) if row is not None else None


def load(conn: sqlite3.Connection, names: Collection[str]) -> dict[str, BitMap]:
    """Return those of the leaves called *names* that are kept."""
    return {
        name: BitMap.deserialize(bits) for name, bits in conn.execute("SELECT name, bits FROM kept_leaves") if name in names
    }


def keep(
    store: Store, at: Taken, leaves: Mapping[str, BitMap], *, base: Taken | None = None, same: Collection[str] = ()
) -> bool:
    """
    Keep *leaves* and no others; those of *same* are as they were kept at *base*. Returns whether it was done.

    It is not where the log was begun anew meanwhile, or another evaluation kept leaves of a later place in it.
    """
    with store.atomic() as conn:
        watching, epoch, as_of, seq = conn.execute("SELECT watching, epoch, as_of, seq FROM kept_state").fetchone()
        if not watching or epoch != at.epoch or (as_of is not None and seq > at.seq):
            return False
        if base is None or taken(conn) != base:
            same = ()
        there = {row[0] for row in conn.execute("SELECT name FROM kept_leaves")}
        conn.executemany("DELETE FROM kept_leaves WHERE name = ?", [(name,) for name in there - leaves.keys()])
        conn.executemany(
            "INSERT OR REPLACE INTO kept_leaves (name, bits) VALUES (?, ?)",
            ((name, bits.serialize()) for name, bits in leaves.items() if name not in same),
        )
        conn.execute("UPDATE kept_state SET as_of = ?, seq = ?, mark = ?, facts = ?", (at.as_of, at.seq, at.mark, at.facts))
        conn.execute("DELETE FROM changes WHERE seq <= ?", (at.seq,))
    return True
