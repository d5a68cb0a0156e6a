"""What takes long to hold against each other: indexes and tables, rows and what they point at, the ledger and its bitmaps."""

from __future__ import annotations

import sqlite3
from typing import Final

from pyroaring import BitMap

from core.doctor.file import PUT_BACK
from core.doctor.finding import Finding, failed, listed, passed
from core.doctor.patient import Patient
from core.store.audiences import audiences, standing
from core.store.forgotten import returned

REPORT: Final = "keep the file and report it with this line; meanwhile put a copy back"
REFERENCES: Final = {
    "streams without their connection": "streams s WHERE NOT EXISTS (SELECT 1 FROM connections o WHERE o.id = s.connection_id)",
    "identifiers of no profile": "identifiers s WHERE s.profile_id IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM profiles o WHERE o.id = s.profile_id)",
    "links without their subject": "subject_identifiers s"
    " WHERE NOT EXISTS (SELECT 1 FROM subjects o WHERE o.id = s.subject_id)",
    "links without their identifier": "subject_identifiers s"
    " WHERE NOT EXISTS (SELECT 1 FROM identifiers o WHERE o.id = s.identifier_id)",
    "ledger rows of no audience": "ledger s WHERE NOT EXISTS (SELECT 1 FROM audiences o WHERE o.id = s.audience_id)",
    "members of no intent": "intent_members s WHERE NOT EXISTS (SELECT 1 FROM intents o WHERE o.id = s.intent_id)",
    "intents of no audience": "intents s WHERE NOT EXISTS (SELECT 1 FROM audiences o WHERE o.id = s.audience_id)",
}
BITMAPS: Final = {
    "member_sets": ("members",), "membership_history": ("entered", "left"), "audiences": ("owned", "theirs", "waiting"),
    "holds": ("adds", "removes"), "approvals": ("adds", "removes"),
}  # fmt: skip


def indexes(patient: Patient) -> Finding:
    """Every page and every entry of every index."""
    said = [line for (line,) in patient.conn.execute("PRAGMA integrity_check(5)")]
    if said == ["ok"]:
        return passed("indexes")
    if all("index" in line for line in said):
        return failed("indexes", listed(said), "stop what runs and `sqlite3 FILE REINDEX`, or put a copy back")
    return failed("indexes", listed(said), PUT_BACK)


def references(patient: Patient) -> Finding:
    """Rows that point at nothing."""
    wrong = []
    for what, where in REFERENCES.items():
        number = patient.conn.execute(f"SELECT count(*) FROM {where}").fetchone()[0]
        if number:
            wrong.append(f"{number} {what}")
    return failed("references", listed(wrong), REPORT) if wrong else passed("references")


def forgotten(patient: Patient) -> Finding:
    """People who were forgotten and are in the store all the same, as after an old copy was put back by hand."""
    back = returned(patient.conn, patient.database)
    if back:
        return failed("forgotten", f"{len(back)} forgotten people are in the store", "`tagalong forget --again`")
    return passed("forgotten", "nobody is back")


def sets(patient: Patient) -> Finding:
    """Bitmaps that cannot be read."""
    wrong, read = [], 0
    for table, columns in BITMAPS.items():
        for column in columns:
            for (blob,) in patient.conn.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"):
                read += 1
                if not _readable(blob):
                    wrong.append(f"{table}.{column}")
    return failed("sets", f"cannot be read: {listed(wrong)}", PUT_BACK) if wrong else passed("sets", f"{read} bitmaps")


def _readable(blob: bytes) -> bool:
    try:
        BitMap.deserialize(blob)
    except Exception:  # pyroaring raises what it likes
        return False
    return True


def ledger_and_bitmaps(patient: Patient) -> Finding:
    """The bitmaps that plans read say what the ledger's rows say."""
    conn, wrong, rows = patient.conn, [], 0
    conn.execute("BEGIN")  # one moment, though the daemon writes
    try:
        for row in audiences(conn):
            expected, members = _expected(conn, row.id)
            rows += members
            if not _agree(conn, row.id, expected):
                wrong.append(row.label or f"{row.connection}: {row.name}")
    finally:
        conn.execute("ROLLBACK")
    if wrong:
        return failed("ledger", f"the bitmaps of {listed(wrong)} do not say what its rows say", REPORT)
    return passed("ledger", f"{rows} rows")


def _expected(conn: sqlite3.Connection, audience_id: int) -> tuple[tuple[BitMap, BitMap], int]:
    """Return who is ours and who theirs by the rows, and how many rows there are."""
    ours, theirs, members = BitMap(), BitMap(), 0
    for profile_id, is_ours, is_theirs, n in conn.execute(
        "SELECT profile_id, max(state IN ('ours', 'unsure')), max(state = 'foreign'), count(*) FROM ledger"
        " WHERE audience_id = ? GROUP BY profile_id",
        (audience_id,),
    ):
        members += n
        if profile_id is not None and (is_ours or is_theirs):
            (ours if is_ours else theirs).add(profile_id)
    return (ours, theirs), members


def _agree(conn: sqlite3.Connection, audience_id: int, expected: tuple[BitMap, BitMap]) -> bool:
    stands = standing(conn, audience_id)
    open_ = BitMap(
        profile_id
        for (profile_id,) in conn.execute(
            "SELECT m.profile_id FROM intents i JOIN intent_members m ON m.intent_id = i.id"
            " WHERE i.audience_id = ? AND i.settled_at IS NULL AND m.verdict IS NULL AND m.profile_id IS NOT NULL",
            (audience_id,),
        )
    )
    return (stands.owned, stands.theirs) == expected and stands.waiting <= open_
