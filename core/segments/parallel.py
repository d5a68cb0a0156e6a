"""
Leaves asked of the store by several threads at once: SQLite lets go of Python's lock while it steps.

The thread of the evaluation is one of them, each of the others has a connection of its own, which only reads. All see one
commit: the last to begin says whether anybody has committed since before the first began, and where somebody has, all begin
anew. No lock is taken for that, so whoever writes meanwhile neither waits nor is waited for. Where it cannot be had, leaves are
asked one after the other, as they are in a small store, where connections cost more than they save.
"""

from __future__ import annotations

import os
import sqlite3
from array import array
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread
from types import MappingProxyType
from typing import Final, TypeVar

import orjson
from pyroaring import BitMap

from core.errors import StoreError
from core.segments import dialect
from core.segments.dialect import Sql
from core.store import Store

FROM_PEOPLE: Final = 20_000
"""In a store of fewer people one thread asks."""
MOST_THREADS: Final = 4
CACHE_KB: Final = 32_768
"""Pages of the file, and as much of temporary tables, that all readers together hold: with more they are no quicker."""
TRIES: Final = 20
PART: Final = 1_000_000
"""Characters of ids that are made numbers at a time: as objects they take five times the room."""

T = TypeVar("T")
Name = TypeVar("Name", bound=Hashable)
Work = Callable[[sqlite3.Connection], T]
Readers = Sequence[sqlite3.Connection]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def snapshot(store: Store) -> Iterator[Readers]:
    """
    Hold one state of the database for all reads; inside a transaction there is one already.

    Yields:
        Further connections that see the same state; none where they do not pay or cannot be had.
    """
    conn = store.conn
    if conn.in_transaction:  # what it has written is seen by nobody else
        yield ()
        return
    with ExitStack() as opened:
        readers = _opened(store, opened)
        try:
            if not (readers and _begun_together(conn, readers)):
                readers = []
                conn.execute("BEGIN")
            yield readers
        finally:
            if conn.in_transaction:
                conn.execute("ROLLBACK")


def _opened(store: Store, opened: ExitStack) -> list[sqlite3.Connection]:
    """Return the connections of the other threads, to be closed with *opened*."""
    (most,) = store.conn.execute("SELECT max(id) FROM profiles").fetchone()
    readers: list[sqlite3.Connection] = []
    if (most or 0) < FROM_PEOPLE:
        return readers
    others = min(cores(), MOST_THREADS) - 1
    with suppress(StoreError):
        for _ in range(others):
            reader = opened.enter_context(Store(store.path, any_thread=True, read_only=True)).conn
            reader.execute("PRAGMA mmap_size = 0")  # what two connections map of a file counts twice
            for schema in ("main", "temp"):
                reader.execute(f"PRAGMA {schema}.cache_size = -{CACHE_KB // others}")
            dialect.register(reader)
            readers.append(reader)
    return readers


def _begun_together(conn: sqlite3.Connection, readers: Readers) -> bool:
    """Begin a transaction on all at one commit; return False, none having begun, where others did nothing but commit."""
    together = (conn, *readers)
    try:
        for _ in range(TRIES):
            before = _version(readers[-1])
            for one in together:
                _begin(one)
            if _version(readers[-1]) == before:
                return True
            for one in together:
                one.execute("ROLLBACK")
    except sqlite3.Error:
        for one in together:
            if one.in_transaction:
                one.execute("ROLLBACK")
    return False


def _begin(conn: sqlite3.Connection) -> None:
    conn.execute("BEGIN")
    conn.execute("SELECT 1 FROM profiles LIMIT 1").fetchone()  # a state is held from the first read on


def _version(conn: sqlite3.Connection) -> int:
    """Return a number that is another as soon as *conn* sees what somebody else has committed (sqlite.org/pragma.html)."""
    return int(conn.execute("PRAGMA data_version").fetchone()[0])


def share_out(
    conn: sqlite3.Connection,
    readers: Readers,
    tasks: Mapping[Name, Work[T]],
    own: Mapping[Name, Work[T]] = MappingProxyType({}),
) -> dict[Name, T]:
    """Return what each of *tasks* returns of *conn* or one of *readers*, and *own* of *conn*; nothing of one that fails."""
    waiting, found = deque(tasks.items()), dict[Name, T]()

    def work(one: sqlite3.Connection, left: deque[tuple[Name, Work[T]]]) -> None:
        while left:
            with suppress(Exception):  # nothing left (IndexError), or one that fails
                name, task = left.popleft()
                found[name] = task(one)

    threads: list[tuple[Thread, sqlite3.Connection]] = []
    try:
        with suppress(RuntimeError):  # there may be no more threads to be had
            for number, reader in enumerate(readers):
                thread = Thread(target=work, args=(reader, waiting), name=f"leaves-{number}")
                thread.start()
                threads.append((thread, reader))
        work(conn, deque(own.items()))
        work(conn, waiting)
        for thread, _ in threads:
            thread.join()
    finally:
        waiting.clear()
        for thread, reader in threads:
            while thread.is_alive():  # only where this one was interrupted
                reader.interrupt()
                thread.join(0.05)
    return found


def bits_of(conn: sqlite3.Connection, query: Sql) -> BitMap:
    """Return the ids that *query* yields: as one text, for each row that Python is handed costs as much as finding it."""
    text = f"WITH asked(id) AS ({query.text}) SELECT json_group_array(id) FROM asked"
    return BitMap(numbers(conn.execute(text, query.params).fetchone()[0]))


def numbers(text: str) -> array[int]:
    """Return the numbers of a JSON list."""
    found, at, end = array("I"), 1, len(text) - 1
    while at < end:
        until = text.find(",", at + PART, end)
        until = end if until < 0 else until
        found.extend(orjson.loads(f"[{text[at:until]}]"))
        at = until + 1
    return found
