"""
What storing records and storing events have in common: a page read but not stored, keys, and why a record is unreadable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import repeat
from json import JSONEncoder
from typing import Final, Generic, TypeVar

import orjson

from core.contract import BadRecord, Record, Stream, pick
from core.store.canonical import UnreadableError

T = TypeVar("T")
Item = tuple[bytes, Record]
"""The hash of what a record holds, and the record."""

_ENCODE: Final = JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str, check_circular=False
).encode


@dataclass(frozen=True, slots=True)
class Prepared(Generic[T]):
    """A page read but not stored: what it holds by key (the last of a key), what was unreadable, how many records it had."""

    items: dict[str, T]
    bad: list[BadRecord]
    count: int
    digest: bytes
    """A fingerprint, to see that a vendor sends a page twice."""

    def keeping(self, wanted: Callable[[str, T], bool]) -> Prepared[T]:
        """Return the page with those items alone that *wanted* holds of; the page itself where that is all."""
        items = {key: item for key, item in self.items.items() if wanted(key, item)}
        return self if len(items) == len(self.items) else replace(self, items=items)


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a page: how many records were new or different, and those that could not be stored."""

    changed: int
    bad: list[BadRecord]


def fingerprint(parts: Iterable[bytes]) -> bytes:
    """Return a short digest of *parts*, in order."""
    return blake2b(b"\x00".join(parts), digest_size=16).digest()


def encode(value: object) -> bytes:
    """
    Return *value* as compact JSON, keys in order: the same bytes for the same value. TypeError or ValueError if there are none.

    orjson has no integers above 64 bits and only text for keys; such a value is spelled by the standard library, always. NaN
    and infinity are null, for JSON has no word for them.
    """
    try:
        return orjson.dumps(value, str, orjson.OPT_SORT_KEYS)
    except TypeError:
        return _ENCODE(value).encode()


def encode_all(values: Sequence[object]) -> list[bytes]:
    """Return what `encode` gives for each of *values*."""
    try:
        return list(map(orjson.dumps, values, repeat(str), repeat(orjson.OPT_SORT_KEYS)))
    except TypeError:
        return list(map(encode, values))


def record_key(stream: Stream, record: Record) -> str | BadRecord:
    """Return the record's key as text, or why it has none."""
    where = stream.key
    try:
        value = record.get(where) if type(where) is str and "." not in where else pick(record, where)
    except Exception as error:  # the connector's function
        return BadRecord("", reason(error))
    if type(value) is str and value:
        return value
    if value is None or value == "" or isinstance(value, list | dict | bool):
        return BadRecord("", "has no key")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def record_keys(stream: Stream, records: Sequence[Record]) -> list[str] | None:
    """Return the keys of *records* if each has one of its own in a field that is a text or an integer in all, else None."""
    key = stream.key
    if not isinstance(key, str) or "." in key:
        return None
    values = [record.get(key) for record in records]
    if {*map(type, values)} not in ({str}, {int}) or "" in values:
        return None
    keys = list(map(str, values))
    return keys if len(set(keys)) == len(keys) else None


def reason(error: Exception) -> str:
    """Say why a record is unreadable without saying what is in it."""
    return str(error) if isinstance(error, UnreadableError) else f"could not be read ({type(error).__name__})"
