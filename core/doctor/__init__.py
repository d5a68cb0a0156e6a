"""
`tagalong doctor`: what may be wrong with the file, the machine and the work, each with what to do about it.

It reads only: it migrates nothing, takes no lease and asks no vendor, so it may run beside the daemon, and of a database that
is damaged it says so. What is held or failed at this moment and whom to page for it is `tagalong status --check`; this is for
the person who then looks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from core.clock import Clock
from core.config.load import database_of
from core.doctor import deep, file, machine, setup, work
from core.doctor.finding import Finding, Grade, failed, passed, skipped
from core.doctor.patient import Patient
from core.errors import ConfigError, StoreError
from core.store import Store

Check = Callable[[Patient], Finding]

MACHINE: Mapping[str, Check] = {"versions": machine.versions, "disk": machine.disk, "file modes": machine.modes}
FILE: Mapping[str, Check] = {
    "schema": file.schema,
    "pages": file.pages,
    "write-ahead log": file.wal,
    "backups": file.kept_copies,
}
WORK: Mapping[str, Check] = {
    "clock": work.clock, "connections": work.connections, "streams": work.streams, "leases": work.leases_of_the_dead,
    "intents": work.open_intents, "dead letters": work.dead_letters, "held": work.held, "alerts": work.alerts,
    "daemon": work.daemon, "person key": work.person_key, "forgettings": work.forgettings,
}  # fmt: skip
DEEP: Mapping[str, Check] = {
    "indexes": deep.indexes, "references": deep.references, "sets": deep.sets, "ledger": deep.ledger_and_bitmaps,
    "forgotten": deep.forgotten,
}  # fmt: skip


def examine(path: Path, environ: Mapping[str, str], clock: Clock, *, thorough: bool = False) -> Iterator[Finding]:
    """Yield what each check found; *thorough* reads every page and row, which takes minutes where there are many."""
    config, found = setup.read(path, environ)
    yield found
    if config is not None:
        yield setup.connectors(config, clock)
    try:
        database = database_of(path, environ)
    except ConfigError:
        yield skipped("database", "where it is cannot be told from the config")
        return
    patient = Patient(database, config, clock)
    yield from (_asked(name, check, patient) for name, check in MACHINE.items())
    opened = _open(patient)
    yield opened
    if opened.grade is not Grade.PASSED:
        return
    checks = {**FILE, **({} if patient.is_outdated else WORK), **(DEEP if thorough and not patient.is_outdated else {})}
    try:
        for name, check in checks.items():
            yield _asked(name, check, patient)
        if config is not None and not patient.is_outdated:
            yield _asked("names in segments", setup.names, patient)
    finally:
        patient.close()


def _open(patient: Patient) -> Finding:
    if not patient.database.exists():
        return skipped("database", f"{patient.database} is not there yet; the first pull makes it")
    try:
        patient.store = Store(patient.database, read_only=True)
        tables = patient.conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except (sqlite3.Error, StoreError) as error:
        return failed("database", f"{patient.database} cannot be read: {error}", file.PUT_BACK)
    if not tables:
        return skipped("database", f"{patient.database} is empty; the first pull fills it")
    return passed("database", str(patient.database))


def _asked(name: str, check: Check, patient: Patient) -> Finding:
    try:
        return check(patient)
    except sqlite3.DatabaseError as error:
        damaged = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        return failed(name, f"cannot be read: {error}", file.PUT_BACK if damaged else "try again; if it stays, -vv shows where")
    except (StoreError, OSError, ValueError) as error:
        return failed(name, f"cannot be told: {error}", "try again; if it stays, restore a backup")
