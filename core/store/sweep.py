"""
Takes one person out of every table of the store, in the caller's transaction, and leaves everybody else as they were.

Which column holds a person is `core.store.holders`' business, whose rows are theirs `core.store.traces`'. The bytes that the
rows leave behind in the file are `core.store.scrub`'s.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from pyroaring import BitMap

from core.store import changes, cuts
from core.store.holders import HOLDERS, columns_of
from core.store.person_key import PersonKey
from core.store.refusals import SOURCE, keep_mark
from core.store.strike import strike
from core.store.traces import Traces, landings

_IDS: Final = {"profile": "e_profile", "subject": "e_subject", "identifier": "e_identifier"}
_CONNECTION: Final = {
    "dead_letters": "t.connection",
    "ledger": "(SELECT a.connection FROM audiences a WHERE a.id = t.audience_id)",
    "intent_members": "(SELECT a.connection FROM intents i JOIN audiences a ON a.id = i.audience_id WHERE i.id = t.intent_id)",
}
"""Where a row says which connection its members are of."""
_OF_PEOPLE: Final = {
    "dead_letters": "coalesce(t.audience_id, 0)",
    "ledger": "t.audience_id",
    "intent_members": "(SELECT i.audience_id FROM intents i WHERE i.id = t.intent_id)",
}
"""Tables whose rows are of audiences: in one of companies a number is a company's, and an object may have that of a person."""
_LIVE: Final = 'SELECT count(*) FROM "{}" WHERE deleted_at IS NULL AND subject_id IN (SELECT id FROM temp.e_subject)'


def sweep(
    conn: sqlite3.Connection, traces: Traces, key: PersonKey, *, now: int, companies: Collection[str] = ()
) -> dict[str, int]:
    """
    Delete the person; return how many rows of which table went or were changed.

    *companies* are the sets and syncs whose members are companies: their numbers are no people's. `resolve` must run
    afterwards: what a company is called may have come from the person's record.
    """
    cuts.release(conn, traces.profiles)
    _collect(conn, traces)
    counts: Counter[str] = Counter()
    _keep_refusals(conn, traces, key)
    _uncount(conn)
    went = [row[0] for row in conn.execute("SELECT id FROM subscriptions WHERE subject_id IN (SELECT id FROM temp.e_subject)")]
    for _, landing in landings(conn):
        counts[landing] += _delete(conn, landing, {"subject_id": "subject", "profile_id": "profile"})
    for table, text in HOLDERS.items():
        columns = columns_of(text)
        counts[table] += _delete(conn, table, columns)
        if "people" in columns.values():
            counts[table] += _take_out(conn, table, columns, traces.profiles, companies)
        if "text" in columns.values():
            counts[table] += strike(conn, table, columns, traces.quotable)
    counts["identifiers"] += _drop_unnamed(conn)
    counts["field_history"] += _forget_history(conn, "profile", traces.profiles) + _forget_history(conn, "subscription", went)
    counts["companies"] += _drop_companies(conn, traces.companies)
    counts["settings"] += _clean_settings(conn, traces)
    counts["identity_cuts"] += cuts.forget(conn, traces.known_by, [(f"{c}.{s}", key) for c, s, _, key in traces.records])
    _settle_emptied(conn, now)
    changes.forget(conn)
    conn.execute(
        "UPDATE subjects SET dirty = 1 WHERE company_id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(traces.companies)),),
    )
    for name in ("e_profile", "e_subject", "e_identifier", "e_record", "e_member"):
        conn.execute(f"DROP TABLE temp.{name}")
    return {table: count for table, count in sorted(counts.items()) if count}


def _collect(conn: sqlite3.Connection, traces: Traces) -> None:
    """Temporary tables of what to look for; in memory alone, so that no file has it."""
    for name, ids in (("e_profile", traces.profiles), ("e_subject", traces.subjects)):
        conn.execute(f"CREATE TEMP TABLE {name} (id INTEGER PRIMARY KEY)")
        conn.executemany(f"INSERT INTO {name} VALUES (?)", ((id_,) for id_ in ids))
    # what nobody else's record names is theirs too, whoever it belongs to: an address that joins too many and so joins nobody
    conn.execute("CREATE TEMP TABLE e_identifier (id INTEGER PRIMARY KEY)")
    conn.execute(
        "INSERT INTO e_identifier SELECT id FROM identifiers WHERE is_company = 0 AND "
        "(kind, value) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?)) "
        "UNION SELECT l.identifier_id FROM subject_identifiers l "
        "WHERE l.subject_id IN (SELECT id FROM e_subject) AND NOT EXISTS (SELECT 1 FROM subject_identifiers o "
        "WHERE o.identifier_id = l.identifier_id AND o.subject_id NOT IN (SELECT id FROM e_subject))",
        (json.dumps([list(pair) for pair in sorted(traces.known_by)]),),
    )
    conn.execute("CREATE TEMP TABLE e_record (stream_id INTEGER, connection TEXT, stream TEXT, key TEXT)")
    conn.execute(
        "INSERT INTO e_record SELECT s.stream_id, c.name, t.name, s.ref FROM e_subject e JOIN subjects s ON s.id = e.id "
        "JOIN streams t ON t.id = s.stream_id JOIN connections c ON c.id = t.connection_id"
    )
    # an event's key is its own, and not its subject's
    conn.execute(
        "INSERT INTO e_record SELECT x.stream_id, c.name, t.name, x.key FROM events x JOIN streams t ON t.id = x.stream_id "
        "JOIN connections c ON c.id = t.connection_id WHERE x.subject_id IN (SELECT id FROM e_subject) "
        "OR x.profile_id IN (SELECT id FROM e_profile)"
    )
    conn.execute("CREATE TEMP TABLE e_member (connection TEXT, value TEXT)")
    conn.executemany("INSERT INTO e_member VALUES (?, ?)", traces.members)


