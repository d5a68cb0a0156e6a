"""The file: whether its pages are sound, its schema is ours, its log is kept short, and there is a copy of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from core.clock import from_us
from core.doctor.finding import Finding, failed, listed, passed, warned
from core.doctor.patient import Patient
from core.errors import StoreError
from core.store import backups
from core.store.copies import spell_size
from core.store.schema import known_migrations, migrations

PUT_BACK: Final = "stop what runs, keep the file, and put a copy back: `tagalong backup --restore FILE` (docs/operations.md)"
LONG_WAL: Final = 512_000_000
"""Bytes. It is emptied at 32 MB unless somebody reads without end."""
OLD_COPY: Final = timedelta(days=7)


def schema(patient: Patient) -> Finding:
    """Which migrations the file has."""
    try:
        outdated = patient.store is not None and patient.store.is_outdated()
    except StoreError as error:
        return failed("schema", str(error), "run the version of tagalong that wrote it, or a later one")
    if outdated and patient.store is not None:
        pending = len(known_migrations() - {one.name for one in migrations.applied(patient.store.db)})
        remedy = "stop the daemon of the old version; the next command of this one makes a copy and then migrates"
        return warned("schema", f"{pending} migrations are pending, so what is in the tables was not looked at", remedy)
    return passed("schema", backups.version_of(patient.conn))


def pages(patient: Patient) -> Finding:
    """Whether SQLite can read every page. Indexes are held against their tables by `--deep`."""
    said = [line for (line,) in patient.conn.execute("PRAGMA quick_check(5)")]
    return passed("pages") if said == ["ok"] else failed("pages", listed(said), PUT_BACK)


def wal(patient: Patient) -> Finding:
    """A log that grows and grows is somebody who reads without end."""
    file = patient.database.with_name(f"{patient.database.name}-wal")
    size = file.stat().st_size if file.exists() else 0
    if size > LONG_WAL:
        remedy = "see which process holds the file open (`fuser`), and end what reads for hours"
        return warned("write-ahead log", f"{spell_size(size)}: something has been reading for long", remedy)
    return passed("write-ahead log", spell_size(size))


def kept_copies(patient: Patient) -> Finding:
    """Whether there is a copy, and how old it is."""
    if patient.is_outdated:
        return passed("backups", "not known before the upgrade")
    known = backups.backups(patient.conn)
    copies = [one for one in known if one.why != backups.REPLACED]
    if not copies:
        return warned("backups", "no copy was ever made", "have cron run `tagalong backup /somewhere/else/` each night")
    newest = from_us(copies[0].made_at)
    gone = [str(one.path) for one in known if not one.path.exists()]
    told = f"the last is of {newest:%Y-%m-%d %H:%M}Z, {spell_size(copies[0].size)}"
    if gone:
        told += f"; {len(gone)} are no longer where they were made"
    if patient.now - newest > OLD_COPY:
        return warned("backups", told, "have cron run `tagalong backup /somewhere/else/` each night")
    return passed("backups", told)
