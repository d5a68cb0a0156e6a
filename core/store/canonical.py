"""
Canonical rows: what a record means, whichever vendor it came from.

`RowReader` turns records into rows of plain, normalised values and touches no database; `canonical_tables` has those. A value
that cannot be read makes its record unreadable, for a guess would move somebody into a wrong segment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from core import normalise
from core.contract import Amount, Kind, Money, Pick, Record, Row, Stream, Trust, pick
from core.store.columns import Columns, read_all
from core.store.identity import plain
from core.store.schema import CANONICAL, TABLES

CONSENT_STATES: Final = frozenset({"granted", "denied", "unknown"})
_ONE_ROW: Final = frozenset({Kind.PROFILE, Kind.ANSWER, Kind.TICKET})
"""Kinds of which a record is one row, without a value that depends on another."""
_NOTHING: Final[Mapping[str, object]] = {}


class UnreadableError(ValueError):
    """A record that cannot be stored; the message names the field and holds none of its content."""


class CanonicalRow(NamedTuple):
    """One row, its values in the order of `CANONICAL[kind]`."""

    kind: Kind
    key: str
    values: tuple[Any, ...]


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)


_CONVERT: Final[dict[str, Callable[[object], object]]] = {
    "text": normalise.text,
    "integer": normalise.integer,
    "number": normalise.number,
    "boolean": normalise.boolean,
    "time": normalise.time_us,
    "country": normalise.country,
    "language": normalise.language,
    "json": _json,
}


class _Shape:
    """How the values of one kind are read: by position, with the money columns apart."""

    def __init__(self, kind: Kind) -> None:
        types = CANONICAL[kind]
        self.position = {column: at for at, column in enumerate(types)}
        self.money = {column for column, type_ in types.items() if type_ == "money"}
        self.convert = {column: _CONVERT.get(type_) for column, type_ in types.items()}
        if kind in {Kind.PROFILE, Kind.COMPANY}:
            own = {"email": normalise.email, "domain": normalise.domain}
            self.convert |= {column: read for column, read in own.items() if column in self.convert}


_SHAPES: Final = {kind: _Shape(kind) for kind in Kind}


def _put(
    shape: _Shape, kind: Kind, row: list[Any], column: str, value: object, currency: str | None, *, workspace: str
) -> str | None:
    """Write one value to its place, normalised; return the row's currency as far as it is known (empty: the workspace's)."""
    at = shape.position.get(column)
    if at is None:
        raise UnreadableError(f"{column}: no column of a {kind.value}")
    convert = shape.convert[column]
    if convert is not None:
        try:
            row[at] = convert(value)
        except ValueError as error:
            raise UnreadableError(f"{column}: {error}") from None
        return currency
    if isinstance(value, Amount):
        value = Money(Money.of_major(value.major, workspace).minor, "")
    if not isinstance(value, Money):
        raise UnreadableError(f"{column}: not an amount with its currency")
    if currency not in {None, value.currency}:
        raise UnreadableError(f"{column}: another currency than the row's")
    row[at] = value.minor
    return value.currency


def _values(kind: Kind, values: Mapping[str, object], workspace: str) -> list[Any]:
    """Return *values* in order, normalised; UnreadableError names the column that is wrong."""
    shape = _SHAPES[kind]
    row: list[Any] = [None] * len(shape.position)
    currency: str | None = None
    for column, value in values.items():
        if value is not None:
            currency = _put(shape, kind, row, column, value, currency, workspace=workspace)
    if shape.money:
        _settle_currency(row, shape.position["currency"], currency)
    return row


def _settle_currency(row: list[Any], at: int, currency: str | None) -> None:
    stated = row[at].upper() if row[at] else None
    if stated and currency is not None and stated != currency:
        raise UnreadableError("currency: another one than the amount's")
    row[at] = currency or stated  # NULL: the workspace's, whichever that is when it is read


class _Field(NamedTuple):
    """One line of a mapping, looked up once."""

    at: int
    """The place of its column; negative where there is no such column."""
    name: str | None
    """The record's field, unless *where* is a path or a function."""
    is_text: bool
    convert: Callable[[object], object] | None
    column: str
    where: Pick


def _field(kind: Kind, column: str, where: Pick) -> _Field:
    shape = _SHAPES[kind]
    convert = shape.convert.get(column)
    return _Field(shape.position.get(column, -1), plain(where), convert is normalise.text, convert, column, where)


def _converted(values: Sequence[Any], convert: Callable[[object], object]) -> Sequence[Any]:
    """Return what *convert* makes of each value; of one text that all records have it is asked once."""
    if type(values[0]) is str and values.count(values[0]) == len(values):
        return [convert(values[0])] * len(values)
    return read_all(convert, values)


