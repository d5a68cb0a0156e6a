"""What ranks, lists, history, queries and words of the company mean, said slowly; `reference` asks here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.segments import tree as t
from core.segments import tree_sets as s
from core.segments.dialect import drawn_number

if TYPE_CHECKING:
    from reference import Reference

CONDITIONS = (s.Top, s.InList, s.Changed, s.FromSql, s.Users, s.CompanyIn)
VALUES = (s.Percentile, s.Bucket)
FIELDS = {
    "profile": "email first_name last_name phone country language timezone job_title created_at lifecycle_stage owner user_id",
    "company": "name domain industry employees revenue country created_at",
    "subscription": "status plan amount currency interval interval_count quantity mrr started_at trial_ends_at "
    "cancel_requested_at ended_at",
}
QUERIES = {
    "select id from profiles where country = 'SE'": lambda world: {p["id"] for p in world.profiles if p.get("country") == "SE"},
    "with a as (select profile_id from answers where kind = 'score') select profile_id from a": lambda world: {
        a["profile_id"] for a in world.answers if a["kind"] == "score"
    },
}
"""Queries that the random cases ask, and whom each yields."""


def universe(reference: Reference, anonymous: bool) -> list[dict[str, Any]]:
    """Return everybody who is ranked and counted."""
    return [
        p
        for p in reference.everybody()
        if p.get("live", 1)
        and (anonymous or p.get("email") or p.get("user_id") or reference.companies)
        and not (reference.past and not reference.companies and (p.get("created_at") or 0) > reference.now)
    ]


def ranked(reference: Reference, node: Any) -> list[tuple[Any, int]]:
    """Return (value, id) of each who has a value: of several, the largest."""
    found = []
    for person in universe(reference, node.anonymous):
        there = [v for v in reference.values(node.value, person) if v is not None]
        if there:
            found.append((max(there), person["id"]))
    return found


def value(reference: Reference, node: Any, person: dict[str, Any]) -> Any:
    """Return a percentile (0 to 100), or a bucket."""
    if isinstance(node, s.Bucket):
        return drawn_number(node.salt, person["id"])
    found = ranked(reference, node)
    mine = next((v for v, id_ in found if id_ == person["id"]), None)
    if mine is None:
        return None
    below = sum(1 for v, _ in found if v < mine)
    return below / (len(found) - 1) * 100 if len(found) > 1 else 0.0


def holds(reference: Reference, node: Any, person: dict[str, Any]) -> bool:
    match node:
        case s.Top():
            best = sorted(ranked(reference, node), key=lambda v: (-v[0], v[1]))
            return person["id"] in {id_ for _, id_ in best[: node.count]}
        case s.InList():
            return any(
                (str(person["id"]) if kind in ("profile_id", "company_id") else person.get(kind.removeprefix("company_")))
                in values
                for kind, values in node.keys
            )
        case s.Changed():
            return changed(reference, node, person)
        case s.FromSql():
            return person["id"] in QUERIES[node.text](reference.world)
        case s.Users():
            return users(reference, node, person)
        case _:
            company = reference.company(person)
            return company is not None and company["id"] in reference.members(f"segment.{node.name}")


def users(reference: Reference, node: s.Users, person: dict[str, Any]) -> bool:
    """Return whether any, all or none of the users of the company are so; a company's own, where a company is asked about."""
    company = person if reference.companies else reference.company(person)
    of_people = reference.of_people()
    there = [p for p in universe(of_people, node.anonymous) if company is not None and p.get("company_id") == company["id"]]
    if company is not None and not company.get("live", 1):
        there = []
    found = [of_people.holds(node.item, user) for user in there]
    match node.quantifier:
        case s.Quantifier.ANY:
            return any(found)
        case s.Quantifier.ALL:
            return bool(found) and all(found)
        case _:
            return not any(found)


def changed(reference: Reference, node: s.Changed, person: dict[str, Any]) -> bool:
    if isinstance(node.value, t.ProfileField):
        return _changed(reference, node, "profile", person["id"], node.value.name, person)
    if isinstance(node.value, t.CompanyField):
        company = person if reference.companies else reference.company(person)
        return company is not None and _changed(reference, node, "company", company["id"], node.value.name, person)
    name = s.OF_SUBSCRIPTION[node.value.word]
    rows = reference.owned(reference.world.subscriptions, person)
    return any(_changed(reference, node, "subscription", row["id"], name, person) for row in rows)


def _changed(reference: Reference, node: s.Changed, of: str, id_: int, name: str, person: dict[str, Any]) -> bool:
    """Look at each change after the store first saw it: what it became, and what it was."""
    fields = FIELDS[of].split()
    rows = [row for row in reference.world.history if row[0] == of and row[1] == id_]
    for _, _, field, new, at in rows:
        if field != name or not reference.within(node.window, at, person):
            continue
        if not any(earlier < at and other in fields for _, _, other, _, earlier in rows):
            continue
        before = [(earlier, value) for _, _, other, value, earlier in rows if other == name and earlier < at]
        old = max(before, key=lambda b: b[0])[1] if before else None
        to, was = [reference.constant(c, person) for c in node.to], [reference.constant(c, person) for c in node.before]
        if old != new and (not to or (new is not None and new in to)) and (not was or (old is not None and old in was)):
            return True
    return False
