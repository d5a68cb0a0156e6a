"""
What the store knows of connections and streams: which there are, which account each is bound to, which were taken out.

How far each was pulled is in `checkpoints`; what it brought in `landing` and `canonical`.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Final

from core.clock import to_us, utc_now
from core.config.model import DEFAULT_CURRENCY, Config, ConnectionConfig
from core.config.secrets import provisional_settings
from core.contract import Category, Kind, Stream, Trust
from core.errors import ConfigError, Problem
from core.registry import Connector
from core.store.consents import keep_refusals
from core.store.db import Store
from core.store.identity import settle
from core.store.schema import CANONICAL, TABLES

CLAIMING = frozenset({Category.SURVEY, Category.ANALYTICS, Category.ALERT})
"""Categories whose streams only claim to know who somebody is, unless they say otherwise."""
_CURRENCY: Final = "workspace.currency"


@dataclass(frozen=True, slots=True)
class Source:
    """One stream of one connection, as the store knows it."""

    id: int
    connection: str
    _: KW_ONLY
    stream: str
    kind: Kind
    trust: Trust
    landing: str
    """The landing table; empty for event streams."""
    currency: str
    """The workspace's: amounts that name none are in it."""


def default_trust(category: Category, stream: Stream) -> Trust:
    """Return how far a stream's identifiers are trusted: what it says, else by the category of its vendor."""
    return stream.trust or (Trust.CLAIM if category in CLAIMING else Trust.KEY)


def landing_name(connection: str, stream: Stream) -> str:
    """Return the name of a stream's landing table; empty for event streams, which have none."""
    if stream.kind is Kind.EVENT:
        return ""
    return f"{connection}__{re.sub('[^a-z0-9_]+', '_', stream.name.lower())}"


def declared_streams(connector: Connector, connection: ConnectionConfig) -> Mapping[str, Stream]:
    """Return the streams that *connection* has by its config, without resolving a secret."""
    known = connector.streams(provisional_settings(connector.settings_model, connection.settings))
    if connection.streams is None:
        return known
    return {name: known[name] for name in connection.streams if name in known}


def register(store: Store, config: Config, connectors: Mapping[str, Connector], *, at: datetime | None = None) -> None:
    """
    Make the store's connections and streams those of *config*; *connectors* is by connector name.

    What was taken out keeps its rows and gets `removed_at`. With more than a handful of live rows it is also held until
    `approve`, for its going is a loss like any other; its rows then still say who is who.
    """
    now = to_us(at or utc_now())
    with store.atomic() as conn:
        _note_currency(conn, config.workspace.currency)
        for connection in config.connections.values():
            _register(conn, connection, connectors[connection.connector], now)
        for id_, name in conn.execute("SELECT id, name FROM connections WHERE removed_at IS NULL").fetchall():
            if name not in config.connections:
                conn.execute("UPDATE connections SET removed_at = ? WHERE id = ?", (now, id_))
                _remove_streams(conn, id_, (), now)


def workspace_currency(conn: sqlite3.Connection) -> str:
    """Return the currency of amounts that name none, by the config that was registered last."""
    row = conn.execute("SELECT value FROM settings WHERE key = ?", (_CURRENCY,)).fetchone()
    return DEFAULT_CURRENCY if row is None else str(row[0])


def _note_currency(conn: sqlite3.Connection, currency: str) -> None:
    """Note the workspace's currency; where it is another one, what was scaled by the old one is asked for again."""
    if workspace_currency(conn) != currency:
        for kind, columns in CANONICAL.items():
            money = [column for column, type_ in columns.items() if type_ == "money"]
            if not money:
                continue
            said = " OR ".join(f"{column} IS NOT NULL" for column in money)
            conn.execute(
                "UPDATE checkpoints SET cursor = NULL, pending = NULL, resume = NULL, began = NULL, began_run = NULL "
                f"WHERE stream_id IN (SELECT stream_id FROM {TABLES[kind]} WHERE currency IS NULL AND ({said}))"
            )
    conn.execute(
        "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value "
        "WHERE value <> excluded.value",
        (_CURRENCY, currency),
    )


