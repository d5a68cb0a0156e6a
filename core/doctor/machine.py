"""The machine: what runs us, whether there is room, who may read the files."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Final

from core.doctor.finding import Finding, failed, listed, noted, passed, warned
from core.doctor.patient import Patient
from core.store import backups
from core.store.copies import spell_size

WAL_RESET_FIXED: Final = ((3, 51, 3), {(3, 44): 6, (3, 50): 7})
"""
Since when SQLite is without the WAL-reset race, which can damage a file that several connections write; and the patch releases
of older lines that are without it too (https://www.sqlite.org/wal.html#walresetbug).
"""
DROP_COLUMN_FIXED: Final = (3, 35, 5)
"""Before it ALTER TABLE DROP COLUMN could damage a file (https://www.sqlite.org/releaselog/3_35_5.html)."""
LEAST_FREE: Final = 256_000_000
"""Bytes: what a day of pulls and its WAL may take, of a small house."""


def versions(patient: Patient) -> Finding:
    """SQLite and Python, and what is known of the former."""
    found = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    version = sqlite3.sqlite_version_info
    if version < DROP_COLUMN_FIXED:
        return failed("versions", f"{found}, which can damage a file when a column is dropped", "use SQLite 3.51.3 or later")
    fixed, patched = WAL_RESET_FIXED
    if version < fixed and version[2] < patched.get(version[:2], 1000):
        remedy = "use a Python with SQLite 3.51.3 or later when there is one, or your system's mended package; and keep backups"
        # most systems come with one of these, so as a warning it would say that nobody is ever well
        return noted("versions", f"{found}, which has the WAL-reset race: very rarely it damages a file", remedy)
    return passed("versions", found)


def disk(patient: Patient) -> Finding:
    """Room for the work of a day, and for a copy of the file."""
    folder = patient.database.absolute().parent
    if not folder.is_dir():
        return failed("disk", f"{folder} is not there", "make it, or mend `database` in [workspace]")
    free = shutil.disk_usage(folder).free
    size = sum(file.stat().st_size for file in _files(patient.database))
    told = f"{spell_size(free)} free, the database takes {spell_size(size)}"
    if free < LEAST_FREE:
        return failed("disk", told, f"make room in {folder}: a full disk stops every pull and sync")
    if free < size:
        return warned("disk", told, f"make room in {folder}: an upgrade copies the database first and would refuse")
    return passed("disk", told)


def modes(patient: Patient) -> Finding:
    """People and tokens are for their owner only, who can write them."""
    own = _files(patient.database)
    shut = [str(path) for path in (patient.database.absolute().parent, *own) if path.exists() and not os.access(path, os.W_OK)]
    if own and shut:
        remedy = "ask as the user that the daemon is; or let that user write there, for every pull and sync has to"
        return failed("file modes", f"cannot be written by the user who asks: {listed(shut)}", remedy)
    files = [*_files(patient.database), *_secrets(patient.database), *_known_copies(patient.database)]
    open_ = [str(file) for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077]
    if open_:
        return failed("file modes", f"others may read {listed(open_)}", f"chmod 600 {' '.join(open_[:5])}")
    return passed("file modes", f"{len(files)} files are for their owner only")


def _files(database: Path) -> list[Path]:
    names = [database, *(database.with_name(f"{database.name}{end}") for end in ("-wal", "-shm"))]
    return [file for file in names if file.exists()]


def _secrets(database: Path) -> list[Path]:
    return sorted(file for file in database.absolute().parent.glob(f"{database.name}.*") if file.suffix in (".token", ".key"))


def _known_copies(database: Path) -> list[Path]:
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as conn:
            return [one.path for one in backups.backups(conn) if one.path.exists()]
    except sqlite3.Error:  # of an older version, or damaged: another check says so
        return []
