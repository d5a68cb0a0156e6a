"""What the hub says of itself after a command, for the comparison: when it looked, whom it skips, what it holds."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from core.clock import Clock, from_us
from core.config.load import load_config
from core.hub import Hub
from core.run import plan
from core.store import Store, holds

DATABASE = "tagalong.db"
REPORTED = ("consent", "not_found")
"""The reasons to skip that the generator of the people knows of."""


def evaluated_at(folder: Path) -> datetime:
    """Return as of when the last recorded run looked at the people."""
    with Store(folder / DATABASE, read_only=True) as store:
        return from_us(store.conn.execute("SELECT max(as_of) FROM member_sets").fetchone()[0])


def skipped(config: Path, clock: Clock) -> dict[str, dict[str, set[str]]]:
    """Return the winning addresses of those whom a plan would skip now, by audience and reason."""
    with Hub(load_config(config, {}), clock=clock) as hub:
        plans = plan(hub)
        with hub.store() as store:
            return {
                made.label: {
                    str(reason): _addresses(store, list(people)) for reason, people in made.skips.items() if reason in REPORTED
                }
                for made in plans
            }


def _addresses(store: Store, people: list[int]) -> set[str]:
    marks = ",".join("?" * len(people))
    rows = store.conn.execute(f"SELECT lower(email) FROM profiles WHERE id IN ({marks})", people)
    return {row[0] for row in rows}


def held_streams(folder: Path) -> list[str]:
    """Return the streams, `connection.stream`, whose vanished rows wait for approve."""
    with Store(folder / DATABASE, read_only=True) as store:
        rows = store.conn.execute(
            "SELECT c.name || '.' || s.name FROM streams s JOIN connections c ON c.id = s.connection_id"
            " WHERE s.held_since IS NOT NULL ORDER BY 1"
        )
        return [row[0] for row in rows]


def held_syncs(folder: Path) -> list[str]:
    """Return the syncs of which something waits for approve."""
    with Store(folder / DATABASE, read_only=True) as store:
        return sorted({hold.target.partition(".")[0] for hold in holds.holds(store.conn)})
