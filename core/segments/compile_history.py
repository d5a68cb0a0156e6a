"""
Changes of canonical fields to SQL, from `field_history`, which has a row for each from the first day.

The first time that the store sees somebody is no change: what was before it cannot be known. A field that was empty then and
is filled later did change.
"""

from __future__ import annotations

from core.segments import dialect
from core.segments.compile_calendar import inside, own_times
from core.segments.dialect import Param, Sql
from core.segments.facts import Facts
from core.segments.predicate import bound
from core.segments.relation import FIELDS
from core.segments.tree import CompanyField, ProfileField
from core.segments.tree_constants import Constant
from core.segments.tree_sets import OF_SUBSCRIPTION, Changed


def changed(leaf: Changed, facts: Facts) -> Sql:
    """Return who had such a change."""
    match leaf.value:
        case ProfileField(name=name):
            return _changes("profile", name, leaf, facts, "h.of_id")
        case CompanyField(name=name):
            if facts.of_companies:
                return _changes("company", name, leaf, facts, None)
            facts.today("company")
            where = ("t.id = h.of_id", "t.live = 1", "p.company_id = t.id")
            return _changes("company", name, leaf, facts, "p.id", ("companies t", "profiles p"), where)
        case billing:
            return _of_subscriptions(OF_SUBSCRIPTION[billing.word], leaf, facts)


def _of_subscriptions(name: str, leaf: Changed, facts: Facts) -> Sql:
    """Return the people of whose subscriptions (their company's, where there is one) one changed."""
    live = ("t.id = h.of_id", f"(t.deleted_at IS NULL OR t.deleted_at > {int(facts.as_of_us)}){facts.seen('t.stream_id')}")

    def of(*owners: str) -> Sql:
        return _changes("subscription", name, leaf, facts, "p.id", ("subscriptions t", "profiles p"), (*live, *owners))

    if facts.of_companies:
        found = _changes("subscription", name, leaf, facts, None, ("subscriptions t",), live)
        return Sql(
            f"SELECT t.company_id FROM ({found.text}) c JOIN subscriptions t ON t.id = c.id WHERE t.company_id IS NOT NULL",
            found.params,
        )
    if facts.billing_of == "person":
        return of("p.id = t.profile_id")
    facts.today("company")
    company, alone = of("p.company_id = t.company_id"), of("p.id = t.profile_id", "p.company_id IS NULL")
    return Sql(f"{company.text} UNION ALL {alone.text}", (*company.params, *alone.params))


def _changes(
    of: str,
    name: str,
    leaf: Changed,
    facts: Facts,
    owner: str | None,
    tables: tuple[str, ...] = (),
    joined: tuple[str, ...] = (),
) -> Sql:
    """
    Return the id in the column *owner* (without one, whose field it is) for each such change; calendars are the owner's.

    *tables* are *joined* to the history: of all after it, since few of its rows are in the window; of a few people before it.
    """
    if facts.among and not tables:
        tables, joined = (dialect.AMONG,), (f"h.of_id = {dialect.PERSON}",)
    history = "field_history h"
    led = (*reversed(tables), history) if facts.among else (history, *tables)
    after = leaf.window.after
    if facts.history_begins_us and (after is None or facts.as_of_us - after.us < facts.history_begins_us):
        facts.today(f"changes of {of} {name} before its history begins")
    when = inside(leaf.window, "h.from_at", facts.as_of_us, own_times(owner, facts))
    fields = ", ".join(f"'{field}'" for field in _kept(of, facts))
    same = f"k.of = '{of}' AND k.of_id = h.of_id AND k.from_at < h.from_at"
    was = f"(SELECT k.value FROM field_history k WHERE {same} AND k.field = ? ORDER BY k.from_at DESC LIMIT 1)"
    where = [f"h.of = '{of}'", *joined, "h.field = ?", when.text]
    params: list[Param] = [name, *when.params]
    if leaf.to:
        where.append(_one_of("h.value", leaf.to, params, facts))
    where.append(f"{was} IS NOT h.value")
    params.append(name)
    known = f"EXISTS (SELECT 1 FROM field_history k WHERE {same} AND k.field"
    where.append(f"({known} = ?) OR {known} IN ({fields})))")  # the field's own row is looked for first: one step
    params.append(name)
    if leaf.before:
        params.append(name)
        where.append(_one_of(was, leaf.before, params, facts))
    return Sql(f"SELECT {owner or 'h.of_id'} AS id FROM {' CROSS JOIN '.join(led)} WHERE {' AND '.join(where)}", tuple(params))


def _kept(of: str, facts: Facts) -> list[str]:
    """Return the fields of which there is any history: each that is not looked for is a step less for each row."""
    there = "SELECT EXISTS (SELECT 1 FROM field_history WHERE of = ? AND field = ?)"
    return [field for field in FIELDS[of] if facts.conn.execute(there, (of, field)).fetchone()[0]]


def _one_of(column: str, options: tuple[Constant, ...], params: list[Param], facts: Facts) -> str:
    values = [bound(option, facts.as_of_us) for option in options]
    params += values
    return f"{column} IN {dialect.marks(values)}"
