"""
One run of a sync and one pull of a connection at a time, across processes.

A lease names its owner's host, process and start of process. An owner that is gone from this host is replaced at once; one on
another host when it has not renewed for `EXPIRES_S`, and so is one of this host that took it in another file: this one is a
copy, made while that one was in use. In another container it must be silent for `UNSEEN_S`. It is renewed while held by a
thread of its own, and checked inside every transaction that matters and before every request that writes, so a process that
slept through its lease writes nothing more.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.clock import Clock, to_us
from core.errors import LeaseLost, StoreError
from core.store.db import Store, translated

EXPIRES_S: Final = 300.0
"""How long an owner on another host may be silent."""
UNSEEN_S: Final = 120.0
"""How long one may be silent whose processes cannot be seen from here, on a host of this name: another container."""
RENEW_S: Final = 30.0
_FROM: Final = "|"
_held_here: Final[set[str]] = set()
"""The owners that are threads of this process: a row of another of its owners was left when the store could not be written."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that is held."""

    name: str
    owner: str
    clock: Clock

    def check(self, conn: sqlite3.Connection) -> None:
        """Renew inside the caller's transaction; LeaseLost where somebody else has it."""
        renewed = conn.execute(
            "UPDATE leases SET renewed_at = ? WHERE name = ? AND owner = ?", (to_us(self.clock()), self.name, self.owner)
        )
        if renewed.rowcount == 0:
            raise self.lost()

    def lost(self) -> LeaseLost:
        """Return the error of whoever finds that it is gone."""
        return LeaseLost(f"{self.name}: another process took over while this one was not looking; nothing more is sent")


def ask(store_path: Path, lease: Lease) -> None:
    """
    See in a look of its own that *lease* is still held, for a thread that has no store; LeaseLost where it is not.

    A reader waits for nobody, so this can be asked before each request.
    """
    try:
        with closing(sqlite3.connect(f"{store_path.absolute().as_uri()}?mode=ro", uri=True)) as conn:
            row = conn.execute("SELECT 1 FROM leases WHERE name = ? AND owner = ?", (lease.name, lease.owner)).fetchone()
    except sqlite3.Error as error:
        raise translated(error, store_path) from error
    if row is None:
        raise lease.lost()


def process_started(pid: int) -> str | None:
    """Return something that tells this process from a later one of the same number, or None when there is no such process."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # the name in brackets may hold anything; field 22 counts ticks since boot
            ticks = stat.read_text().rpartition(")")[2].split()[19]
        except OSError:
            return None
        boot = Path("/proc/sys/kernel/random/boot_id")
        return f"{boot.read_text().strip() if boot.exists() else ''}:{ticks}"
    asked = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - the system's own, and a number
    return answer.stdout.strip() or None


@dataclass(frozen=True, slots=True)
class _Row:
    """A lease as it stands in the store."""

    owner: str
    host: str
    pid: int
    started: str
    """From where the process was seen, and what tells it from a later one; only the latter of an earlier version."""
    renewed_at: int
    file: str | None
    """In which it was taken; None of an earlier version."""
    here: str | None
    """The file that it was read from."""

    def is_silent(self, now: int, for_s: float = EXPIRES_S) -> bool:
        return now - self.renewed_at > for_s * 1_000_000

    @property
    def is_copied(self) -> bool:
        # the number of a file may change under some file systems, so whoever renews it is believed all the same
        return self.host == socket.gethostname() and None not in (self.file, self.here) and self.file != self.here

    def is_gone(self, now: int) -> bool:
        """Whether whoever held it holds it no more."""
        if self.host != socket.gethostname():
            return self.is_silent(now)
        seen_from, bar, began = self.started.rpartition(_FROM)
        if bar and seen_from != _processes():
            return self.is_silent(now, UNSEEN_S)
        if process_started(self.pid) != began:
            return True
        return (self.is_copied and self.is_silent(now)) or (self.pid == os.getpid() and self.owner not in _held_here)

    def told(self, now: int) -> str:
        """Say who is at it, and what to do where waiting may not help."""
        who = f"process {self.pid} on {self.host} is at it"
        minutes = f"{EXPIRES_S / 60:.0f} minutes"
        if self.is_copied:
            return f"{who}, in the file that this one is a copy of; it is free once it has been silent here for {minutes}"
        if self.host != socket.gethostname():
            return f"{who}; wait for it to end, or until it has been silent for {minutes}"
        return f"{who}, and hangs or is stopped; end it" if self.is_silent(now) else f"{who}; wait for it to end"


def _processes() -> str:
    """Return which processes can be seen from here: containers may have one name, and each its own process 1."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _file_of(conn: sqlite3.Connection) -> str | None:
    """Return what tells the store's file from a copy of it."""
    path = conn.execute("PRAGMA database_list").fetchone()[2]
    try:
        stat = Path(path).stat()
    except OSError:
        return None
    return f"{stat.st_dev}:{stat.st_ino}"


