"""
`tagalong backup`: a copy of the store while the daemon runs, and a copy put back in its place.

What is put back is behind the world: `core.upkeep.restored` holds every sync of it until a person has looked. The file that was
there is set aside, never overwritten, and what must not be forgotten with it is carried over.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from core.clock import Clock, from_us, to_us
from core.durable import sync_folder
from core.errors import StoreError
from core.store import Store, backups
from core.store.copies import COPIED_AT, OnStep, copy_database, is_sound, sweep_parts
from core.store.db import translated
from core.store.leases import owner_of
from core.store.schema import known_migrations, migrations

CARRIED: Final = ("backups", "forgettings", "forgotten", "refusals")
"""Tables whose rows are true whatever the store's age: they go from the file set aside into the one put back."""
LATER: Final = {
    # a no that was said again since; one that was lifted since is asked about again
    "refusals": "ended_at IS NOT NULL AND excluded.ended_at IS NULL AND (ended_by = 'yes' OR excluded.since > ended_at)",
    "forgettings": "state = 'begun' AND excluded.state IN ('swept', 'done') OR state = 'swept' AND excluded.state = 'done'",
}
"""Which line of the file set aside stands in place of the same one in the copy, by table."""
IN_USE_WAIT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Made:
    """A copy that was made."""

    path: Path
    made_at: datetime
    _: KW_ONLY
    size: int
    version: str
    beside: tuple[Path, ...]
    """What the copy does not hold and a restore on another machine needs: tokens, keys, lists."""


def back_up(database: Path, target: Path, *, clock: Clock, replace: bool = False, on_step: OnStep | None = None) -> Made:
    """
    Copy *database* to *target*, a file or a folder in which it gets a name by its time, and write down that it is there.

    Raises:
        StoreError: there is no database, no room, a file of that name and not *replace*, or no way to note that it was made.
    """
    if not database.exists():
        raise StoreError(f"{database}: there is no database yet, so nothing to copy")
    at, name = clock(), target.name
    if target.is_dir():
        target, name = target / f"{database.stem}-{at:%Y%m%dT%H%M%SZ}.db", f"{database.stem}-*.db"
    if target.exists() and target.samefile(database):
        raise StoreError(f"{target}: is the database itself")
    sweep_parts(target.parent, name)
    size = copy_database(database, target, at=to_us(at), replace=replace, on_step=on_step)
    try:
        with Store(database) as store, store.atomic() as conn:
            version = backups.version_of(conn)
            backups.note(conn, target, made_at=to_us(at), why=backups.COMMAND, version=version)
    except StoreError as error:
        told = f"{error}; {target} is whole, but nothing is noted of it: no certificate of `tagalong forget` will name it"
        raise StoreError(told) from error
    return Made(target, at, size=size, version=version, beside=kept_beside(database))


def kept_beside(database: Path) -> tuple[Path, ...]:
    """Return the files beside a database that belong to it and are in no copy of it."""
    names = [path for path in database.absolute().parent.glob(f"{database.name}.*") if path.suffix in (".token", ".key")]
    return tuple(sorted(names))


@dataclass(frozen=True, slots=True)
class PutBack:
    """A copy that was put in the database's place."""

    path: Path
    made_at: datetime
    """When the copy was made."""
    _: KW_ONLY
    aside: Path | None
    """Where the file is that was there."""
    carried: bool
    """Whether what must not be forgotten could be read of it."""


def put_back(
    database: Path,
    file: Path,
    *,
    clock: Clock,
    made_at: datetime | None = None,
    force: bool = False,
    on_step: OnStep | None = None,
) -> PutBack:
    """
    Put the copy *file* in the place of *database*; *file* itself stays. *made_at* is what `examine` said of it, if asked.

    Raises:
        StoreError: *file* is no sound copy of a store, or somebody uses the database; with *force* one that is damaged, and
            so cannot be asked who uses it, is replaced too.
    """
    made_us, carried, aside = to_us(made_at or examine(file)), False, None
    staged = database.with_name(f".{database.name}.restore")
    with _nobody_at(database, clock, force) as there:
        try:
            copy_database(file, staged, at=made_us, replace=True, on_step=on_step)
            if database.exists():
                aside = _name_aside(database, clock())
            carried = _make_ready(staged, database, there, aside=aside, file=file, made_at=made_us, now=clock())
            if aside is not None:
                _set_aside(database, aside)
            staged.replace(database)
        finally:
            for left in (staged, staged.with_name(f"{staged.name}-journal")):
                left.unlink(missing_ok=True)
        sync_folder(database.absolute().parent)
    return PutBack(database, from_us(made_us), aside=aside, carried=carried)


def _make_ready(
    staged: Path,
    database: Path,
    there: sqlite3.Connection | None,
    *,
    aside: Path | None,
    file: Path,
    made_at: int,
    now: datetime,
) -> bool:
    """
    Make *staged* all that it has to be before it takes its name, for a kill may follow at once: of this version, with what must
    not be forgotten and without leases. Return whether that could be read of the file that is there.
    """
    try:
        with closing(sqlite3.connect(staged, isolation_level=None)) as conn:
            conn.execute("BEGIN IMMEDIATE")
            migrations.apply(Database(conn))  # *file* stays, so no copy is made before that
            conn.execute("DELETE FROM leases")  # whoever held one then is not there now
            rows = None if aside is None else _to_carry(database, there)
            for table, columns, found in rows or ():
                _carry(conn, table, columns, found)
            version = backups.version_of(conn)
            if aside is not None:
                backups.note(
                    conn, aside, made_at=to_us(now), why=backups.REPLACED, version=version, size=database.stat().st_size
                )
            backups.note(conn, file, made_at=made_at, why=backups.COMMAND, version=version)
            conn.execute("COMMIT")
    except sqlite3.Error as error:
        raise translated(error, staged) from error
    return rows is not None