def _delete(conn: sqlite3.Connection, table: str, columns: Mapping[str, str]) -> int:
    """Delete the person's rows, one condition after the other, so that each can use its index."""
    gone = 0
    for column, holds in columns.items():
        match holds:
            case "profile" | "subject" | "identifier":
                where = f't."{column}" IN (SELECT id FROM temp.{_IDS[holds]})'
            case "record":
                where = f'(t.stream_id, t."{column}") IN (SELECT stream_id, key FROM temp.e_record)'
            case "member":
                where = (
                    f'EXISTS (SELECT 1 FROM temp.e_member m WHERE m.value = t."{column}" '
                    f"AND (m.connection IS NULL OR m.connection = {_CONNECTION[table]}))"
                )
            case _:
                continue
        if table in _OF_PEOPLE:
            where += f" AND {_OF_PEOPLE[table]} NOT IN (SELECT id FROM audiences WHERE of = 'company')"
        gone += conn.execute(f'DELETE FROM "{table}" AS t WHERE {where}').rowcount
    if table == "dead_letters":
        gone += conn.execute(
            "DELETE FROM dead_letters WHERE what = 'record' AND (connection, stream, key) IN "
            "(SELECT connection, stream, key FROM temp.e_record)"
        ).rowcount
    return gone


def _uncount(conn: sqlite3.Connection) -> None:
    """A stream that has less because of this has lost nothing: no guard shall take it for a loss."""
    for stream_id, landing in conn.execute("SELECT id, landing FROM streams").fetchall():
        there = landing and conn.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (landing,)).fetchone()
        if there:
            count = conn.execute(_LIVE.format(landing)).fetchone()[0]
        else:
            count = conn.execute(
                "SELECT count(*) FROM events WHERE stream_id = ? AND (subject_id IN (SELECT id FROM temp.e_subject) "
                "OR profile_id IN (SELECT id FROM temp.e_profile))",
                (stream_id,),
            ).fetchone()[0]
        if count:
            conn.execute(
                "UPDATE streams SET live_count = max(0, live_count - ?1), accepted_count = max(0, accepted_count - ?1) "
                "WHERE id = ?2",
                (count, stream_id),
            )


_BITMAPS: Final = {
    "member_sets": ("name", "t.name"),
    "membership_history": ("name, run_id", "t.name"),
    "holds": ("target, kind", "t.target"),
    "approvals": ("id", "t.target"),
    "audiences": ("id", "t.of"),
    "leaving": ("audience_id, since", "(SELECT a.of FROM audiences a WHERE a.id = t.audience_id)"),
    "forgettings": ("name", "''"),
}
"""Tables with bitmaps: the key of a row, and the set or sync that its members are of, or just what they are."""
_SAYS_ITSELF: Final = ("audiences", "leaving")


def _take_out(
    conn: sqlite3.Connection, table: str, columns: Mapping[str, str], people: Iterable[int], companies: Collection[str]
) -> int:
    """Take ids out of the bitmaps of a table, but for those of companies."""
    ids, changed = BitMap(people), 0
    key, named = _BITMAPS[table]
    bitmaps = [column for column, holds in columns.items() if holds == "people"]
    names = ", ".join(f't."{column}"' for column in bitmaps)
    width = len(key.split(", "))
    for row in conn.execute(f"SELECT {key}, {named}, {names} FROM {table} t").fetchall():
        if row[width] == "company" if table in _SAYS_ITSELF else _is_company(str(row[width]), companies):
            continue
        found = {c: BitMap.deserialize(blob) for c, blob in zip(bitmaps, row[width + 1 :], strict=True) if blob}
        less = {column: bitmap - ids for column, bitmap in found.items() if bitmap & ids}
        if less:
            sets = ", ".join(f'"{column}" = ?' for column in less)
            where = " AND ".join(f"{part} = ?" for part in key.split(", "))
            values: list[Any] = [bitmap.serialize() for bitmap in less.values()]
            conn.execute(f"UPDATE {table} SET {sets} WHERE {where}", (*values, *row[:width]))
            changed += 1
    return changed


def _is_company(name: str, companies: Collection[str]) -> bool:
    return name in companies or name.partition(".")[0] in companies