def _register(conn: sqlite3.Connection, connection: ConnectionConfig, connector: Connector, now: int) -> None:
    category = connector.manifest.category
    known = conn.execute("SELECT id, connector FROM connections WHERE name = ?", (connection.name,)).fetchone()
    if known is not None and known[1] not in {connector.name, ""}:  # empty after a rebind: any connector may take the name
        raise ConfigError(
            Problem(
                f"was a {known[1]} connection and is now a {connector.name} one",
                file=connection.place.file, line=connection.place.line, key=f"connections.{connection.name}.connector",
                remedy=f"give the new one another name, or run 'tagalong rebind {connection.name}' to drop what it brought",
            )
        )  # fmt: skip
    conn.execute(
        "INSERT INTO connections (name, connector, category) VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET connector = excluded.connector, category = excluded.category, removed_at = NULL "
        "WHERE connector <> excluded.connector OR category <> excluded.category OR removed_at IS NOT NULL",
        (connection.name, connector.name, category.value),
    )
    connection_id = conn.execute("SELECT id FROM connections WHERE name = ?", (connection.name,)).fetchone()[0]
    streams = declared_streams(connector, connection)
    for stream in streams.values():
        _register_stream(conn, connection_id, connection.name, category, stream)
    _remove_streams(conn, connection_id, tuple(streams), now)


def _register_stream(conn: sqlite3.Connection, connection_id: int, connection: str, category: Category, stream: Stream) -> None:
    trust = default_trust(category, stream)
    row = conn.execute(
        "SELECT id, kind, trust, removed_at, landing FROM streams WHERE connection_id = ? AND name = ?",
        (connection_id, stream.name),
    ).fetchone()
    landing = landing_name(connection, stream)
    if row is None:
        conn.execute(
            "INSERT INTO streams (connection_id, name, kind, trust, landing) VALUES (?, ?, ?, ?, ?)",
            (connection_id, stream.name, stream.kind.value, trust.value, landing),
        )
        return
    id_, kind, old_trust, removed_at, old_landing = row
    if (kind, old_trust, removed_at, old_landing) == (stream.kind.value, trust.value, None, landing):
        return
    if kind != stream.kind.value:
        drop_rows(conn, id_)  # its rows mean something else now; it starts as new
    conn.execute(
        "UPDATE streams SET kind = ?, trust = ?, landing = ?, removed_at = NULL, held_since = "
        "CASE WHEN removed_at IS NULL THEN held_since END WHERE id = ?",
        (stream.kind.value, trust.value, landing, id_),
    )
    conn.execute("UPDATE subjects SET trust = ?, dirty = 1 WHERE stream_id = ?", (trust.value, id_))


def _remove_streams(conn: sqlite3.Connection, connection_id: int, kept: tuple[str, ...], now: int) -> None:
    from core.store.vanish import limit  # the guard on losses counts a stream that was taken out

    for id_, name, live in conn.execute(
        "SELECT id, name, live_count FROM streams WHERE connection_id = ? AND removed_at IS NULL", (connection_id,)
    ).fetchall():
        if name not in kept:
            held = now if live > limit(live) else None
            conn.execute("UPDATE streams SET removed_at = ?, held_since = ? WHERE id = ?", (now, held, id_))
            conn.execute("UPDATE subjects SET dirty = 1 WHERE stream_id = ?", (id_,))


def source(store: Store, connection: str, stream: str) -> Source:
    """Return the registered stream; ConfigError where there is none."""
    row = store.conn.execute(
        "SELECT s.id, s.kind, s.trust, s.landing FROM streams s JOIN connections c ON c.id = s.connection_id "
        "WHERE c.name = ? AND s.name = ?",
        (connection, stream),
    ).fetchone()
    if row is None:
        raise ConfigError(
            Problem(f"{connection}.{stream}: no such stream", remedy="see 'tagalong connectors' and 'tagalong status'")
        )
    return Source(
        row[0], connection, stream=stream, kind=Kind(row[1]), trust=Trust(row[2]), landing=row[3],
        currency=workspace_currency(store.conn),
    )  # fmt: skip


def stream_id(store: Store, connection: str, stream: str) -> int:
    """Return the store's id of a stream; ConfigError where there is none."""
    return source(store, connection, stream).id


