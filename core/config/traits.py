"""The tables `[traits.NAME]`: an expression, weighted rules, or a formula that is built in, with its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from core.config.model import Rule, Trait
from core.config.names import name_problem, suggest
from core.config.problems import Problems
from core.config.table import Table
from core.config.values import SegmentZone

MAX_RULES: Final = 100
MAX_POINTS: Final = 1_000_000
BuiltIn = Literal[
    "recency", "frequency", "monetary", "recency_quintile", "frequency_quintile", "monetary_quintile", "lifetime_value"
]  # fmt: skip
_OF_EVENT: Final = frozenset({"recency", "frequency", "monetary"})
_SETTINGS: Final = {"event", "amount", "window", "revenue", "expected_months", "gross_margin"}


class RuleTable(Table):
    """Points for whom a condition holds, or for each of what is counted."""

    points: float
    """How many; less than 0 takes away."""
    when: str | None = None
    """The condition, as in a segment; or `each`."""
    each: str | None = None
    """A number that the points are multiplied with, as 'min(count("Logged In"), 5)'; a missing one is 0."""


class TraitTable(Table):
    """A number or a text that everybody has, computed. It has one of `value`, `rules` and `built_in`."""

    value: str | None = None
    """The expression."""
    rules: list[RuleTable] | None = None
    """Weighted rules, added up: a score."""
    built_in: BuiltIn | None = None
    """A formula of `docs/traits.md`."""
    title: str | None = None
    """For people; the name with spaces and a capital, if left out."""
    tz: SegmentZone | None = None
    """The zone of its calendar words, if not the workspace's; `person` is each person's own."""
    least: float | None = None
    """With rules: no score is lower."""
    most: float | None = None
    """With rules: no score is higher."""
    event: str | None = None
    """With recency, frequency and monetary: the event that is a purchase, if not payments."""
    amount: str | None = None
    """With monetary and an event: its property that is added up."""
    window: str | None = None
    """With an event: how far back it is looked at, as "365d"; all time, if left out."""
    revenue: str | None = None
    """With lifetime_value: an expression of the average revenue a month, as "mrr"; of payments, if left out."""
    expected_months: float | None = None
    """With lifetime_value: how many months a customer stays; 24, if left out."""
    gross_margin: float | None = None
    """With lifetime_value: the share of revenue that is left after its cost, from 0 to 1; 1, if left out."""


def read_traits(tables: object, problems: Problems) -> dict[str, Trait]:
    """Return the traits by name."""
    if not isinstance(tables, Mapping):
        problems.say(("traits",), "must be a table")
        return {}
    found = {}
    for name, table in tables.items():
        at = ("traits", name)
        if wrong := name_problem(name):
            problems.say(at, f"{name!r} cannot be the name of a trait", wrong)
        read = problems.validate(TraitTable, table, at)
        if read is None:
            continue
        _check(read, at, problems)
        place = replace(problems.places.find(at), key=f"traits.{name}")
        rules = tuple(Rule(rule.points, rule.when, rule.each) for rule in read.rules or ())
        own: dict[str, Any] = {key: getattr(read, key) for key in ("value", "built_in", "least", "most", *_SETTINGS)}
        title = read.title or name.replace("_", " ").capitalize()
        found[name] = Trait(name, place=place, title=title, rules=rules, timezone=read.tz, **own)
    return found


def _check(read: TraitTable, at: tuple[str, str], problems: Problems) -> None:
    ways = [key for key in ("value", "rules", "built_in") if getattr(read, key) is not None]
    if len(ways) != 1:
        problems.say(at, "must have one of value, rules and built_in")
        return
    given = {key for key in ("least", "most", *_SETTINGS) if getattr(read, key) is not None}
    if wrong := given - _allowed(read):
        remedy = suggest(min(wrong), _allowed(read)) if _allowed(read) else None
        problems.say((*at, min(wrong)), f"{min(wrong)} is nothing that {read.built_in or ways[0]} has", remedy)
    _check_rules(read, at, problems)
    if read.value is not None and not read.value.strip():
        problems.say((*at, "value"), "is empty", "write an expression, as 'count(\"Logged In\")'")
    if read.least is not None and read.most is not None and read.least >= read.most:
        problems.say((*at, "most"), "most is not above least")
    if read.gross_margin is not None and not 0 < read.gross_margin <= 1:
        problems.say((*at, "gross_margin"), "must be above 0, and 1 at most")
    if read.expected_months is not None and not 0 < read.expected_months <= 1200:
        problems.say((*at, "expected_months"), "must be above 0, and 1200 at most")
    if str(read.built_in).startswith("monetary") and (read.event is None) != (read.amount is None):
        problems.say(at, "monetary of an event has both event and amount")


def _allowed(read: TraitTable) -> set[str]:
    """Return the settings that its way of being computed has."""
    if read.rules is not None:
        return {"least", "most"}
    of = (read.built_in or "").removesuffix("_quintile")
    if of in _OF_EVENT:
        return {"event"} | ({"window"} if read.event else set()) | ({"amount"} if of == "monetary" else set())
    return {"revenue", "expected_months", "gross_margin"} if of == "lifetime_value" else set()


def _check_rules(read: TraitTable, at: tuple[str, str], problems: Problems) -> None:
    if read.rules is None:
        return
    if not 0 < len(read.rules) <= MAX_RULES:
        problems.say((*at, "rules"), f"1 to {MAX_RULES} rules make a score")
    for number, rule in enumerate(read.rules):
        if (rule.when is None) == (rule.each is None):
            problems.say((*at, "rules", number), "a rule has either when or each")
        if not -MAX_POINTS <= rule.points <= MAX_POINTS:
            problems.say((*at, "rules", number, "points"), f"points are {MAX_POINTS:,} at most")
