"""
What was done with somebody's data, where, and what is left for a person to do. It names nobody.

Its JSON is kept in the store as well, so that it can be shown again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from core.clock import iso
from core.store.person_key import key_path

FORMAT: Final = 1
_MAGIC: Final = b"SQLite format 3\x00"
Certificate = dict[str, Any]


def make(
    database: Path,
    *,
    subject: bytes,
    begun_at: int,
    connections: Sequence[Mapping[str, Any]],
    by_hand: Sequence[Mapping[str, Any]],
    rows: Mapping[str, int],
    digests: int,
) -> Certificate:
    """Return the certificate of somebody who is out of the store; `finish` completes it."""
    return {
        "certificate": FORMAT,
        "subject": subject.hex(),
        "command": "tagalong forget",
        "version": _version(),
        "database": database.name,
        "begun_at": iso(begun_at),
        "connections": list(connections),
        "store": {"rows": dict(rows), "rewritten": False},
        "kept": {"keyed_hashes": digests, "key": key_path(database).name},
        "by_hand": list(by_hand),
        "backups": [],
    }


def finish(certificate: Certificate, *, at: int, backups: Sequence[Mapping[str, Any]]) -> Certificate:
    """Return it with the end: the file was written anew, and these copies of it are older."""
    store = {**certificate["store"], "rewritten": True}
    return {**certificate, "done_at": iso(at), "store": store, "backups": list(backups)}


def _version() -> str:
    try:
        return version("tagalong")
    except PackageNotFoundError:  # run from a checkout
        return "unknown"


def backups_of(conn: sqlite3.Connection, database: Path) -> list[dict[str, Any]]:
    """
    Return the copies of the database that are older than now: those on record, and those that lie beside it.

    A copy that was taken elsewhere nobody here knows of.
    """
    found: dict[Path, str | None] = {}
    if conn.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'backups'").fetchone():
        for name, made_at in conn.execute("SELECT path, made_at FROM backups ORDER BY made_at"):
            path = Path(name) if Path(name).is_absolute() else database.parent / name
            found[path.resolve()] = iso(made_at)  # one that is no longer there was moved: it is somewhere
    for path in sorted(database.parent.iterdir()):
        if path.name not in {database.name, f"{database.name}-wal", f"{database.name}-shm"} and _is_database(path):
            found.setdefault(path.resolve(), None)
    return [{"path": str(path), "made_at": made_at, "there": path.exists()} for path, made_at in found.items()]


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return path.is_file() and file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def lines(certificate: Mapping[str, Any]) -> list[str]:
    """Return the certificate as text, a line at a time."""
    done = certificate.get("done_at")
    told = [
        "CERTIFICATE OF ERASURE" if done else "NOT COMPLETE YET",
        f"Subject (keyed hash): {certificate['subject']}",
        f"By: {certificate['command']} {certificate['version']}, database {certificate['database']}",
        f"Begun: {certificate['begun_at']}" + (f"; done: {done}" if done else ""),
    ]
    return [*told, "", *deeds(certificate)]


def foretold(preview: Mapping[str, Any]) -> list[str]:
    """Return as text what `--dry-run` tells: who it is about, what would be done where, and what of it in which table."""
    who = preview["who"]
    told = ["Who:", "  1 person" if who["people"] else "  nobody who is known here: they would be kept out all the same"]
    told += [f"  {what}: {_listed(who[what])}" for what in ("identifiers", "records") if who[what]]
    told += [f"  events: {who['events']:,}"] if who["events"] else []
    return [*told, "", *deeds(preview)]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def deeds(certificate: Mapping[str, Any]) -> list[str]:
    """Return as text what was done where, what is left to be done by hand, and who else has them."""
    told = ["Elsewhere:"]
    for one in certificate["connections"]:
        told += [f"  {one['connection']} ({one['vendor']}): {line}" for line in _deeds(one)]
    told += [] if certificate["connections"] else ["  nobody had to be asked"]
    store = certificate["store"]
    rows = sum(store["rows"].values())
    told += ["", "Here:", f"  {rows} rows of {len(store['rows'])} tables deleted or cleaned"]
    told += [f"  {_listed(store['rows'])}"] if rows else []
    told += ["  the file was rewritten and its log cut off"] if store["rewritten"] else []
    kept = certificate["kept"]
    told += [f"  kept: {kept['keyed_hashes']} keyed hashes, so that no pull brings them back (key in {kept['key']})"]
    told += ["", "To be done by hand:"]
    told += [f"  {one['connection'] or 'here'}: {one['what']}{_where(one)}" for one in certificate["by_hand"]]
    told += [] if certificate["by_hand"] else ["  nothing that is known here"]
    told += ["", "Copies of the database that were made before:"]
    told += [f"  {_copy(one)}" for one in certificate["backups"]]
    return told + ([] if certificate["backups"] else ["  none that is known here"])


def _deeds(one: Mapping[str, Any]) -> list[str]:
    found = [f"{audience['did'].replace('_', ' ')}: {audience['audience']}" for audience in one["audiences"]]
    erasure = one.get("erasure")
    if erasure is not None:
        said = {"asked": "erasure asked for", "nothing": "nothing to ask for", "refused": "erasure refused"}
        verdicts = ", ".join(f"{verdict} {n}" for verdict, n in erasure.get("verdicts", {}).items())
        jobs = f"; job {', '.join(erasure['jobs'])}" if erasure.get("jobs") else ""
        found.append(
            f"{said.get(erasure['did'], erasure['did'])} ({erasure['does']}{f'; {verdicts}' if verdicts else ''}{jobs})"
        )
    return found


def _copy(one: Mapping[str, Any]) -> str:
    made = f" (made {one['made_at']})" if one["made_at"] else ""
    if not one["there"]:
        return f"{one['path']}{made}: no longer there, so moved or deleted; may hold them"
    found = {
        True: "holds them",
        False: "nothing of what was known of them is in it",
        None: "cannot be looked into; may hold them",
    }
    return f"{one['path']}{made}: {found[one.get('holds')]}"


def _where(one: Mapping[str, Any]) -> str:
    return f" ({one['docs_url']})" if one.get("docs_url") else ""