def examine(file: Path) -> datetime:
    """Return when the copy *file* was made; StoreError where it is none, is damaged or of a newer version. Reads all of it."""
    if not file.is_file():
        raise StoreError(f"{file}: there is no such file")
    if not is_sound(file):
        raise StoreError(f"{file}: is damaged or not a database; take another copy")
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as conn:
            names = {name for (name,) in conn.execute("SELECT name FROM _sqlite_migrations")}
            row = conn.execute("SELECT value FROM settings WHERE key = ?", (COPIED_AT,)).fetchone()
            newest = conn.execute("SELECT max(started_at) FROM runs").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(f"{file}: is no database of tagalong") from error
    if names - known_migrations():
        raise StoreError(f"{file}: was written by a newer tagalong; upgrade this one")
    # one that was copied by other means is as old as what is in it
    at = int(row[0]) if row is not None else newest if newest is not None else int(file.stat().st_mtime * 1_000_000)
    return from_us(at)


@contextmanager
def _nobody_at(database: Path, clock: Clock, force: bool) -> Iterator[sqlite3.Connection | None]:
    """Keep everybody else out of the database while the block runs; yields who reads it, None where nobody can."""
    if not database.exists():
        yield None
        return
    conn = sqlite3.connect(database, timeout=IN_USE_WAIT_S, isolation_level=None)
    try:
        try:
            _refuse_leases(conn, database, clock)
            # SQLite leaves WAL mode only for whoever has the file to himself; what was in the WAL is in the file then
            if conn.execute("PRAGMA journal_mode = DELETE").fetchone() != ("delete",):
                raise StoreError(f"{database}: another process has it open; stop it first")
            conn.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "BUSY" not in getattr(error, "sqlite_errorname", "") and "LOCKED" not in getattr(error, "sqlite_errorname", ""):
                raise
            raise StoreError(f"{database}: another process has it open; stop it first") from error
    except sqlite3.DatabaseError as error:
        conn.close()
        if not force:
            told = "is damaged, and cannot be asked who uses it; stop whatever runs, then say --force"
            raise StoreError(f"{database}: {told}") from error
        yield None
        return
    except BaseException:
        conn.close()
        raise
    try:
        yield conn
    finally:
        conn.close()


def _refuse_leases(conn: sqlite3.Connection, database: Path, clock: Clock) -> None:
    for (name,) in conn.execute("SELECT name FROM leases").fetchall():
        owner = owner_of(conn, name, clock)
        if owner is not None:
            raise StoreError(f"{database}: {name} is held by process {owner.pid} on {owner.host}; stop it first")


def _name_aside(database: Path, at: datetime) -> Path:
    aside = database.with_name(f"{database.name}.{at:%Y%m%dT%H%M%SZ}.replaced")
    if aside.exists():
        raise StoreError(f"{aside}: is there already; wait a second")
    return aside


def _set_aside(database: Path, aside: Path) -> None:
    """Give the file another name too, so that there is no moment at which there is none."""
    for left in ("-wal", "-shm"):  # of a damaged one: it belongs to that file, and would be taken for the new one's
        beside = database.with_name(f"{database.name}{left}")
        if beside.exists():
            beside.replace(aside.with_name(f"{aside.name}{left}"))
    try:
        os.link(database, aside)
    except OSError:  # a file system without links
        database.replace(aside)


Rows = list[tuple[object, ...]]


def _to_carry(database: Path, there: sqlite3.Connection | None) -> list[tuple[str, list[str], Rows]] | None:
    """Return what must not be forgotten of the file that is there, by table and columns; None where it cannot be read."""
    try:
        if there is not None:
            return list(_read_carried(there))
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as conn:
            return list(_read_carried(conn))
    except sqlite3.DatabaseError:
        return None


def _read_carried(conn: sqlite3.Connection) -> Iterator[tuple[str, list[str], Rows]]:
    for table in CARRIED:
        columns = _columns(conn, table)  # none where it is older and has no such table
        if columns:
            yield table, columns, conn.execute(f'SELECT {_listed(columns)} FROM "{table}"').fetchall()


def _carry(conn: sqlite3.Connection, table: str, columns: list[str], rows: Rows) -> None:
    known = set(_columns(conn, table))  # what they are carried from may be older, or newer
    chosen = [at for at, name in enumerate(columns) if name in known]
    names = [columns[at] for at in chosen]
    marks = ", ".join("?" * len(chosen))
    insert = f'INSERT OR IGNORE INTO "{table}" ({_listed(names)}) VALUES ({marks}){_unless(table, names)}'
    conn.executemany(insert, ([row[at] for at in chosen] for row in rows))


def _unless(table: str, columns: Iterable[str]) -> str:
    if table not in LATER:
        return ""
    every = ", ".join(f'"{name}" = excluded."{name}"' for name in columns)
    return f" ON CONFLICT DO UPDATE SET {every} WHERE {LATER[table]}"


def _columns(conn: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in conn.execute(f'PRAGMA table_info("{table}")') if name != "id"]


def _listed(columns: list[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
