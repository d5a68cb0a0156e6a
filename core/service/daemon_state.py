"""Which config the daemon runs by, since when, and which one it was shown and refused: one setting of the store."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Final

from core.clock import from_us, to_us
from core.store.db import Store

_KEY: Final = "daemon"


@dataclass(frozen=True, slots=True)
class Running:
    """What a daemon last said of itself."""

    started_at: datetime
    _: KW_ONLY
    loaded_at: datetime
    """When the config that it runs by was read."""
    digest: str
    """Of that config's files (`core.config.watch`)."""
    stopped_at: datetime | None = None
    """When it ended as it was told to; None for one that lives, or was killed."""
    refused_at: datetime | None = None
    """When the files as they are now were first refused; None while they are what it runs by."""
    refusal: str | None = None
    """Where and what was wrong: file, line and key of the first problem."""


def note_running(store: Store, state: Running) -> None:
    """Write down what the daemon runs by."""
    kept = {
        "started_at": to_us(state.started_at), "loaded_at": to_us(state.loaded_at), "digest": state.digest,
        "stopped_at": None if state.stopped_at is None else to_us(state.stopped_at),
        "refused_at": None if state.refused_at is None else to_us(state.refused_at), "refusal": state.refusal,
    }  # fmt: skip
    with store.atomic() as conn:
        conn.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (_KEY, json.dumps(kept)))


def running_config(conn: sqlite3.Connection) -> Running | None:
    """Return what the last daemon on this store said; None where none ever ran here."""
    row = conn.execute("SELECT value FROM settings WHERE key = ?", (_KEY,)).fetchone()
    if row is None:
        return None
    kept = json.loads(row[0])
    return Running(
        from_us(kept["started_at"]),
        loaded_at=from_us(kept["loaded_at"]),
        digest=kept["digest"],
        stopped_at=None if kept["stopped_at"] is None else from_us(kept["stopped_at"]),
        refused_at=None if kept["refused_at"] is None else from_us(kept["refused_at"]),
        refusal=kept["refusal"],
    )
