"""
Where a value comes from: the rows of a person that it is made of, and their records.

One function a kind of value, in `SOURCES`; a kind that is not there has its value, without a source. All of it is asked while
the store shows one person only (`explain_person`), but for the rows of profiles and companies, which it finds by theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from core.clock import from_us
from core.segments.compile import relation
from core.segments.compile_events import rows
from core.segments.dialect import DAY_US, Param, quoted
from core.segments.explain_texts import Texts, parts
from core.segments.facts import Facts, LeafFailed
from core.segments.tree import Answer, Billing, CompanyField, ProfileField, Score, SourceField
from core.segments.tree_constants import Ago, Edge
from core.segments.tree_events import EventSet, Window
from core.segments.vocabulary import PAYMENT_WORDS

MAX_SOURCES: Final = 3
_AGES: Final = 36_500 * DAY_US


@dataclass(frozen=True, slots=True)
class Source:
    """A record that a value comes from."""

    stream: str
    record: str
    at: datetime | None
    """When it happened, or when the record last changed."""


@dataclass(slots=True)
class Asked:
    """Of whom, over which facts, in whose words."""

    profile_id: int
    company_id: int | None
    facts: Facts
    texts: Texts
    names: dict[int, str] = field(default_factory=dict)
    """`connection.stream` by id."""
    holds: Callable[[Any], bool] = bool
    """What a condition says of them."""
    known: dict[Any, list[Any]] = field(default_factory=dict)
    """Values that hang on other people, found before these were hidden."""

    def rows(self, sql: str, *params: Param) -> list[tuple[Any, ...]]:
        return self.facts.conn.execute(sql, params).fetchall()

    def sources(self, sql: str, *params: Param) -> tuple[Source, ...]:
        """Return the sources that *sql* (stream id, record, time) finds."""
        rows = self.rows(f"{sql} LIMIT {MAX_SOURCES}", *params)
        return tuple(Source(self.names.get(stream, "?"), str(record), moment(at)) for stream, record, at in rows)


def moment(us: int | None) -> datetime | None:
    """Return a stored time; None where there is none, or it is past all that can be written."""
    try:
        return None if us is None else from_us(us)
    except OverflowError:
        return None


def raw_values(value: Any, asked: Asked) -> list[Any]:
    """Return the values as the store has them, the missing ones left out; ``LeafFailed`` where they cannot be told."""
    if value in asked.known:
        return asked.known[value]
    try:
        found = relation(value, asked.facts)
    except AssertionError as error:
        raise LeafFailed("has no value that can be shown") from error
    sql = f"SELECT v FROM ({found.sql.text}) WHERE p = ? AND v IS NOT NULL"
    values = [row[0] for row in asked.facts.conn.execute(sql, (*found.sql.params, asked.profile_id))]
    return values or ([0] if found.zero else [])


def event_rows(events: EventSet, asked: Asked, *, ever: bool = False) -> tuple[str, tuple[Param, ...]]:
    """
    Return `FROM events WHERE ...`: the person's events of the set.

    *ever*: also those to come, whatever its window, and whatever a filter says that says another thing at another time.
    """
    facts = asked.facts
    if ever:
        facts = copy(facts)
        facts.as_of_us += _AGES
        moves = any(isinstance(part, Ago | Edge) for part in parts(events.filter))
        events = replace(events, window=Window(), filter=None if moves else events.filter)
    found = rows(events, facts)
    return f"FROM {found.text} AND profile_id = ?", (*found.params, asked.profile_id)


def _of_profile(value: ProfileField, asked: Asked) -> tuple[Source, ...]:
    if value.name in ("email", "user_id"):
        return _of_identifier(value, asked)
    return _canonical(value, "profile_rows", "profile_id", asked.profile_id, asked)


def _of_identifier(value: ProfileField, asked: Asked) -> tuple[Source, ...]:
    sql = (
        "SELECT s.stream_id, s.ref, s.changed_at FROM identifiers i JOIN subject_identifiers l ON l.identifier_id = i.id "
        "JOIN subjects s ON s.id = l.subject_id WHERE i.kind = ? AND i.value = ? AND s.live = 1 AND s.trust = 'key' "
        "AND s.profile_id = ? ORDER BY s.changed_at DESC"
    )
    (address,) = raw_values(value, asked)[:1] or (None,)
    return asked.sources(sql, value.name, address, asked.profile_id)


def _of_company(value: CompanyField, asked: Asked) -> tuple[Source, ...]:
    return _canonical(value, "company_rows", "company_id", asked.company_id, asked)


def _canonical(
    value: ProfileField | CompanyField, table: str, owner: str, id_: int | None, asked: Asked
) -> tuple[Source, ...]:  # fmt: skip
    """Return the records that say the same as what was chosen, the latest first."""
    (chosen,) = raw_values(value, asked)[:1] or (None,)
    sql = (
        f"SELECT stream_id, record_key, changed_at FROM {table} WHERE {owner} = ? AND deleted_at IS NULL "
        f"AND {quoted(value.name)} IS ? ORDER BY changed_at DESC, stream_id"
    )
    return asked.sources(sql, id_, chosen)


def _of_source(value: SourceField, asked: Asked) -> tuple[Source, ...]:
    stream = asked.facts.streams.get(f"{value.connection}.{value.stream}")
    if stream is None or value.field not in stream.columns:
        return ()
    columns = {row[0] for row in asked.rows("SELECT name FROM pragma_table_info(?)", stream.landing)}
    at = "changed_at" if "changed_at" in columns else "NULL"
    column = quoted(stream.columns[value.field].column)
    where = f"profile_id = ? AND deleted_at IS NULL AND {column} IS NOT NULL"
    sql = f"SELECT {stream.id}, key, {at} FROM {quoted(stream.landing)} WHERE {where} ORDER BY 3 DESC"
    return asked.sources(sql, asked.profile_id)


def _of_billing(value: Billing, asked: Asked) -> tuple[Source, ...]:
    facts = asked.facts
    owner, id_ = "profile_id", asked.profile_id
    if facts.billing_of != "person" and asked.company_id is not None:
        owner, id_ = "company_id", asked.company_id
    if value.word in PAYMENT_WORDS:
        table, at, begun, first = "payments", "paid_at", "paid_at", "paid_at"
    else:
        table, at, begun, first = "subscriptions", "coalesce(changed_at, started_at)", "coalesce(started_at, 0)", _PRINCIPAL
    sql = (
        f"SELECT stream_id, record_key, {at} FROM {table} WHERE {owner} = ? AND (deleted_at IS NULL OR deleted_at > ?) "
        f"AND {begun} <= ?{facts.seen()} ORDER BY {first} DESC"
    )
    return asked.sources(sql, id_, facts.as_of_us, facts.as_of_us)


_PRINCIPAL: Final = "status IN ('active', 'past_due') DESC, status = 'trialing' DESC, coalesce(mrr, 0)"


def _of_answers(value: Score | Answer, asked: Asked) -> tuple[Source, ...]:
    if isinstance(value, Answer):
        where = "survey = ? AND question = ?"
        params: tuple[Param, ...] = (value.survey, value.question)
    else:
        (number,) = raw_values(value, asked)[:1] or (None,)
        where = "kind = 'score' AND number IS ? AND coalesce(measure, ?) = ?"
        params = (number, value.word, value.word)
    sql = (
        "SELECT stream_id, record_key, answered_at FROM answers WHERE profile_id = ? AND deleted_at IS NULL "
        f"AND coalesce(answered_at, 0) <= ?{asked.facts.seen()} AND {where} ORDER BY coalesce(answered_at, 0) DESC, id DESC"
    )
    found = asked.sources(sql, asked.profile_id, asked.facts.as_of_us, *params)
    return found if isinstance(value, Answer) and value.every else found[:1]


SOURCES: Final[dict[type, Callable[[Any, Asked], tuple[Source, ...]]]] = {
    ProfileField: _of_profile,
    CompanyField: _of_company,
    SourceField: _of_source,
    Billing: _of_billing,
    Score: _of_answers,
    Answer: _of_answers,
}
"""Where each kind of value comes from; a kind that is not here is shown without."""