def bind_account(store: Store, connection: str, account: str) -> None:
    """Bind *connection* to the vendor's *account* on first sight; ConfigError when it is bound to another."""
    with store.atomic() as conn:
        row = conn.execute("SELECT account FROM connections WHERE name = ?", (connection,)).fetchone()
        if row is None:
            raise ConfigError(Problem(f"{connection}: no such connection", key=f"connections.{connection}"))
        if row[0] is None:
            conn.execute("UPDATE connections SET account = ? WHERE name = ?", (account, connection))
        elif row[0] != account:
            raise ConfigError(
                Problem(
                    f"the credentials are for account {account}, and what is stored came from account {row[0]}",
                    key=f"connections.{connection}",
                    remedy=f"put the old credentials back, or run 'tagalong rebind {connection}' to start as new",
                )
            )


def rebind(store: Store, connection: str) -> None:
    """
    Drop the rows, checkpoints and account of *connection*; ledgers stay under the old account. It starts as new.

    Who said no there stays a no. `resolve` must run before anything is evaluated again.
    """
    with store.atomic() as conn:
        for (id_,) in conn.execute(
            "SELECT s.id FROM streams s JOIN connections c ON c.id = s.connection_id WHERE c.name = ?", (connection,)
        ).fetchall():
            drop_rows(conn, id_)
        conn.execute("DELETE FROM dead_letters WHERE what = 'record' AND connection = ?", (connection,))
        # its own ids are another account's now: they must not hand a stranger an old profile
        conn.execute("UPDATE identifiers SET profile_id = NULL, company_id = NULL WHERE kind GLOB ? || '.*'", (connection,))
        conn.execute("UPDATE connections SET account = NULL, resume_at = NULL, connector = '' WHERE name = ?", (connection,))
        conn.execute(
            "INSERT OR REPLACE INTO settings (key, value) SELECT ?, coalesce(max(id), 0) FROM runs", (_rebound(connection),)
        )


def began_after(conn: sqlite3.Connection, connection: str) -> int:
    """Return the last run before *connection* was rebound, 0 if it never was: the pulls until then were of another account."""
    row = conn.execute("SELECT value FROM settings WHERE key = ?", (_rebound(connection),)).fetchone()
    return 0 if row is None else int(row[0])


def _rebound(connection: str) -> str:
    return f"rebound\x1f{connection}"


def drop_rows(conn: sqlite3.Connection, id_: int) -> None:
    """
    Drop all that a stream brought but the refusals, and what is remembered of its pulls.

    Its subjects stay, dead and without identifiers (but the address of who said no), until `resolve` has settled the profiles
    that they held together.
    """
    landing = conn.execute("SELECT landing FROM streams WHERE id = ?", (id_,)).fetchone()[0]
    if landing:
        conn.execute(f'DROP TABLE IF EXISTS "{landing}"')
    settle(conn)  # else what it brought last would come back with the next resolve
    keep_refusals(conn, id_)
    dropped = [table for kind, table in TABLES.items() if kind is not Kind.CONSENT]
    for table in (*dropped, "checkpoints", "vanished", "record_slices", "merges", "catalogue", "event_sources"):
        conn.execute(f"DELETE FROM {table} WHERE stream_id = ?", (id_,))
    conn.execute(
        "DELETE FROM subject_identifiers WHERE subject_id IN (SELECT id FROM subjects WHERE stream_id = ?1) AND NOT ("
        "subject_id IN (SELECT subject_id FROM consents WHERE stream_id = ?1)"
        " AND identifier_id IN (SELECT id FROM identifiers WHERE kind = 'email'))",
        (id_,),
    )
    # the name is freed: a record of the same key that comes later is another subject
    conn.execute("UPDATE subjects SET live = 0, dirty = 1, ref = char(31) || id WHERE stream_id = ?", (id_,))
    conn.execute(
        "UPDATE streams SET completed_at = NULL, full_completed_at = NULL, finished_at = NULL, error = NULL, "
        "accepted_count = NULL, live_count = 0, held_since = NULL, took_s = NULL, reading = NULL WHERE id = ?",
        (id_,),
    )
