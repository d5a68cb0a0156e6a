"""
Copies of a database that others are writing: one moment of it, whole, in a file that is there entirely or not at all.

The copy is read inside one transaction, so in WAL mode nobody waits for it and nobody's writing makes it begin anew; what it
costs is that the WAL cannot shrink meanwhile. It is made beside its target under another name, checked, written to the disk and
then renamed. Each copy carries the time of its making among its settings: whichever way it is put back, what opens it then
knows that the world has moved on since (`core.upkeep.restored`).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from core.durable import put_new, sync_folder
from core.errors import StoreError

COPIED_AT: Final = "copied_at"
"""The setting, microseconds since 1970, that a copy has and the file it was made of has not."""
STEP_PAGES: Final = 2048
"""8 MB with SQLite's usual pages: some hundredths of a second, after which somebody may look at a signal."""
PART: Final = ".part"
ABANDONED_S: Final = 600.0
"""A part that nobody has written to for so long is of a process that was killed; the longest step is its check."""
SPARE: Final = 1.02
"""What the copy may need beside its pages: the journal of its last touch."""

OnStep = Callable[[int, int], None]
"""Told how many pages are done, of how many."""


def copy_database(
    source: Path, target: Path, *, at: int, replace: bool = False, marked: bool = True, on_step: OnStep | None = None
) -> int:
    """
    Copy the database *source* to *target* (mode 0600), which must not be there unless *replace*; return its size in bytes.

    Raises:
        StoreError: there is no room, the target is there, or the copy is not sound; nothing is left behind.
    """
    if target.exists() and not replace:
        raise StoreError(f"{target}: is there already; --force writes over it")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=PART, dir=target.parent)  # made with mode 0600
        os.close(handle)
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({error.strerror}); check the folder and its permissions") from error
    part = Path(name)
    try:
        _fill(source, part, target, at if marked else None, on_step)
        _durable(part)
        _put(part, target, replace)
    except OSError as error:
        raise StoreError(f"{target}: the copy cannot be written ({error.strerror})") from error
    finally:
        for left in (part, part.with_name(f"{part.name}-journal")):
            left.unlink(missing_ok=True)
    return target.stat().st_size


def needed_bytes(conn: sqlite3.Connection) -> int:
    """Return how much room a copy of an open database takes."""
    (pages,), (size,) = conn.execute("PRAGMA page_count").fetchone(), conn.execute("PRAGMA page_size").fetchone()
    return int(pages * size * SPARE)


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raise StoreError where *folder* has no room for *needed* bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(f"{what} needs {spell_size(needed)} in {folder}, which has {spell_size(free)} left; make room first")


def spell_size(size: int) -> str:
    """Return a size as one says it: `640 kB`, `1.2 GB`."""
    number, unit = float(size), "bytes"
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit in ("bytes", "kB") or number >= 100 else f"{number:.1f} {unit}"


def is_sound(path: Path) -> bool:
    """Return whether SQLite finds nothing wrong with the pages of a file; its indexes are not held against its tables."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as conn:
        try:
            return conn.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
        except sqlite3.DatabaseError:
            return False


def _fill(source: Path, part: Path, target: Path, mark: int | None, on_step: OnStep | None) -> None:
    try:
        with closing(_reader(source)) as reader, closing(sqlite3.connect(part, isolation_level=None)) as writer:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees one moment
            check_room(target.parent, needed_bytes(reader), f"a copy of {source.name}")
            writer.execute("PRAGMA synchronous = OFF")  # all of it is written to the disk at the end

            def told(_status: int, remaining: int, total: int) -> None:
                if on_step is not None:
                    on_step(total - remaining, total)

            reader.backup(writer, pages=STEP_PAGES, progress=told)
            # one file, whole in itself: a copy that wants a -wal beside it is soon carried away without
            writer.execute("PRAGMA journal_mode = DELETE")
            if mark is not None:
                writer.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (COPIED_AT, str(mark)))
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR_WRITE"))
        why = "the disk is full" if full else str(error)
        raise StoreError(f"{target}: the copy of {source.name} could not be made: {why}") from error
    if not is_sound(part):
        raise StoreError(f"{target}: the copy of {source.name} is not sound, and was not kept; ask `tagalong doctor --deep`")


def _reader(source: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30.0, isolation_level=None)


def _durable(part: Path) -> None:
    handle = os.open(part, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put(part: Path, target: Path, replace: bool) -> None:
    if replace:
        part.replace(target)
    else:
        try:
            put_new(part, target)
        except FileExistsError:
            raise StoreError(f"{target}: is there already; --force writes over it") from None
    sync_folder(target.parent)


def sweep_parts(folder: Path, name: str, *, after_s: float = ABANDONED_S) -> None:
    """Remove what copies left that were killed: those to files in *folder* that match *name*, a glob."""
    for left in folder.glob(f".{name}.*{PART}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > after_s:
                left.unlink()