class RowReader:
    """
    Reads the canonical rows of a stream's records, by its mapping of fields or its `rows`.

    *currency* is the workspace's: amounts that name none are scaled by it.
    """

    def __init__(self, stream: Stream, trust: Trust, currency: str) -> None:
        self._currency = currency
        self.kind = stream.kind
        self._rows = stream.rows
        self._shape = _SHAPES[stream.kind]
        self._sets_email = trust is Trust.KEY
        self._own: list[_Field] = []
        self._company: list[tuple[str, Pick, str | None]] = []
        for column, where in stream.fields.items():
            if column.startswith("company.") and stream.kind is not Kind.COMPANY:
                self._company.append((column.removeprefix("company."), where, plain(where)))
            else:
                self._own.append(_field(stream.kind, column, where))
        self._simple = (
            stream.rows is None and not self._company and stream.kind in _ONE_ROW and all(field.at >= 0 for field in self._own)
        )
        self.kinds = tuple(TABLES) if stream.rows else (stream.kind, Kind.COMPANY) if self._company else (stream.kind,)
        """Kinds that the records may have rows of, and so stale ones."""

    def read(self, record: Record, key: str, email: str | None) -> tuple[list[CanonicalRow], Mapping[str, object]]:
        """
        Return the record's rows, and the fields of the company that it describes.

        *email* is its identifier's: a profile without a mapped address has that one. Claims never set an address.
        """
        if self._rows is not None:
            return self._of_rows(record, email)
        rows = [self._checked(self.kind, key, self._mapped(record), email)]
        if self.kind is Kind.COMPANY:
            return rows, {field.column: pick(record, field.where) for field in self._own}
        if not self._company:
            return rows, _NOTHING
        described: dict[str, object] = {}
        for column, where, name in self._company:
            value = record.get(name) if name is not None else pick(record, where)
            if value is not None and value != "":
                described[column] = value
        if described:
            rows.append(CanonicalRow(Kind.COMPANY, key, tuple(_values(Kind.COMPANY, described, self._currency))))
        return rows, described

    def address(self, record: Record) -> str | None:
        """Return the address that a profile's mapping gives, whether or not it is an identifier as well."""
        if self.kind is not Kind.PROFILE or self._rows is not None:
            return None
        where = next((field.where for field in self._own if field.column == "email"), None)
        return None if where is None else normalise.email(pick(record, where))

    def by_column(self, page: Columns, emails: Sequence[str | None] | None) -> dict[str, Sequence[Any]] | None:
        """Return the columns of a page's rows, one value a record, or None where that takes a look at each record."""
        if not self._simple:
            return None
        nothing = (None,) * len(page.records)
        columns: list[Sequence[Any]] = [nothing] * len(self._shape.position)
        for at, _, _, convert, _, where in self._own:
            values = page.at(where)
            if values is None:
                continue
            if convert is not None:
                values = _converted(values, convert)
            columns[at] = values
        if self.kind is Kind.PROFILE:
            at = self._shape.position["email"]
            if not self._sets_email:
                columns[at] = nothing
            elif columns[at] is nothing:
                columns[at] = emails or nothing
            else:
                columns[at] = [own or email for own, email in zip(columns[at], emails or nothing, strict=True)]
        return dict(zip(self._shape.position, columns, strict=True))

    def _of_rows(self, record: Record, email: str | None) -> tuple[list[CanonicalRow], Mapping[str, object]]:
        rows: list[CanonicalRow] = []
        described: dict[str, object] = {}
        assert self._rows is not None
        for row in self._rows(record):
            if row.kind is Kind.COMPANY:
                described = dict(row.values)
            own, company = _apart(row)
            rows.append(self._checked(row.kind, row.key, _values(row.kind, own, self._currency), email))
            if company:
                described = company
                rows.append(CanonicalRow(Kind.COMPANY, row.key, tuple(_values(Kind.COMPANY, company, self._currency))))
        return rows, described

    def _mapped(self, record: Record) -> list[Any]:
        """The values of the mapping, as `_values` gives them, without a look at where each belongs."""
        shape = self._shape
        row: list[Any] = [None] * len(shape.position)
        currency: str | None = None
        for at, name, is_text, convert, column, where in self._own:
            value = record.get(name) if name is not None else pick(record, where)
            if value is None:
                continue
            if is_text and type(value) is str:
                row[at] = value.strip() or None
            elif convert is None:
                currency = _put(shape, self.kind, row, column, value, currency, workspace=self._currency)
            else:
                try:
                    row[at] = convert(value)
                except ValueError as error:
                    raise UnreadableError(f"{column}: {error}") from None
        if shape.money:
            _settle_currency(row, shape.position["currency"], currency)
        return row

    def _checked(self, kind: Kind, key: str, row: list[Any], email: str | None) -> CanonicalRow:
        position = _SHAPES[kind].position
        if kind is Kind.PROFILE:
            at = position["email"]
            row[at] = (row[at] or email) if self._sets_email else None
        elif kind is Kind.CONSENT:
            _check_consent(row, position)
        elif kind is Kind.EVENT and (row[position["name"]] is None or row[position["time"]] is None):
            raise UnreadableError("an event without a name or a time")
        return CanonicalRow(kind, key, tuple(row))


def _apart(row: Row) -> tuple[Mapping[str, object], dict[str, object]]:
    if row.kind is not Kind.PROFILE or not any(column.startswith("company.") for column in row.values):
        return row.values, {}
    own = {column: value for column, value in row.values.items() if not column.startswith("company.")}
    company = {c.removeprefix("company."): v for c, v in row.values.items() if c.startswith("company.") and v not in (None, "")}
    return own, company


def _check_consent(row: list[Any], position: Mapping[str, int]) -> None:
    row[position["channel"]] = (row[position["channel"]] or "email").lower()
    if row[position["state"]] not in CONSENT_STATES:
        raise UnreadableError("state: none of granted, denied, unknown")
