"""What a person told to stand still: a sync, a connection, or all. Read before each run and each batch, so it works at once."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Final

from core.clock import from_us, to_us
from core.errors import Stopped
from core.store.db import Store

ALL: Final = "all"


def pause(store: Store, target: str, *, at: datetime) -> None:
    """Pause *target*: `sync.NAME`, `connection.NAME` or `all`."""
    with store.atomic() as conn:
        conn.execute("INSERT OR IGNORE INTO pauses (target, at) VALUES (?, ?)", (target, to_us(at)))


def resume(store: Store, target: str) -> bool:
    """Take a pause back; False where there was none. `all` takes back every pause."""
    with store.atomic() as conn:
        if target == ALL:
            return conn.execute("DELETE FROM pauses").rowcount > 0
        return conn.execute("DELETE FROM pauses WHERE target = ?", (target,)).rowcount > 0


def pauses(conn: sqlite3.Connection) -> dict[str, datetime]:
    """Return what is paused, and since when."""
    return {target: from_us(at) for target, at in conn.execute("SELECT target, at FROM pauses ORDER BY target")}


def refuse_paused(conn: sqlite3.Connection, *targets: str) -> None:
    """Raise Stopped where one of *targets*, or everything, is paused."""
    standing = paused(conn, *targets)
    if standing is not None:
        raise Stopped(f"{standing} is paused; `tagalong resume` lets it go on")


def paused(conn: sqlite3.Connection, *targets: str) -> str | None:
    """Return the first of *targets*, or `all`, that is paused."""
    standing = pauses(conn)
    return next((target for target in (ALL, *targets) if target in standing), None)
