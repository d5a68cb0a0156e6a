"""
What a `[connections.NAME.streams.STREAM]` table may say, checked as far as it can be without opening a file.
"""

from __future__ import annotations

import codecs
import re
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from core.contract import Kind

Type = Literal["integer", "number", "boolean", "time", "text"]
Format = Literal["csv", "tsv", "jsonl"]
Column = Annotated[str, Field(min_length=1)]

FORMATS: Final[dict[str, Format]] = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

CANONICAL: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.PROFILE: (
        "email", "first_name", "last_name", "phone", "country", "language", "timezone", "job_title", "created_at",
        "lifecycle_stage", "owner",
    ),
    Kind.COMPANY: ("name", "domain", "industry", "employees", "revenue", "country", "created_at"),
    Kind.SUBSCRIPTION: (
        "status", "plan", "amount", "currency", "interval", "interval_count", "quantity", "mrr", "started_at", "trial_ends_at",
        "cancel_requested_at", "ended_at",
    ),
    Kind.PAYMENT: ("amount", "refunded", "currency", "status", "paid_at"),
    Kind.ANSWER: ("survey", "question", "kind", "choice", "text", "number", "answered_at", "measure"),
    Kind.EVENT: (),
    Kind.DEAL: ("stage", "won", "amount", "currency", "closed_at"),
    Kind.TICKET: ("status", "priority", "score", "opened_at", "closed_at"),
    Kind.CONSENT: ("channel", "state", "at"),
}  # fmt: skip
"""What `fields` may name. An event's name, time and properties have keys of their own."""

MONEY: Final = frozenset({"amount", "refunded", "mrr"})
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CURRENCY = re.compile(r"[A-Z]{3}")


class FileStream(BaseModel):
    """One stream: which files, what a row of them means, and which column is what."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    path: Column
    """Under the config file's folder, with forward slashes; `*`, `?`, `[...]` and `**` allowed. Each file is read by itself."""
    kind: Kind
    """What a row is about: profile, company, subscription, payment, answer, event, deal, ticket or consent."""
    key: Column
    """The column that is unique in the stream; of two rows with one key the last counts."""
    identifiers: dict[str, Column] = Field(default_factory=dict)
    """Kind of identifier to column: `{ user_id = "account_id" }`; a row with two of them links them."""
    fields: dict[str, Column] = Field(default_factory=dict)
    """Canonical field to column; all other columns stay as they are, under the connection's name."""
    constants: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Canonical field to the value that it has in every row: `{ survey = "NPS", kind = "score" }`."""
    trust: Literal["key", "claim"] = "key"
    """A claim finds people and never joins two."""
    types: dict[Column, Type] = Field(default_factory=dict)
    """Overrides what is inferred from a column's values."""
    time: Column | None = None
    """Of an event, the column that says when."""
    event: str | None = Field(default=None, min_length=1)
    """The name of all events, where no column has it."""
    event_column: Column | None = None
    """The column that names the event."""
    money: Literal["major", "minor"] = "major"
    """Whether amounts are 19.99 or 1999."""
    currency: str | None = None
    """Of every amount, where no column says it; the workspace's if neither does."""
    format: Format | None = None
    """By the file's name, if left out."""
    encoding: str = "utf-8-sig"
    """Any that Python knows: cp1252, utf-16, ..."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """One character, where it is neither the comma of CSV nor the tab of TSV."""

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must lie under the config file's folder: no leading slash and no '..'")
        return value

    @field_validator("identifiers")
    @classmethod
    def _kinds_are_names(cls, value: dict[str, str]) -> dict[str, str]:
        for kind in value:
            if not all(_NAME.fullmatch(part) for part in kind.split(".", 1)):
                raise ValueError(f"{kind!r} is no kind of identifier; write email, user_id, or a name such as account_id")
        return value

    @field_validator("currency")
    @classmethod
    def _is_a_currency(cls, value: str | None) -> str | None:
        if value is not None and not _CURRENCY.fullmatch(value.upper()):
            raise ValueError("is no currency code; write three letters, as in EUR")
        return value and value.upper()

    @field_validator("encoding")
    @classmethod
    def _is_an_encoding(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
        except LookupError:
            raise ValueError(f"{value!r} is no encoding that Python knows; try utf-8-sig, cp1252 or utf-16") from None
        return "utf-8-sig" if name == "utf-8" else value  # a byte order mark is never part of the first column's name

    @model_validator(mode="after")
    def _fits_its_kind(self) -> FileStream:
        if self.format is None and self.suffix not in FORMATS:
            raise ValueError(f"path: {self.path!r} does not end like a known format; add format = 'csv', 'tsv' or 'jsonl'")
        if self.kind is Kind.EVENT:
            if self.time is None:
                raise ValueError("an event stream needs time = COLUMN")
            if (self.event is None) == (self.event_column is None):
                raise ValueError("an event stream needs either event = NAME or event_column = COLUMN")
            if self.fields or self.constants:
                raise ValueError("an event stream has no fields: columns that are not mapped are the event's properties")
        elif self.time is not None or self.event is not None or self.event_column is not None:
            raise ValueError("time, event and event_column belong to streams of kind 'event'")
        if not self.identifiers:
            raise ValueError("identifiers: name at least one column that says who or which company a row is about")
        for name in (*self.fields, *self.constants):
            self._is_canonical(name)
        if both := self.fields.keys() & self.constants.keys():
            raise ValueError(f"{min(both)}: is both in fields and in constants")
        if self.kind is Kind.CONSENT and "state" not in self.fields and "state" not in self.constants:
            raise ValueError("a consent stream needs a field or a constant 'state'")
        return self

    def _is_canonical(self, name: str) -> None:
        known = list(CANONICAL[self.kind])
        if self.kind is Kind.PROFILE:
            known += [f"company.{field}" for field in CANONICAL[Kind.COMPANY]]
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise ValueError(f"{name!r} is no field of a {self.kind}; {hint}")

    @property
    def suffix(self) -> str:
        """The end of the path that tells the format, without `.gz`."""
        return PurePosixPath(self.path.lower().removesuffix(".gz")).suffix

    @property
    def read_as(self) -> Format:
        return self.format or FORMATS[self.suffix]

    @property
    def columns(self) -> frozenset[str]:
        """Every column that is named here and must be there."""
        named = {self.key, *self.identifiers.values(), *self.fields.values(), *self.types}
        return frozenset(named | {column for column in (self.time, self.event_column) if column})
