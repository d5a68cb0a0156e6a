"""
What is seen at a leaf, and where it comes from: `connection.stream`, the record's key, and when that was so.

One function a kind of value, in `SOURCES`; a kind that is not there has its value, without a source. All of it is asked while
the store shows one person only (`explain_person`), but for the rows of profiles and companies, which it finds by theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from copy import copy
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from core.clock import from_us
from core.segments.compile import relation
from core.segments.compile_calendar import inside, own_times
from core.segments.compile_events import rows
from core.segments.dialect import DAY_US, Param, quoted
from core.segments.explain_spoken import spoken
from core.segments.explain_texts import Texts, parts
from core.segments.facts import Facts, LeafFailed
from core.segments.tree import (
    Aggregate,
    Ago,
    Answer,
    Answered,
    Billing,
    CompanyField,
    Condition,
    Did,
    EventSet,
    Function,
    ProfileField,
    Score,
    SourceField,
    Type,
    Window,
    values_of,
    walk,
)  # fmt: skip
from core.segments.tree_events import Edge, LastEvent, Sequence
from core.segments.tree_traits import COMPUTED, Chosen, Truth, terms_in
from core.segments.types import CONSTANTS
from core.segments.vocabulary import PAYMENT_WORDS

MAX_SOURCES: Final = 3
MAX_VALUES: Final = 10
MAX_PARTS: Final = 30
_AGES: Final = 36_500 * DAY_US


@dataclass(frozen=True, slots=True)
class Source:
    """A record that a value comes from."""

    stream: str
    record: str
    at: datetime | None
    """When it happened, or when the record last changed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One value that a leaf looks at."""

    text: str
    """As it was written."""
    values: tuple[Any, ...]
    """What the person has: several where a field has several, none where it is missing."""
    _: KW_ONLY
    sources: tuple[Source, ...] = ()
    count: int | None = None
    """Of how many rows it is made, where it is made of many."""
    part_of: str | None = None
    """The computed value that it is a part of."""


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
        return tuple(Source(self.names.get(stream, "?"), str(record), _moment(at)) for stream, record, at in rows)


def seen_at(leaf: Any, asked: Asked) -> tuple[Seen, ...]:
    """Return what *leaf* looks at; LeafFailed where that cannot be told."""
    match leaf:
        case Did():
            return (_events(asked.texts.of(leaf), leaf.events, (), asked, oldest=False),)
        case LastEvent():
            return (_events(asked.texts.of(leaf), leaf.events, (), asked, oldest=False),)
        case Sequence():
            steps = dict.fromkeys(step.events for step in leaf.steps)
            return tuple(_events(f'"{events.name}"', events, (), asked, oldest=False) for events in steps)
        case Answered():
            where = inside(leaf.window, "coalesce(answered_at, 0)", asked.facts.as_of_us, own_times("profile_id", asked.facts))
            found = "FROM answers WHERE profile_id = ? AND deleted_at IS NULL AND survey = ? AND " + where.text
            params = (asked.profile_id, leaf.survey, *where.params)
            times = asked.rows(f"SELECT max(answered_at) {found}", *params)
            sources = asked.sources(f"SELECT stream_id, record_key, answered_at {found} ORDER BY answered_at DESC", *params)
            return (Seen(asked.texts.of(leaf), tuple(_moment(at) for (at,) in times if at is not None), sources=sources),)
        case _:
            return tuple(seen for value in values_of(leaf) for seen in (_seen(value, asked), *_made_of(value, asked)))


def _seen(value: Any, asked: Asked) -> Seen:
    values = tuple(_plain(v, value.type) for v in raw_values(value, asked)[:MAX_VALUES])
    if isinstance(value, Aggregate):
        oldest = value.function in (Function.FIRST_TIME, Function.MIN)
        return _events(asked.texts.of(value), value.events, values, asked, oldest=oldest)
    found = SOURCES.get(type(value))
    there = found is not None and any(v is not None for v in values)
    return Seen(asked.texts.of(value), values, sources=found(value, asked) if found is not None and there else ())


def _made_of(value: Any, asked: Asked) -> list[Seen]:
    """Return what a computed value is made of: each value and condition in it, once."""
    found: dict[Seen, None] = {}
    stack, text = list(terms_in(value)), asked.texts.of(value)
    while stack and len(found) < MAX_PARTS and value not in asked.known:
        one = stack.pop(0)
        conditions = [one.condition] if isinstance(one, Truth | Chosen) else []
        for condition in conditions:
            found[Seen(spoken(condition), (asked.holds(condition),), sources=_under(condition, asked), part_of=text)] = None
        if isinstance(one, COMPUTED):
            stack = [*terms_in(one), *stack]
        elif not isinstance(one, CONSTANTS):
            found[replace(_seen(one, asked), part_of=text)] = None
    return list(found)


def _under(condition: Condition, asked: Asked) -> tuple[Source, ...]:
    """Return the records that a condition within a computed value looks at; those of further computed values are told there."""
    found: dict[Source, None] = {}
    for node in walk(condition):
        if not any(isinstance(value, COMPUTED) for value in values_of(node)):
            with suppress(LeafFailed):
                found |= dict.fromkeys(source for seen in seen_at(node, asked) for source in seen.sources)
    return tuple(found)[:MAX_SOURCES]


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


def _plain(value: Any, type_: Type) -> Any:
    match type_:
        case Type.TIME if isinstance(value, int):
            return _moment(value)
        case Type.BOOLEAN:
            return bool(value)
        case _:
            return value


def _moment(us: int | None) -> datetime | None:
    try:
        return None if us is None else from_us(us)
    except OverflowError:
        return None


# --- events --------------------------------------------------------------------------------------------------------


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


def _events(text: str, events: EventSet, values: tuple[Any, ...], asked: Asked, *, oldest: bool) -> Seen:
    found, params = event_rows(events, asked)
    ((count, first, last),) = asked.rows(f"SELECT count(*), min(time), max(time) {found}", *params)
    sources: tuple[Source, ...] = ()
    if count:  # of an event that is asked for its time alone the copy has no more
        edge = f"SELECT max(id) {found} AND time = ?"
        row = f"SELECT stream_id, key, time FROM main.events WHERE id = ({edge})"
        sources = asked.sources(row, *params, first if oldest else last)
    return Seen(text, values if values else (count,), sources=sources, count=count)


# --- where a value comes from --------------------------------------------------------------------------------------


def _of_profile(value: ProfileField, asked: Asked) -> tuple[Source, ...]:
    if value.name in ("email", "user_id"):
        return _of_identifier(value, asked)
    return _canonical("profile_rows", "profile_id", asked.profile_id, value.name, raw_values(value, asked), asked)


def _of_identifier(value: ProfileField, asked: Asked) -> tuple[Source, ...]:
    sql = (
        "SELECT s.stream_id, s.ref, s.changed_at FROM identifiers i JOIN subject_identifiers l ON l.identifier_id = i.id "
        "JOIN subjects s ON s.id = l.subject_id WHERE i.kind = ? AND i.value = ? AND s.live = 1 AND s.trust = 'key' "
        "AND s.profile_id = ? ORDER BY s.changed_at DESC"
    )
    (address,) = raw_values(value, asked)[:1] or (None,)
    return asked.sources(sql, value.name, address, asked.profile_id)


def _of_company(value: CompanyField, asked: Asked) -> tuple[Source, ...]:
    return _canonical("company_rows", "company_id", asked.company_id, value.name, raw_values(value, asked), asked)


def _canonical(
    table: str, owner: str, id_: int | None, name: str, values: list[Any], asked: Asked
) -> tuple[Source, ...]:  # fmt: skip
    """Return the records that say the same as what was chosen, the latest first."""
    sql = (
        f"SELECT stream_id, record_key, changed_at FROM {table} WHERE {owner} = ? AND deleted_at IS NULL "
        f"AND {quoted(name)} IS ? ORDER BY changed_at DESC, stream_id"
    )
    return asked.sources(sql, id_, values[0] if values else None)


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
    mine = "profile_id = ?"
    if facts.billing_of != "person" and asked.company_id is not None:
        mine = "company_id = ?"
    owner = asked.company_id if mine.startswith("company") else asked.profile_id
    table, at = (
        ("payments", "paid_at") if value.word in PAYMENT_WORDS else ("subscriptions", "coalesce(changed_at, started_at)")
    )
    begun = "paid_at" if value.word in PAYMENT_WORDS else "coalesce(started_at, 0)"
    sql = (
        f"SELECT stream_id, record_key, {at} FROM {table} WHERE {mine} AND (deleted_at IS NULL OR deleted_at > ?) "
        f"AND {begun} <= ?{facts.seen()} ORDER BY {'paid_at' if value.word in PAYMENT_WORDS else _PRINCIPAL} DESC"
    )
    return asked.sources(sql, owner, facts.as_of_us, facts.as_of_us)


_PRINCIPAL: Final = "status IN ('active', 'past_due') DESC, status = 'trialing' DESC, coalesce(mrr, 0)"


def _of_answers(value: Score | Answer, asked: Asked) -> tuple[Source, ...]:
    where, params = "kind = 'score'", ()  # type: tuple[str, tuple[Param, ...]]
    if isinstance(value, Answer):
        where, params = "survey = ? AND question = ?", (value.survey, value.question)
    else:
        (number,) = raw_values(value, asked)[:1] or (None,)
        where, params = "kind = 'score' AND number IS ? AND coalesce(measure, ?) = ?", (number, value.word, value.word)
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
