"""
A configured file as a stream of the contract: every file is a slice, and its checkpoint is a hash of what is in it.

A file that did not change is not read; one that did is read again from its start, and what it no longer has is gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, time
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from functools import partial
from typing import IO, Any, Final

from connectors.files.columns import Convert, Inference, converter
from connectors.files.config import MONEY, FileStream, Type
from connectors.files.reading import digest, rows
from core.contract import Amount, Api, BadRecord, Deletions, Kind, Money, Page, Record, Row, Stream, Trust
from core.errors import NotFoundError, ProtocolError, TransientError

PAGE_SIZE: Final = 1000
GRANTED: Final = frozenset({"granted", "subscribed", "opted_in", "true", "yes", "y", "1"})
DENIED: Final = frozenset({"denied", "unsubscribed", "opted_out", "cleaned", "bounced", "false", "no", "n", "0"})
UNKNOWN: Final = frozenset({"", "unknown", "pending", "none"})


def make_stream(name: str, spec: FileStream) -> Stream:
    """Return the stream that *spec* configures."""
    event = spec.kind is Kind.EVENT
    return Stream(
        name,
        spec.kind,
        pull=partial(pull_file, spec),
        key=_bound(spec, value_of, column=spec.key),
        identifiers={kind: _bound(spec, value_of, column=column) for kind, column in spec.identifiers.items()},
        trust=Trust(spec.trust),
        deletions=Deletions.NONE if event else Deletions.ABSENCE,
        fields={} if event else _fields(spec),
        rows=_bound(spec, event_rows, spec=spec) if event else None,
        slices=partial(files, spec),
    )


def _bound(of: FileStream, function: Callable[..., Any], /, **arguments: object) -> Callable[[Record], Any]:
    """Return *function* of a record, under a name that changes with the config: the core stores again what it means anew."""
    bound = partial(function, **arguments)
    bound.__qualname__ = f"{function.__name__}:{_fingerprint(of)}"  # type: ignore[attr-defined]  # partials take attributes
    return bound


def files(spec: FileStream, api: Api) -> Sequence[str]:
    """Return the files that the path matches; none at all is an error, never an empty stream."""
    found = api.glob(spec.path)
    if not found:
        raise NotFoundError(f"{spec.path}: no file matches")
    return found


def pull_file(spec: FileStream, api: Api, cursor: str | None, resume: str | None, slice: str) -> Iterator[Page]:
    """Yield the rows of one file, unless it is the one that *cursor* was made of."""
    with api.read(slice) as file:
        content = digest(file)
        mark = f"{content}:{_fingerprint(spec)}"
        if mark == cursor:
            return
        types = _infer(file, slice, spec)
        yield from _pages(file, slice, spec, types)
        if digest(file) != content:
            raise TransientError(f"{slice}: was written to while it was read; it is read again next time", maybe_acted=False)
        yield Page([], cursor=mark, whole=True)


def head(spec: FileStream, api: Api, path: str) -> None:
    """Read the first row of a file, to see whether it has the columns that are named; for `check`."""
    with api.read(path) as file:
        for _, row in rows(file, path, spec):
            if not isinstance(row, BadRecord):
                _check_columns(path, spec, list(row))
                return


def _fingerprint(spec: FileStream) -> str:
    """Return a short hash of the configuration: a file is read again when what its columns mean has changed."""
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:16]


def _infer(file: IO[bytes], path: str, spec: FileStream) -> Mapping[str, Type]:
    inference = Inference(native=spec.read_as == "jsonl")
    seen: dict[str, None] = {}
    for _, row in rows(file, path, spec):
        if not isinstance(row, BadRecord):
            inference.see(row)
            seen.update(dict.fromkeys(row))
    if seen:  # a file of no rows has nothing that could be missing
        _check_columns(path, spec, list(seen))
    forced: dict[str, Type] = {spec.time: "time"} if spec.time else {}
    return inference.types({**forced, **spec.types}, {spec.key, *spec.identifiers.values()} - spec.types.keys())


def _check_columns(path: str, spec: FileStream, there: list[str]) -> None:
    """Tell of a column that the config names and no row has; JSON objects may leave out what they do not have to have."""
    needed = spec.columns if spec.read_as != "jsonl" else {spec.key, spec.time, spec.event_column} - {None}
    for column in sorted(filter(None, needed)):
        if column not in there and column.split(".", 1)[0] not in there:
            near = get_close_matches(column, there, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(there[:20])}"
            raise ProtocolError(f"{path}: has no column {column!r}{hint}")


def _pages(file: IO[bytes], path: str, spec: FileStream, types: Mapping[str, Type]) -> Iterator[Page]:
    parse = RowParser(spec, types)
    records: list[Record] = []
    bad: list[BadRecord] = []
    before: list[object] = []
    for where, row in rows(file, path, spec):
        found = row if isinstance(row, BadRecord) else parse(row, where)
        if isinstance(found, BadRecord):
            bad.append(found)
        else:
            records.append(found)
        if len(records) + len(bad) >= PAGE_SIZE:
            keys = [value_of(record, spec.key) for record in records]
            # a file may say a thousand rows twice; the core takes a page that comes twice for a vendor going in circles
            cut = len(records) // 2 if keys == before else 0
            if cut:
                yield Page(records[:cut], whole=True)
            yield Page(records[cut:], bad=bad, whole=True)
            records, bad, before = [], [], keys
    if records or bad:
        yield Page(records, bad=bad, whole=True)


class RowParser:
    """Rows of text as records of types, or what is wrong with one: never a record with a hole where something was."""

    def __init__(self, spec: FileStream, types: Mapping[str, Type]) -> None:
        text = converter("text")
        self._converters: dict[str, Convert] = {name: converter(type_) for name, type_ in types.items()}
        if spec.read_as != "jsonl":  # cells are text already
            self._converters = {name: convert for name, convert in self._converters.items() if convert is not text}
        self._column = spec.key
        picks = _fields(spec)
        self._fallible = [
            pick for name, pick in picks.items() if name in MONEY or (spec.kind is Kind.CONSENT and name == "state")
        ]
        needed = ((spec.key, "the key"), (spec.time, "the time"), (spec.event_column, "the event's name"))
        self._needed = [(column, role) for column, role in needed if column]

    def __call__(self, row: Mapping[str, Any], where: str) -> Record | BadRecord:
        record = dict(row)
        name = ""
        try:
            for name, convert in self._converters.items():
                value = record.get(name)
                if value is not None and not isinstance(value, list | dict):
                    record[name] = convert(value)
        except ValueError as error:
            return BadRecord(where, f"column {name!r}: {error}", self._key(row))
        for column, role in self._needed:
            if value_of(record, column) is None:
                return BadRecord(where, f"column {column!r}, {role}, is empty", self._key(row))
        try:
            for pick in self._fallible:
                pick(record)
        except ValueError as error:
            return BadRecord(where, str(error), self._key(row))
        return record

    def _key(self, row: Mapping[str, Any]) -> str | None:
        """Return the key of a row that is no record for another reason, as the record would have it."""
        value = value_of(row, self._column)
        convert = self._converters.get(self._column)
        try:
            value = value if convert is None or value is None else convert(value)
        except ValueError:
            return None
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def value_of(record: Record, column: str) -> Any:
    """Return the value of a column, whose name may hold dots, or else the one at a dotted path of a JSON object."""
    if column in record:
        return record[column]
    value: Any = record
    for step in column.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def event_rows(record: Record, spec: FileStream) -> Iterable[Row]:
    """Return the event of a record; every column that is not mapped is a property."""
    assert spec.time is not None
    mapped = {spec.key, spec.time, spec.event_column, *spec.identifiers.values()}
    name = spec.event or str(value_of(record, spec.event_column or ""))
    properties = {column: _plain(value) for column, value in record.items() if column not in mapped and value is not None}
    key = str(value_of(record, spec.key))
    yield Row(Kind.EVENT, key, {"name": name, "time": value_of(record, spec.time), "properties": properties})


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; a time as ISO 8601, a day without hours as a date."""
    if not isinstance(value, datetime):
        return value
    return value.date().isoformat() if value.time() == time.min else value.isoformat().replace("+00:00", "Z")


