"""
A page of records turned on its side: the values of each field together, where all records have the same fields.

Most pages of most vendors are like that, and reading a column takes a third of the time of reading as many values one by one.
What is not like that is read record by record; what is read is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from types import NoneType
from typing import Any, Final, NamedTuple, TypeVar

from core.contract import Pick, Record, pick
from core.store.at_once import AT_ONCE
from core.store.field_types import MAX_DEPTH

K = TypeVar("K")
T = TypeVar("T")
_TEXT: Final[set[type]] = {str}
_OBJECT: Final = frozenset({dict})
_EQUAL: Final = ({str}, {NoneType}, {int}, {bool})
_LISTS: Final = frozenset({list, tuple})


class Column(NamedTuple):
    """The values of one field, one a record, and their types."""

    values: Sequence[Any]
    types: set[type]


class Columns:
    """The columns of a page, by field; `of` makes them."""

    def __init__(self, records: Sequence[Record], fields: Mapping[str, Sequence[Any]]) -> None:
        self.records = records
        self.fields = fields
        self._inner: dict[str, Columns | None] = {}

    @classmethod
    def of(cls, records: Sequence[Record]) -> Columns | None:
        """Return the columns of *records*, or None where they do not have the same fields."""
        if {*map(type, records)} != _OBJECT:
            return None
        names = tuple(records[0])
        if {*map(len, records)} != {len(names)}:
            return None
        # of one field `itemgetter` makes no tuple
        one: Callable[[Record], tuple[Any, ...]] = (
            itemgetter(*names) if len(names) > 1 else lambda r: tuple(r[n] for n in names)
        )
        try:
            return cls(records, dict(zip(names, zip(*map(one, records), strict=True), strict=True)))
        except KeyError:
            return None

    def at(self, where: Pick) -> Sequence[Any] | None:
        """Return what `pick` finds at *where* in each record, None where no record has such a field."""
        if callable(where):
            return [where(record) for record in self.records]
        name, dot, rest = where.partition(".")
        if not dot or name not in self.fields:
            return self.fields.get(name)
        inner = self.inner(name)
        return [pick(record, where) for record in self.records] if inner is None else inner.at(rest)

    def inner(self, field: str) -> Columns | None:
        """Return the columns of the objects that *field* holds, or None where not all of its values are alike."""
        if field not in self._inner:
            self._inner[field] = Columns.of(self.fields[field])
        return self._inner[field]

    def flat(self) -> dict[str, Column] | None:
        """Return the columns as `field_types.flatten` names them, or None where objects are not alike or two have one name."""
        found: dict[str, Column] = {}
        return found if self._flatten(found, "", 0) else None

    def _flatten(self, found: dict[str, Column], prefix: str, depth: int) -> bool:
        for field, values in self.fields.items():
            name = f"{prefix}{field}"
            types = types_of(values)
            if types != _TEXT and depth < MAX_DEPTH and any(issubclass(type_, dict) for type_ in types):
                inner = self.inner(field)
                if inner is None or not inner._flatten(found, f"{name}.", depth + 1):
                    return False
            elif name in found:
                return False
            else:
                found[name] = Column(values, types)
        return True


class Sharing:
    """
    Parts the columns of a page into values that all its records share, which are written once, and the rest.

    A column that had different values in a page of this pull stays with the rest: each other division is another statement.
    """

    def __init__(self) -> None:
        self._varied: set[object] = set()
        self._unlike: set[object] = set()

    def part(self, columns: Mapping[K, Sequence[Any]]) -> tuple[dict[K, Any], dict[K, Sequence[Any]]]:
        """Return what is the same, by column, and the columns of which that is not so."""
        same: dict[K, Any] = {}
        for name, values in columns.items():
            if name in self._varied:
                continue
            # True is 1 and 0.0 is -0.0 in Python's eyes
            if values.count(values[0]) == len(values) and types_of(values) in _EQUAL:
                same[name] = values[0]
            else:
                self._varied.add(name)
        return same, {name: values for name, values in columns.items() if name not in same}

    def like(self, columns: Mapping[K, Sequence[Any]], keys: tuple[str, ...]) -> list[K]:
        """Return the columns whose values are the *keys* of the records, as most vendors send them once more."""
        self._unlike.update(name for name, values in columns.items() if name not in self._unlike and values != keys)
        return [name for name in columns if name not in self._unlike]


def types_of(values: Sequence[Any]) -> set[type]:
    """Return the types of *values*; most columns are text, and whether one is is seen in half of the time."""
    try:
        "".join(values)
    except TypeError:
        return {*map(type, values)}
    return {str}


def each(read: Callable[[object], str | None], values: Sequence[object]) -> Sequence[str | None] | None:
    """Return what *read* makes of each value, None of a missing one; None for them all where one is a list of values."""
    return read_all(read, values) if _LISTS.isdisjoint(map(type, values)) else None


def read_all(read: Callable[[object], T], values: Sequence[Any]) -> Sequence[T]:
    """Return what *read* makes of each value; a column of texts is read at once where that can be."""
    at_once = AT_ONCE.get(read)
    found = at_once(values) if at_once is not None and types_of(values) == _TEXT else None
    return list(map(read, values)) if found is None else found
