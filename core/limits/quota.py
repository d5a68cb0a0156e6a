"""What a vendor's limits leave: until when a quota is used up, and how many requests of a long one are left. Asks nobody."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Final

from core.clock import from_us
from core.contract import Limit, Manifest
from core.limits.bucket import Bucket

LONG_S: Final = 3_600.0
"""A limit over so many seconds or more is a quota: a plan may not fit into what is left of it."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What stands in the way of sending to one audience at once."""

    resume_at: datetime | None
    """A quota is used up until then."""
    _: KW_ONLY
    remaining: int | None = None
    """Requests that the tightest quota leaves; None where the vendor states none."""
    limit: Limit | None = None
    """That quota."""


def quota_of(conn: sqlite3.Connection, connection: str, manifest: Manifest, path: str, *, now: datetime) -> Quota:
    """Return the quota for requests to *path* of a connection."""
    row = conn.execute("SELECT resume_at FROM connections WHERE name = ?", (connection,)).fetchone()
    resume_at = None if row is None or row[0] is None or from_us(row[0]) <= now else from_us(row[0])
    long = [limit for limit in manifest.limits if limit.per_s >= LONG_S and math.isfinite(limit.amount)]
    left = [(_left(conn, connection, limit, now), limit) for limit in long if Bucket(connection, limit).covers(path)]
    if not left:
        return Quota(resume_at)
    remaining, limit = min(left, key=lambda one: one[0])
    return Quota(resume_at, remaining=remaining, limit=limit)


def _left(conn: sqlite3.Connection, connection: str, limit: Limit, now: datetime) -> int:
    taken = Bucket(connection, limit).taken(now.timestamp(), conn)
    return max(0, int((limit.amount - taken) // limit.cost))