@contextmanager
def hold(store_path: Path, name: str, clock: Clock) -> Iterator[Lease]:
    """
    Hold the lease *name* (`sync.NAME`, `connection.NAME`) while the block runs.

    Raises:
        LeaseLost: somebody who is alive holds it.
    """
    lease = Lease(name, uuid.uuid4().hex, clock)
    _held_here.add(lease.owner)
    try:
        yield from _hold(store_path, lease)
    finally:
        _held_here.discard(lease.owner)


def _hold(store_path: Path, lease: Lease) -> Iterator[Lease]:
    with Store(store_path) as store, store.atomic() as conn:
        _take(conn, lease)
    ended = threading.Event()
    renewer = threading.Thread(target=_renew, args=(store_path, lease, ended), name=f"lease {lease.name}", daemon=True)
    renewer.start()
    try:
        yield lease
    finally:
        ended.set()
        renewer.join()
        with contextlib.suppress(StoreError), Store(store_path) as store, store.atomic() as conn:
            conn.execute("DELETE FROM leases WHERE name = ? AND owner = ?", (lease.name, lease.owner))


def _take(conn: sqlite3.Connection, lease: Lease) -> None:
    now = to_us(lease.clock())
    row = _row(conn, lease.name)
    if row is not None and not row.is_gone(now):
        raise LeaseLost(f"{lease.name}: {row.told(now)}")
    pid = os.getpid()
    started = f"{_processes()}{_FROM}{process_started(pid) or ''}"
    conn.execute(
        "INSERT OR REPLACE INTO leases (name, owner, host, pid, process_started, acquired_at, renewed_at, file)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (lease.name, lease.owner, socket.gethostname(), pid, started, now, now, _file_of(conn)),
    )


def _renew(store_path: Path, lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(RENEW_S):
        # a busy store or a lost lease shows in the owner's next `check`; this thread only keeps quiet time from counting
        with contextlib.suppress(StoreError, LeaseLost), Store(store_path) as store, store.atomic() as conn:
            lease.check(conn)


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that holds a lease."""

    host: str
    pid: int
    renewed_at: int


def owner_of(conn: sqlite3.Connection, name: str, clock: Clock) -> Owner | None:
    """Return who is alive and holds *name*; None where nobody does, or its owner is gone."""
    row = _row(conn, name)
    return None if row is None or row.is_gone(to_us(clock())) else Owner(row.host, row.pid, row.renewed_at)


def is_renewed(conn: sqlite3.Connection, name: str, clock: Clock) -> bool:
    """Return whether its owner lives and does renew it: a process that hangs or is stopped is there, and does not."""
    row = conn.execute("SELECT renewed_at FROM leases WHERE name = ?", (name,)).fetchone()
    return row is not None and to_us(clock()) - row[0] <= EXPIRES_S * 1_000_000 and is_held(conn, name, clock)


def is_held(conn: sqlite3.Connection, name: str, clock: Clock) -> bool:
    """Return whether somebody who is alive holds *name* right now, for `status`."""
    return owner_of(conn, name, clock) is not None


def _row(conn: sqlite3.Connection, name: str) -> _Row | None:
    found: tuple[str, str, int, str, int, str | None] | None = conn.execute(
        "SELECT owner, host, pid, process_started, renewed_at, file FROM leases WHERE name = ?", (name,)
    ).fetchone()
    return None if found is None else _Row(*found, _file_of(conn))
