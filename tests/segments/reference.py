"""
What a tree means, said slowly: one person at a time, plain Python over plain values, no SQL and no sets.

It reads the definition literally and shares nothing with `core.segments.compile`; a property test holds the two together.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime, time
from fractions import Fraction
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import reference_events as slow
import reference_sets
import reference_traits
from smallworld import RATES, ZONE, World

from core.clock import from_us, to_us
from core.segments import tree as t
from core.segments.definitions import Definitions
from core.segments.tree_constants import PERSON, Ago, Edge, Moment, OwnMoment, Type
from core.segments.tree_events import Aggregate, EventSet, Function, LastEvent, Property, Sequence, Window


class Reference:
    """One world at one time."""

    def __init__(self, world: World, definitions: Definitions, as_of: datetime, *, past: bool = False) -> None:
        self.world = world
        self.definitions = definitions
        self.now = to_us(as_of)
        self.past = past

    companies = False
    """Whether those asked about are companies."""

    def everybody(self) -> list[dict[str, Any]]:
        return self.world.profiles

    def of_people(self) -> Reference:
        return self

    # --- sets ------------------------------------------------------------------------------------------------------

    def members(self, name: str) -> set[int]:
        """Return who is in a set, `exclude` kept out."""
        if self.definitions.sets[name].of == "company":
            of = OfCompanies(self.world, self.definitions, from_us(self.now), past=self.past)
            return {c["id"] for c in of.everybody() if of.is_in(c, name)}
        found = {p["id"] for p in self.world.profiles if self.is_in(p, name)}
        exclude = self.definitions.exclude
        return found if exclude in (None, name) else found - {p["id"] for p in self.world.profiles if self.is_in(p, exclude)}

    def is_in(self, person: dict[str, Any], name: str) -> bool:
        definition = self.definitions.sets[name]
        if not person["live"] or not (definition.anonymous or person.get("email") or person.get("user_id")):
            return False
        if self.past and (person.get("created_at") or 0) > self.now:
            return False
        return self.holds(definition.condition, person)

    def holds(self, node: Any, person: dict[str, Any]) -> bool:
        match node:
            case t.And():
                return all(self.holds(item, person) for item in node.items)
            case t.Or():
                return any(self.holds(item, person) for item in node.items)
            case t.Not():
                return not self.holds(node.item, person)
            case t.InSegment():
                return self.is_in(person, f"segment.{node.name}")
            case t.InGroup():
                return any(self.is_in(person, f"partition.{node.partition}.{group}") for group in node.groups)
            case t.Did():
                return bool(self.events(node.events, person))
            case LastEvent():
                return slow.last_passes(
                    node, lambda e: self.events(e, person), lambda test, props: self.passes(test, props, person)
                )
            case Sequence():
                return slow.in_sequence(node, lambda e: self.events(e, person), self.now)
            case _ if isinstance(node, reference_sets.CONDITIONS):
                return reference_sets.holds(self, node, person)
            case _ if isinstance(node, reference_traits.CONDITIONS):
                return reference_traits.holds(self, node, person)
            case t.Answered():
                return any(
                    a["survey"] == node.survey and self.within(node.window, a.get("answered_at") or 0, person)
                    for a in self.answers(person)
                )
            case _:
                return self.test(node, lambda value: self.values(value, person), person)

    def test(self, node: Any, values: Any, person: dict[str, Any]) -> bool:
        """Return whether some of the values (of each value looked at, one) pass; a missing one passes nothing."""
        looked_at = t.values_of(node)
        for chosen in product(*[[v for v in values(value) if v is not None] for value in looked_at]):
            at = dict(zip(looked_at, chosen, strict=True))
            match node:
                case t.Compare():
                    terms = [at[term] if term in at else self.constant(term, person) for term in node.terms]
                    if all(_compare(a, op, b) for a, op, b in zip(terms, node.ops, terms[1:], strict=False)):
                        return True
                case t.In():
                    if any(_compare(at[node.value], t.Op.EQ, self.constant(option, person)) for option in node.options):
                        return True
                case t.Exists():
                    return True
                case t.Matches():
                    if _looks(at[node.value], node):
                        return True
        return False

    def constant(self, node: Any, person: dict[str, Any]) -> Any:
        match node:
            case Edge():
                return slow.edge(node, self.zone(person) if node.zone == PERSON else node.zone, self.now)
            case OwnMoment():
                return slow.moment(datetime.fromisoformat(node.local), self.zone(person))
            case Moment():
                return node.at_us
            case Ago():
                return self.now - node.us
            case _:
                return node.value

    def zone(self, person: dict[str, Any]) -> str:
        return slow.zone_of(self.then("profile", person, "timezone"), str(self.definitions.config.workspace.timezone))

    # --- values of a person ------------------------------------------------------------------------------------------

    def values(self, node: Any, person: dict[str, Any]) -> list[Any]:
        match node:
            case t.ProfileField():
                return [self.then("profile", person, node.name)]
            case t.CompanyField():
                company = self.company(person)
                return [self.then("company", company, node.name)] if company else []
            case t.SourceField():
                return list(self.source(node, person))
            case Aggregate():
                return [self.aggregate(node, person)]
            case t.Billing():
                return [self.billing(node.word, person)]
            case t.Score():
                return [self.score(node.word, person)]
            case _ if isinstance(node, reference_sets.VALUES):
                return [reference_sets.value(self, node, person)]
            case _ if isinstance(node, reference_traits.VALUES):
                return [reference_traits.value(self, node, person)]
            case _:
                return list(self.answer(node, person))

    def then(self, of: str, row: dict[str, Any], name: str) -> Any:
        """Return a canonical field as it was."""
        changes = [(from_at, value) for o, i, f, value, from_at in self.world.history if (o, i, f) == (of, row["id"], name)]
        if not self.past or not any(from_at > self.now for from_at, _ in changes):
            return row.get(name)
        known = any(o == of and i == row["id"] and from_at <= self.now for o, i, _, _, from_at in self.world.history)
        if known:
            before = [(from_at, value) for from_at, value in changes if from_at <= self.now]
            return max(before, key=lambda c: c[0])[1] if before else None
        return min(changes, key=lambda c: c[0])[1]

    def company(self, person: dict[str, Any]) -> dict[str, Any] | None:
        return next((c for c in self.world.companies if c["id"] == person.get("company_id") and c.get("live", 1)), None)

    def source(self, node: t.SourceField, person: dict[str, Any]) -> Iterator[Any]:
        for row in self.world.contacts:
            if row["profile_id"] != person["id"] or row.get("deleted_at") is not None:
                continue
            value = row.get(node.field)
            for item in value if isinstance(value, list) else [value]:
                if isinstance(value, list) and not _is(item, node.type):
                    continue
                if node.type is Type.TIME and isinstance(item, str):
                    yield _time(item)
                else:
                    yield item

    def events(self, node: EventSet, person: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            e
            for e in self.world.events
            if e["profile_id"] == person["id"]
            and e["name"] == node.name
            and (node.source is None or e["stream"].startswith(node.source + "."))
            and self.within(node.window, e["time"], person)
            and (node.filter is None or self.passes(node.filter, e["properties"], person))
        ]

    def within(self, window: Window, at: int, person: dict[str, Any]) -> bool:
        return (
            at <= self.now
            and (window.after is None or at > self.now - window.after.us)
            and (window.upto is None or at <= self.now - window.upto.us)
            and (window.since is None or at >= self.constant(window.since, person))
            and (window.until is None or at < self.constant(window.until, person))
        )

    def passes(self, node: Any, properties: dict[str, Any], person: dict[str, Any]) -> bool:
        match node:
            case t.And():
                return all(self.passes(item, properties, person) for item in node.items)
            case t.Or():
                return any(self.passes(item, properties, person) for item in node.items)
            case t.Not():
                return not self.passes(node.item, properties, person)
            case _:
                return self.test(node, lambda p: [_property(properties, p)], person)

    def aggregate(self, node: Aggregate, person: dict[str, Any]) -> Any:
        events = self.events(node.events, person)
        times = [e["time"] for e in events]
        all_ = [e["properties"].get(node.of) for e in events]
        numbers = [v for v in all_ if _is(v, Type.NUMBER)]
        match node.function:
            case Function.COUNT:
                return len(events)
            case Function.DAYS_ACTIVE:
                zone = self.zone(person) if node.zone == PERSON else node.zone
                return len({from_us(at).astimezone(ZoneInfo(zone or "UTC")).date() for at in times})
            case Function.PERIODS:
                return slow.periods(times, node.every_us or 0, self.now)
            case Function.MEDIAN:
                return slow.median(numbers)
            case Function.LAST_TIME:
                return max(times, default=None)
            case Function.DISTINCT:
                return len({v for v in all_ if v is not None})
            case Function.SUM:
                return float(sum(Fraction(repr(float(v))) for v in numbers))
            case Function.AVG:
                return float(sum(Fraction(repr(float(v))) for v in numbers) / len(numbers)) if numbers else None
            case Function.MIN:
                return min(numbers, default=None)
            case Function.MAX:
                return max(numbers, default=None)
            case _:
                return min(times, default=None)

    # --- billing -----------------------------------------------------------------------------------------------------

    def owned(self, rows: list[dict[str, Any]], person: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of the person's company where there is one, else their own."""
        rows = [{"id": n} | row for n, row in enumerate(rows, 1)]
        rows = [row for row in rows if row.get("deleted_at") is None or row["deleted_at"] > self.now]
        company = person.get("company_id") if self.definitions.config.workspace.billing_of == "company" else None
        if company is not None:
            return [row for row in rows if row.get("company_id") == company]
        return [row for row in rows if row.get("profile_id") == person["id"]]

    def billing(self, word: str, person: dict[str, Any]) -> Any:
        if word in ("ltv", "payments", "first_paid_at", "last_paid_at"):
            paid = [
                p
                for p in self.owned(self.world.payments, person)
                if p.get("paid_at") is not None
                and p["paid_at"] <= self.now
                and p.get("status") not in ("failed", "void", "open")
            ]
            if word != "ltv":
                days = [p["paid_at"] for p in paid]
                of = {"payments": len, "first_paid_at": min, "last_paid_at": max}[word]
                return of(days) if paid else None
            worth = [_worth(p["amount"] - (p.get("refunded") or 0), p.get("currency"), p["paid_at"]) for p in paid]
            return None if not paid or None in worth else sum(worth) / 100  # type: ignore[arg-type]
        names = (
            "status",
            "plan",
            "interval",
            "currency",
            "quantity",
            "mrr",
            "trial_ends_at",
            "cancel_requested_at",
            "ended_at",
        )
        rows = [
            row | {name: self.then("subscription", row, name) for name in names}
            for row in self.owned(self.world.subscriptions, person)
            if (row.get("started_at") or 0) <= self.now
        ]
        if self.past:
            for row, now in zip(rows, [r.get("ended_at") for r in rows], strict=True):
                if row["status"] == "canceled" and now is not None and now > self.now:
                    row["status"] = "active"
        if not rows:
            return None
        for row in rows:
            row["worth"] = None if row["mrr"] is None else _worth(row["mrr"], row["currency"], self.now)
        in_force = [row for row in rows if row["status"] in ("active", "past_due")]
        match word:
            case "paying":
                return any((row["mrr"] or 0) > 0 for row in in_force)
            case "past_due":
                return any(row["status"] == "past_due" for row in rows)
            case "mrr" | "arr":
                if any(row["worth"] is None for row in in_force):
                    return None
                return sum(row["worth"] for row in in_force) * (12 if word == "arr" else 1) / 100
        ranks = ["active", "past_due", "trialing", "unpaid", "paused", "incomplete", "canceled"]
        rank = {status: n for n, status in enumerate(ranks)}
        first = min(rows, key=lambda r: (rank.get(r["status"], 99), -(r["worth"] or 0), -(r.get("started_at") or 0), r["id"]))
        if word == "canceled_at":
            return first["cancel_requested_at"] if first["cancel_requested_at"] is not None else first["ended_at"]
        return first[{"plan_interval": "interval", "subscription_status": "status", "seats": "quantity"}.get(word, word)]

    # --- surveys -----------------------------------------------------------------------------------------------------

    def answers(self, person: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the person's answers up to now, the latest first."""
        rows = [{"id": n} | a for n, a in enumerate(self.world.answers, 1)]
        rows = [
            a
            for a in rows
            if a["profile_id"] == person["id"] and a.get("deleted_at") is None and (a.get("answered_at") or 0) <= self.now
        ]
        return sorted(rows, key=lambda a: (a.get("answered_at") or 0, a["id"]), reverse=True)

    def score(self, word: str, person: dict[str, Any]) -> Any:
        for a in self.answers(person):
            if a["kind"] == "score" and a.get("number") is not None and _score_word(a) == word:
                return a["number"]
        return None

    def answer(self, node: t.Answer, person: dict[str, Any]) -> Iterator[Any]:
        rows = [a for a in self.answers(person) if (a["survey"], a["question"]) == (node.survey, node.question)]
        for a in rows if node.every else rows[:1]:
            match node.type:
                case Type.NUMBER:
                    yield a.get("number")
                case Type.BOOLEAN:
                    yield a.get("number") if a["kind"] == "boolean" else None
                case Type.ANY:
                    given = (a.get("text"), a.get("choice") if a.get("choice") != "[]" else None, a.get("number"))
                    yield next((g for g in given if g not in (None, "")), None)
                case _:
                    yield a.get("text")
                    yield from json.loads(a["choice"]) if a.get("choice") is not None else ()


class OfCompanies(Reference):
    """The same, asked about companies."""

    companies = True

    def everybody(self) -> list[dict[str, Any]]:
        return self.world.companies

    def of_people(self) -> Reference:
        return Reference(self.world, self.definitions, from_us(self.now), past=self.past)

    def is_in(self, person: dict[str, Any], name: str) -> bool:
        made_later = self.past and (person.get("created_at") or 0) > self.now
        return bool(person.get("live", 1)) and not made_later and self.holds(self.definitions.sets[name].condition, person)

    def company(self, person: dict[str, Any]) -> dict[str, Any]:
        return person

    def owned(self, rows: list[dict[str, Any]], person: dict[str, Any]) -> list[dict[str, Any]]:
        rows = [{"id": n} | row for n, row in enumerate(rows, 1)]
        rows = [row for row in rows if row.get("deleted_at") is None or row["deleted_at"] > self.now]
        return [row for row in rows if row.get("company_id") == person["id"]]


def _compare(a: Any, op: t.Op, b: Any) -> bool:
    match op:
        case t.Op.EQ:
            return bool(a == b)
        case t.Op.LT:
            return bool(a < b)
        case t.Op.LE:
            return bool(a <= b)
        case t.Op.GT:
            return bool(a > b)
        case _:
            return bool(a >= b)


def _looks(value: str, node: t.Matches) -> bool:
    if node.how is t.How.MATCHES:
        return re.search(node.text, value, 0 if node.case else re.IGNORECASE) is not None
    subject, needle = (value, node.text) if node.case else (value.casefold(), node.text.casefold())
    match node.how:
        case t.How.CONTAINS:
            return needle in subject
        case t.How.STARTSWITH:
            return subject.startswith(needle)
        case _:
            return subject.endswith(needle)


def _is(value: Any, type_: Type) -> bool:
    match type_:
        case Type.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Type.BOOLEAN:
            return isinstance(value, bool)
        case Type.ANY:
            return value is not None
        case _:
            return isinstance(value, str)


def _property(properties: dict[str, Any], node: Property) -> Any:
    value = properties.get(node.name)
    if not _is(value, node.type):
        return None
    return _time(value) if node.type is Type.TIME else value


def _time(text: str) -> int | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return to_us(at if at.tzinfo else at.replace(tzinfo=ZoneInfo("UTC")))


def _worth(minor: int, currency: str | None, at: int) -> float | None:
    """Return what an amount is worth in cents at a time."""
    if currency in (None, "EUR"):
        return minor
    days = [
        day for day, rates in RATES.items() if currency in rates and to_us(datetime.combine(day, time(), tzinfo=ZONE)) <= at
    ]
    if not days:
        return None
    exact = minor * float(RATES[max(days)][currency])
    return float(int(abs(exact) + 0.5)) * (-1 if exact < 0 else 1)


def _score_word(answer: dict[str, Any]) -> str | None:
    if answer.get("measure") is not None:
        return str(answer["measure"])
    signs = {"nps": ("nps", "net promoter"), "csat": ("csat", "satisf")}

    def named(text: str | None, word: str) -> bool:
        return any(sign in unicodedata.normalize("NFC", text or "").lower() for sign in signs[word])

    for word, other in (("nps", "csat"), ("csat", "nps")):
        if named(answer["question"], word) or (named(answer["survey"], word) and not named(answer["question"], other)):
            return word
    return None
