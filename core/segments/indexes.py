"""
Typed side columns of `events`, one for each property that the config filters by or adds up, and indexes on them.

The columns are generated and virtual: they take no room, and whoever writes events need not know of them. An index holds
one event's rows only: one for each property that must equal something, and one by person with all properties that are read
otherwise, so that no event itself is looked at. Made when the definitions change, before anything is evaluated; what is no
longer asked is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.segments import dialect
from core.segments.definitions import Definitions
from core.segments.rests import deep, event_sets, values_in
from core.segments.tree import Compare, In, Op, values_of, walk
from core.segments.tree_constants import Type
from core.segments.tree_events import Aggregate, Function, Property, Sequence
from core.store import Store


def ensure_indexes(store: Store, definitions: Definitions) -> list[str]:
    """Make the side columns and indexes that *definitions* can use and drop those that they cannot; return what was made."""
    wanted = dict(_wanted(store, definitions))
    columns = dict(_columns(definitions))
    there = dict(store.conn.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'events'"))
    # one with too few properties, or too many, is made anew
    old = {name for name, sql in there.items() if name.startswith(dialect.SIDE_INDEX) and wanted.get(name) != sql}
    present = {row[0] for row in store.conn.execute("SELECT name FROM pragma_table_xinfo('events') WHERE hidden = 2")}
    new = [name for name in wanted if name not in there or name in old]
    if not old and not new and columns.keys() <= present:
        return []
    with store.atomic() as conn:
        for name in sorted(old):
            conn.execute(f"DROP INDEX {dialect.quoted(name)}")
        for column, (type_, expression) in columns.items():
            if column not in present:
                conn.execute(f"ALTER TABLE events ADD COLUMN {column} {type_} GENERATED ALWAYS AS ({expression}) VIRTUAL")
        for name in new:
            conn.execute(wanted[name])
    return new


def _asked(definitions: Definitions) -> Iterator[tuple[str, Property, str]]:
    """Yield (event, property, column) for each property that a side column can serve."""
    for definition in definitions.sets.values():
        for events in event_sets(definition.condition):
            for value in values_in(events.filter) if events.filter is not None else ():
                if isinstance(value, Property) and (column := dialect.side_column(value.name, value.type)):
                    yield events.name, value, column
        for value in values_in(definition.condition):
            if isinstance(value, Aggregate) and value.of is not None:
                read = Property(value.of, Type.ANY if value.function is Function.DISTINCT else Type.NUMBER)
                if column := dialect.side_column(read.name, read.type):
                    yield value.events.name, read, column
        for leaf in deep(definition.condition):
            if isinstance(leaf, Sequence) and leaf.same is not None:
                same = Property(leaf.same, Type.ANY)
                if column := dialect.side_column(same.name, same.type):
                    yield from ((step.events.name, same, column) for step in leaf.steps)


def _columns(definitions: Definitions) -> Iterator[tuple[str, tuple[str, str]]]:
    types = {"text": "TEXT", "number": "REAL", "boolean": "INTEGER", "any": ""}
    for _, value, column in _asked(definitions):
        yield column, (types[value.type.value], dialect.property_of(value.name, value.type).text)


def _wanted(store: Store, definitions: Definitions) -> Iterator[tuple[str, str]]:
    ids = dict(store.conn.execute("SELECT name, id FROM event_names").fetchall())
    equal = set(_compared(definitions))
    covered: dict[str, None] = {}
    for event, _, column in _asked(definitions):
        if event not in ids:
            continue
        if (event, column) in equal:
            name = dialect.side_index(ids[event], column)
            yield name, f"CREATE INDEX {name} ON events ({column}, profile_id, time) WHERE name_id = {ids[event]}"
        else:
            covered[event] = None
    for event in covered:
        name = dialect.cover_index(ids[event])
        every = ", ".join(sorted({column for of, _, column in _asked(definitions) if of == event}))
        yield name, f"CREATE INDEX {name} ON events (profile_id, time, {every}) WHERE name_id = {ids[event]}"


def _compared(definitions: Definitions) -> Iterator[tuple[str, str]]:
    """Yield (event, column) where the column must equal something, or its values are told apart."""
    yield from ((event, column) for event, read, column in _asked(definitions) if read.type is Type.ANY)
    for definition in definitions.sets.values():
        for events in event_sets(definition.condition):
            for node in walk(events.filter) if events.filter is not None else ():
                if isinstance(node, In) or (isinstance(node, Compare) and node.ops == (Op.EQ,)):
                    for value in values_of(node):
                        if isinstance(value, Property) and (column := dialect.side_column(value.name, value.type)):
                            yield events.name, column
