"""
Typed side columns of `events`, one for each property that the config filters by, and an index on each with its event.

The columns are generated and virtual: they take no room, and whoever writes events need not know of them. An index holds
one event's rows only. Made when the definitions change, before anything is evaluated; what is no longer asked is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.segments import dialect
from core.segments.definitions import Definitions
from core.segments.rests import event_sets, values_in
from core.segments.tree import Property
from core.store import Store


def ensure_indexes(store: Store, definitions: Definitions) -> list[str]:
    """Make the side columns and indexes that *definitions* can use and drop those that they cannot; return what was made."""
    wanted = dict(_wanted(store, definitions))
    columns = dict(_columns(definitions))
    there = {
        row[0] for row in store.conn.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'events'")
    }
    old = {name for name in there if name.startswith(dialect.SIDE_INDEX)} - wanted.keys()
    present = {row[0] for row in store.conn.execute("SELECT name FROM pragma_table_xinfo('events') WHERE hidden = 2")}
    new = [name for name in wanted if name not in there]
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
    """Yield (event, property, column) for each filter that a side column can serve."""
    for definition in definitions.sets.values():
        for events in event_sets(definition.condition):
            for value in values_in(events.filter) if events.filter is not None else ():
                if isinstance(value, Property) and (column := dialect.side_column(value.name, value.type)):
                    yield events.name, value, column


def _columns(definitions: Definitions) -> Iterator[tuple[str, tuple[str, str]]]:
    types = {"text": "TEXT", "number": "REAL", "boolean": "INTEGER"}
    for _, value, column in _asked(definitions):
        yield column, (types[value.type.value], dialect.property_of(value.name, value.type).text)


def _wanted(store: Store, definitions: Definitions) -> Iterator[tuple[str, str]]:
    ids = dict(store.conn.execute("SELECT name, id FROM event_names").fetchall())
    for event, _, column in _asked(definitions):
        if event in ids:
            name = dialect.side_index(ids[event], column)
            yield name, f"CREATE INDEX {name} ON events ({column}, profile_id, time) WHERE name_id = {ids[event]}"
