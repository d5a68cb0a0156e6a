"""
What can be pulled: streams of records, page by page, each page with the checkpoint that follows it.

A connector writes one generator per stream and a mapping of fields; the core stores, resumes, looks back, clamps, guards
against repeated pages and finds what vanished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from core.contract.api import Api

Record = Mapping[str, Any]
"""One object as the vendor sent it."""

Pick = str | Callable[[Record], object]
"""Where a value is in a record: a dotted path (`address.country`, missing steps give None) or a function of the record."""


class Kind(StrEnum):
    """What a row means, whichever vendor it came from; one canonical table each."""

    PROFILE = "profile"
    COMPANY = "company"
    SUBSCRIPTION = "subscription"
    PAYMENT = "payment"
    ANSWER = "answer"
    EVENT = "event"
    DEAL = "deal"
    TICKET = "ticket"
    CONSENT = "consent"


class Trust(StrEnum):
    """Whether a stream's identifiers join people (key) or only attach a record to somebody known (claim)."""

    KEY = "key"
    CLAIM = "claim"


class Deletions(StrEnum):
    """How a vendor shows that a record is gone."""

    FLAG = "flag"
    """Pages carry the deleted keys (`Page.deleted`), for instance from an `archived=true` read."""
    FEED = "feed"
    """An events feed tells (`Page.deleted`)."""
    ABSENCE = "absence"
    """Only by not being there in a complete full pull; such a pull is made every `full_every`."""
    NONE = "none"
    """Records are never deleted, or nobody can tell: absence means nothing."""


class Merge(NamedTuple):
    """The vendor made one object of two."""

    loser: str
    winner: str


class Range(NamedTuple):
    """A span of time of an event stream, start inclusive, end exclusive, both aware."""

    start: datetime
    end: datetime


class BadRecord(NamedTuple):
    """A record that could not be read; it goes to the dead letters and the rest goes on."""

    ref: str
    """Key or place of the record: `accounts.csv:17`. Never its content."""
    reason: str
    key: str | None = None
    """
    Its key, where that can be told: what is stored of it stays. Without one it may be any that was not seen, so none of its
    slice has vanished by that.
    """


@dataclass(frozen=True, slots=True)
class Page:
    """
    Some records and the checkpoint that follows them.

    *cursor*: an aware datetime (the core clamps it to now and subtracts the lookback before the next pull) or a string that
    is handed back untouched; None leaves the checkpoint. Stored after this page if the stream is `order="asc"`, else at the
    clean end of the slice (the last one yielded; the largest, for datetimes).
    *resume*: continues a broken pull mid-way; handed back together with the cursor that the pull began with. None clears it.
    An empty page with a resume is how a job id survives a crash: it is stored before the generator goes on. One with records is
    stored when the generator next waits for the vendor, so what was yielded is not changed any more.
    """

    records: Sequence[Record]
    _: KW_ONLY
    cursor: datetime | str | None = None
    resume: str | None = None
    deleted: Sequence[str] = ()
    """Keys of this stream that the vendor says are gone."""
    merged: Sequence[Merge] = ()
    replaces: Range | None = None
    """Event streams: the records of this page and the following ones with the same range stand in for what is stored there."""
    bad: Sequence[BadRecord] = ()
    whole: bool = False
    """
    The pages of this pull hold all that the slice has, though a cursor was given (a changed file read again, a feed too old to
    use): at its clean end what was not seen has vanished, as after a full pull.
    """


@dataclass(frozen=True, slots=True)
class Row:
    """
    One row of a canonical table.

    *values* maps the canonical columns of *kind* (see `core.store.schema.CANONICAL`) to plain values. Money is a
    `Money` (integer minor units and currency), or an `Amount` where nothing says the currency. Times are aware datetimes.
    For an event: `name`, `time`, `properties`.
    """

    kind: Kind
    key: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in integer minor units of an ISO 4217 currency (upper case); empty: the workspace's."""

    minor: int
    currency: str

    @classmethod
    def of_major(cls, amount: Decimal, currency: str) -> Money:
        """Return *amount* of major units (kronor, dollars), rounded half even to the currency's minor unit."""
        return cls(int((amount * 10 ** minor_digits(currency)).to_integral_value()), currency.upper())


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount in major units that names no currency: it is of the workspace's, by whose minor unit the core scales it."""

    major: Decimal


@dataclass(frozen=True, slots=True)
class Stream:
    """A named collection at the vendor. Made with `StreamSet.add`, or directly by `streams(settings)`."""

    name: str
    kind: Kind
    _: KW_ONLY
    pull: Callable[..., Iterator[Page]]
    """`pull(api, cursor, resume)`; with *slices*, `pull(api, cursor, resume, slice)`. cursor None asks for everything."""
    key: Pick
    """The record's key, unique in the stream; stored as text."""
    order: Literal["asc", "any"] = "any"
    identifiers: Mapping[str, Pick] = field(default_factory=dict)
    """
    Identifier kind to vendor field. `email` and `user_id` are the workspace's; any other kind is the connection's own, unless
    written `connection.kind`. A list value gives several of one kind. Company kinds are `company_domain`, `company_id`
    and `company_name`; they join companies, never people. Their order is the order in which claims are tried.
    """
    trust: Trust | None = None
    """None: by category (crm, billing, support, file: key; email tools: key; survey, analytics: claim)."""
    lookback: timedelta = timedelta(0)
    deletions: Deletions = Deletions.NONE
    full_every: timedelta | None = None
    """How often a full pull (cursor None) is made to find what vanished. None: 7 days for ABSENCE, never for the others."""
    fields: Mapping[str, Pick] = field(default_factory=dict)
    """Canonical column to vendor field. `company.name` and its like on a profile stream describe the person's company."""
    rows: Callable[[Record], Iterable[Row]] | None = None
    """Instead of *fields*, where one record is many rows or none."""
    newest_by: str | None = None
    """
    Event streams: the property, a number, that tells which of two records with one key is the later one. It stays, whichever
    comes last; None: the one that comes last stays.
    """
    columns: Callable[[Record], Mapping[str, object]] | None = None
    """The record as the flat columns of its landing table; None flattens nested objects with a dot and keeps lists as JSON."""
    slices: Callable[[Api], Iterable[str]] | None = None
    """Forms, lists, days, files: each has a checkpoint of its own and is pulled apart."""


class StreamSet(dict[str, Stream]):
    """The streams of a connector by name."""

    def add(self, name: str, **options: Any) -> Callable[[Callable[..., Iterator[Page]]], Callable[..., Iterator[Page]]]:
        """Register the decorated generator as the stream *name*; *options* are the fields of `Stream`."""

        def register(pull: Callable[..., Iterator[Page]]) -> Callable[..., Iterator[Page]]:
            if name in self:
                raise ValueError(f"two streams are called {name}")
            kind = options.pop("kind")
            self[name] = Stream(name, kind, pull=pull, **options)
            return pull

        return register


def minor_digits(currency: str) -> int:
    """Return how many decimals *currency* has (ISO 4217 as in CLDR): 2 for EUR, 0 for JPY, 3 for BHD."""
    from babel.numbers import get_currency_precision  # a heavy import that most connectors never need

    return int(get_currency_precision(currency.upper()))


def pick(record: Record, where: Pick) -> object:
    """Return the value at *where*, or None where a step is missing."""
    if callable(where):
        return where(record)
    value: Any = record
    for step in where.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value
