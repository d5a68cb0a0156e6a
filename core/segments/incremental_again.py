"""
Leaves asked again of those few whose answer may be another, by several threads.

Leaves that read people's own rows are asked together, of copies of these rows that the evaluation's own connection makes
(`few`). The others read events alone, and each is asked of whom it concerns, by whichever connection is free: a table of people
is all that it needs for that. What another connection cannot do, the evaluation's own is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from pyroaring import BitMap

from core.segments.compile import compile_leaf, relation
from core.segments.dialect import Param, Sql
from core.segments.facts import Facts, LeafFailed
from core.segments.few import among, choose, few, tables, values_once
from core.segments.incremental_reach import Reach
from core.segments.parallel import Readers, Work, bits_of, share_out
from core.segments.tree import Leaf

EVERYONE: Final = "everyone"
KNOWN: Final = "known"

Named = Mapping[str, tuple[Leaf, Reach]]


@dataclass(frozen=True, slots=True)
class Group:
    """Leaves that are asked of the same people."""

    people: BitMap
    values: tuple[Sql, ...]
    """What several of them look at."""
    queries: Mapping[str, Sql]


def ask_again(facts: Facts, named: Named, again: Mapping[str, BitMap], readers: Readers, *, most: int) -> dict[str, BitMap]:
    """
    Return what leaves, and the two universes, yield of the people whom *again* has for each of them; for them alone.

    Those are left out that fail, which the whole leaf will tell of, and those that read rows of more than *most* people.
    """
    of_records = {name: people for name, people in again.items() if name not in named or named[name][1].people}
    of_events = {name: people for name, people in again.items() if name not in of_records}
    everybody = BitMap.union(BitMap(), *of_records.values())
    own: dict[int, Work[dict[str, BitMap]]] = {}
    if len(everybody) <= most:
        landings = _landings((named[name][1] for name in of_records if name in named), facts)
        own[0] = _of_rows(everybody, _groups(of_records, facts, named), landings)
    tasks = {number: _asking(group) for number, group in enumerate(_groups(of_events, facts, named), 1)}
    with _all_among(facts.conn, readers) as able:
        found = share_out(facts.conn, able, tasks, own)
        for number, task in (own | tasks).items():
            if number not in found:
                found[number] = task(facts.conn)
    return {name: bits & again[name] for told in found.values() for name, bits in told.items()}


def universe_query(facts: Facts, *, known: bool) -> Sql:
    """Return the query of all live profiles, or of those with an e-mail or a user id."""
    text = "SELECT id FROM profiles WHERE live = 1"
    params: tuple[Param, ...] = ()
    if facts.past:  # who is known to have been made later was not there
        text += " AND (created_at IS NULL OR created_at <= ?)"
        params = (facts.as_of_us,)
    return Sql(f"{text} AND (email IS NOT NULL OR user_id IS NOT NULL)" if known else text, params)


# --- what is asked ---------------------------------------------------------------------------------------------------


def _groups(again: Mapping[str, BitMap], facts: Facts, named: Named) -> list[Group]:
    alike: dict[bytes, list[str]] = {}
    for name, people in again.items():
        alike.setdefault(people.serialize(), []).append(name)
    return [_group(names, again[names[0]], facts, named) for names in alike.values()]


def _group(names: Collection[str], people: BitMap, facts: Facts, named: Named) -> Group:
    queries: dict[str, Sql] = {}
    facts.among = True
    try:
        with values_once(facts, [named[name][0] for name in names if name in named], relation) as values:
            for name in names:
                with suppress(LeafFailed):
                    of = compile_leaf(named[name][0], facts).sql if name in named else None
                    queries[name] = universe_query(facts, known=name == KNOWN) if of is None else of
    finally:
        facts.among = False
    return Group(people, tuple(values), queries)


def _landings(reached: Iterable[Reach], facts: Facts) -> set[str]:
    """Return the landing tables of which something is read."""
    fields = {field for one in reached for field in one.landed}
    streams = [(facts.streams.get(f"{field.connection}.{field.stream}"), field.field) for field in fields]
    return {stream.landing for stream, name in streams if stream is not None and name in stream.columns}


# --- by whom ---------------------------------------------------------------------------------------------------------


@contextmanager
def _all_among(conn: sqlite3.Connection, readers: Readers) -> Iterator[Readers]:
    """Have the table of those who are asked about on each connection; yield those of *readers* that can have it."""
    able: list[sqlite3.Connection] = []
    with among(conn), ExitStack() as held:
        for reader in readers:
            with suppress(sqlite3.Error):
                held.enter_context(among(reader))
                able.append(reader)
        yield able


def _asking(group: Group) -> Work[dict[str, BitMap]]:
    def ask(conn: sqlite3.Connection) -> dict[str, BitMap]:
        choose(conn, group.people)
        return _asked(conn, group)

    return ask


def _of_rows(everybody: BitMap, groups: Collection[Group], landings: Collection[str]) -> Work[dict[str, BitMap]]:
    def ask(conn: sqlite3.Connection) -> dict[str, BitMap]:
        with few(conn, everybody, landings):
            return {name: bits for group in groups for name, bits in _asking(group)(conn).items()}

    return ask


def _asked(conn: sqlite3.Connection, group: Group) -> dict[str, BitMap]:
    with tables(conn, group.values):
        return {name: bits_of(conn, query) for name, query in group.queries.items()}