def _fields(spec: FileStream) -> Mapping[str, Callable[[Record], object]]:
    picks: dict[str, Callable[[Record], object]] = {}
    for name, column in spec.fields.items():
        picks[name] = _meant(spec, name, _bound(spec, value_of, column=column), column)
    for name, constant in spec.constants.items():
        picks[name] = _meant(spec, name, _bound(spec, _constant, value=constant), name)
    if spec.currency and picks.keys() & MONEY:
        picks.setdefault("currency", _bound(spec, _constant, value=spec.currency))
    return picks


def _meant(spec: FileStream, name: str, pick: Callable[[Record], object], column: str) -> Callable[[Record], object]:
    """Return the pick of a canonical field that wants more than the value of a column."""
    if name in MONEY:
        return _bound(spec, _money, spec=spec, pick=pick, column=column)
    if spec.kind is Kind.CONSENT and name == "state":
        return _bound(spec, _state, pick=pick, column=column)
    return pick


def _constant(record: Record, value: object) -> object:
    return value


def _money(record: Record, spec: FileStream, pick: Callable[[Record], object], column: str) -> Money | Amount | None:
    value = pick(record)
    if value is None:
        return None
    code = value_of(record, spec.fields["currency"]) if "currency" in spec.fields else spec.constants.get("currency")
    currency = str(code or spec.currency or "").upper()
    try:
        amount = Decimal(str(value))  # a float prints as what it means: 19.99 is 19.99
        if spec.money == "major":
            return Money.of_major(amount, currency) if currency else Amount(_finite(amount))
        return Money(_whole(amount), currency)
    except (InvalidOperation, ValueError, OverflowError):
        raise ValueError(f"column {column!r}: no amount of money") from None


def _finite(amount: Decimal) -> Decimal:
    if not amount.is_finite():
        raise ValueError("no number")
    return amount


def _whole(amount: Decimal) -> int:
    if amount != amount.to_integral_value():
        raise ValueError("a fraction of a minor unit")
    return int(amount)


def _state(record: Record, pick: Callable[[Record], object], column: str) -> str:
    """Return granted, denied or unknown. A word that is none of ours must not become a yes or be lost as a no."""
    value = pick(record)
    word = "" if value is None else str(value).strip().lower().replace("-", "_").replace(" ", "_")
    for state, words in (("granted", GRANTED), ("denied", DENIED), ("unknown", UNKNOWN)):
        if word in words:
            return state
    raise ValueError(f"column {column!r}: is none of {json.dumps(sorted(GRANTED | DENIED))}")