def _forget_history(conn: sqlite3.Connection, of: str, ids: Iterable[int]) -> int:
    array = json.dumps(sorted(ids))
    return conn.execute(
        "DELETE FROM field_history WHERE of = ?1 AND (of, field, of_id) IN (SELECT ?1, f.field, j.value FROM "
        "(SELECT DISTINCT field FROM field_history WHERE of = ?1) f CROSS JOIN json_each(?2) j)",
        (of, array),
    ).rowcount


def _drop_unnamed(conn: sqlite3.Connection) -> int:
    """Delete identifiers of people that no record names any more: nobody can tell whose they were, so they may be theirs."""
    return conn.execute(
        "DELETE FROM identifiers AS i WHERE is_company = 0 AND profile_id IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM subject_identifiers l WHERE l.identifier_id = i.id)"
    ).rowcount


def _drop_companies(conn: sqlite3.Connection, companies: Collection[int]) -> int:
    """Drop those of *companies* that nobody and nothing else is of: a consultancy of one is that one."""
    named = "SELECT 1 FROM subjects WHERE company_id = ?1 UNION SELECT 1 FROM profiles WHERE company_id = ?1"
    gone = [id_ for id_ in companies if conn.execute(named, (id_,)).fetchone() is None]
    array = json.dumps(sorted(gone))
    _forget_history(conn, "company", gone)
    conn.execute("DELETE FROM identifiers WHERE is_company = 1 AND company_id IN (SELECT value FROM json_each(?))", (array,))
    return conn.execute("DELETE FROM companies WHERE id IN (SELECT value FROM json_each(?))", (array,)).rowcount


def _clean_settings(conn: sqlite3.Connection, traces: Traces) -> int:
    """Whose rows changed hands, and with whom an audience was about to be made."""
    changed = 0
    texts = {value for _, value in traces.members}
    of_companies = {f"followed\x1f{id_}" for (id_,) in conn.execute("SELECT id FROM audiences WHERE of = 'company'")}
    for name, value in conn.execute("SELECT key, value FROM settings WHERE substr(value, 1, 1) = '['").fetchall():
        try:
            listed = json.loads(value)
        except ValueError:
            continue
        if name in of_companies:
            continue
        if name.startswith("followed\x1f"):
            left: list[Any] | None = [id_ for id_ in listed if id_ not in traces.profiles]
        elif name.startswith("making\x1f"):
            hers = listed[1] in traces.profiles and not str(listed[0]).startswith("company:")
            left = None if hers or listed[0] in texts or listed[2] in texts else listed
        else:
            continue
        if left != listed:
            conn.execute("UPDATE settings SET value = ? WHERE key = ?", (json.dumps(left), name))
            changed += 1
    return changed


def _settle_emptied(conn: sqlite3.Connection, now: int) -> None:
    """An intent of which nobody is open any more is settled."""
    conn.execute(
        "UPDATE intents SET settled_at = ? WHERE settled_at IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM intent_members m WHERE m.intent_id = intents.id AND m.verdict IS NULL)",
        (now,),
    )


def _keep_refusals(conn: sqlite3.Connection, traces: Traces, key: PersonKey) -> None:
    """A no outlives the person's data, as a digest: should they be let back, it stands."""
    refused = dict(
        conn.execute(
            "SELECT channel, min(since) FROM (SELECT r.channel, r.since FROM json_each(?) j CROSS JOIN refusals r "
            "ON r.kind = j.value ->> 0 AND r.value = j.value ->> 1 WHERE r.ended_at IS NULL "
            "UNION SELECT coalesce(c.channel, 'email'), coalesce(c.at, c.changed_at, 0) FROM consents c "
            "WHERE c.state = 'denied' AND c.subject_id IN (SELECT id FROM temp.e_subject)) GROUP BY channel",
            (json.dumps([list(pair) for pair in sorted(traces.known_by)]),),
        ).fetchall()
    )
    for kind, value in traces.known_by:
        if kind in ("email", "user_id"):
            mark = key.digest(kind, value).hex()
            conn.executemany(
                "INSERT OR IGNORE INTO refusals (kind, value, channel, source, record_key, since) "
                "VALUES ('forgotten', ?, ?, 'hand', '', ?)",
                ((mark, channel, since) for channel, since in refused.items()),
            )
        conn.execute("DELETE FROM refusals WHERE kind = ? AND value = ?", (kind, value))
    _keep_former(conn, key)


def _keep_former(conn: sqlite3.Connection, key: PersonKey) -> None:
    """What their records said no under while they had another address: a digest as well, unless it is somebody else's now."""
    rows = conn.execute(
        "SELECT DISTINCT r.kind, r.value FROM temp.e_subject e CROSS JOIN subjects s ON s.id = e.id "
        "JOIN streams t ON t.id = s.stream_id JOIN connections n ON n.id = t.connection_id "
        f"CROSS JOIN refusals r ON r.source = {SOURCE} AND r.record_key = s.ref WHERE r.kind <> 'forgotten' AND NOT EXISTS "
        "(SELECT 1 FROM identifiers i WHERE i.kind = r.kind AND i.value = r.value AND i.profile_id IS NOT NULL)"
    ).fetchall()
    for kind, value in rows:
        keep_mark(conn, kind, value, key.digest(kind, value).hex())
