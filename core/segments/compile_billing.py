"""
Billing words to SQL: of the person's company where there is one, else of the person.

Who has several subscriptions is spoken of by the principal one (in force before trial before the rest, then the dearest, the
youngest, the first); `mrr` adds up all that are in force. Money is compared in major units of the workspace's currency.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.segments.dialect import Param, Sql
from core.segments.facts import Facts
from core.segments.relation import Relation, historic
from core.segments.tree import Billing

IN_FORCE: Final = "status IN ('active', 'past_due')"
STATUSES: Final = ("active", "past_due", "trialing", "unpaid", "paused", "incomplete", "canceled")
"""As every vendor's are told, in the order in which a subscription is the principal one."""
_COLUMNS: Final = (
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
_OF_PAYMENTS: Final = {
    "ltv": "CASE WHEN max(worth IS NULL) THEN NULL ELSE sum(worth) / {unit} END",
    "payments": "count(*)",
    "first_paid_at": "min(paid_at)",
    "last_paid_at": "max(paid_at)",
}
_UNPAID: Final = ("failed", "void", "open", "draft", "uncollectible", "pending", "canceled")

_OF_PRINCIPAL: Final = {
    "plan": "plan",
    "plan_interval": '"interval"',
    "subscription_status": "status",
    "trial_ends_at": "trial_ends_at",
    "canceled_at": "coalesce(cancel_requested_at, ended_at)",
    "seats": "quantity",
}
_IN_ALL: Final = (
    f"CASE WHEN max({IN_FORCE} AND worth IS NULL) THEN NULL ELSE sum(CASE WHEN {IN_FORCE} THEN worth ELSE 0 END) END"
)
"""Of all in force, or nothing where one of them cannot be told: a sum without it would be wrong, not low."""
_OF_ALL: Final = {
    "paying": f"max({IN_FORCE} AND coalesce(mrr, 0) > 0)",
    "past_due": "max(status = 'past_due')",
    "mrr": f"{_IN_ALL} / {{unit}}",
    "arr": f"{_IN_ALL} * 12 / {{unit}}",
}


def billing(value: Billing, facts: Facts) -> Relation:
    """Return who has the billing word's value."""
    if value.word in _OF_PAYMENTS:
        return _per_owner(_payments(facts), _OF_PAYMENTS[value.word], facts)
    rows = _subscriptions(facts)
    if value.word in _OF_ALL:
        return _per_owner(rows, _OF_ALL[value.word], facts)
    return _principal(rows, _OF_PRINCIPAL[value.word], facts)


def missing_rates(facts: Facts) -> list[str]:
    """Return the currencies in use that have no rate at the time they are asked for."""
    rows = [
        ("subscriptions", _subscriptions(facts), f"{IN_FORCE} AND mrr IS NOT NULL"),
        ("payments", _payments(facts), "amount IS NOT NULL"),
    ]
    found: set[str] = set()
    for table, sql, where in rows:
        foreign = f"SELECT EXISTS (SELECT 1 FROM {table} WHERE currency <> ?)"
        if not facts.past and not facts.conn.execute(foreign, (facts.money.currency,)).fetchone()[0]:
            continue  # as a rule: and what each row is worth need not be made out
        text = f"SELECT DISTINCT currency FROM ({sql.text}) WHERE worth IS NULL AND {where}"
        found |= {row[0] for row in facts.conn.execute(text, sql.params)}
    return sorted(found)


def _subscriptions(facts: Facts) -> Sql:
    """Return the subscriptions there are at the run's clock, as they were then, with what their MRR is worth."""
    columns = {name: historic("t", "subscription", name, facts) for name in _COLUMNS}
    facts.today("deleted subscriptions")
    if facts.past:  # known to end later: it was in force still, whatever it is called today
        status = columns["status"]
        columns["status"] = Sql(
            f"CASE WHEN {status.text} = 'canceled' AND t.ended_at > ? THEN 'active' ELSE {status.text} END",
            (*status.params, facts.as_of_us, *status.params),
        )
    chosen = ", ".join(f'{sql.text} AS "{name}"' for name, sql in columns.items())
    rows = (
        f"SELECT t.id, t.profile_id, t.company_id, t.started_at, {chosen} FROM subscriptions t "
        f"WHERE (t.deleted_at IS NULL OR t.deleted_at > ?) AND (t.started_at IS NULL OR t.started_at <= ?)"
        f"{facts.seen('t.stream_id')}"
    )
    params = (*(p for sql in columns.values() for p in sql.params), facts.as_of_us, facts.as_of_us)
    worth = _worth("mrr", "?", facts, at=(facts.as_of_us,))
    return Sql(f"SELECT s.*, {worth.text} AS worth FROM ({rows}) s", (*worth.params, *params))


def _payments(facts: Facts) -> Sql:
    """Return what was paid up to the run's clock, less what was given back, and what that is worth on its day."""
    facts.today("refunds")
    worth = _worth("(amount - coalesce(refunded, 0))", "paid_at", facts)
    states = ", ".join(f"'{state}'" for state in _UNPAID)
    return Sql(
        f"SELECT t.id, t.profile_id, t.company_id, t.amount, t.currency, t.paid_at, {worth.text} AS worth FROM payments t "
        f"WHERE (t.deleted_at IS NULL OR t.deleted_at > ?) AND t.paid_at <= ? AND coalesce(t.status, '') NOT IN ({states})"
        f"{facts.seen('t.stream_id')}",
        (*worth.params, facts.as_of_us, facts.as_of_us),
    )


def _worth(amount: str, when: str, facts: Facts, *, at: tuple[int, ...] = ()) -> Sql:
    """Return *amount* in minor units of the workspace's currency, NULL without a rate; no currency is the workspace's."""
    money = facts.money
    parts = ["WHEN coalesce(currency, ?) = ? THEN " + amount]
    params: list[Param] = [money.currency, money.currency]
    for currency, start, factor in money.factors():
        parts.append(f"WHEN currency = ? AND {when} >= ? THEN round({amount} * ?)")
        params += [currency, *at, start, factor]
    return Sql(f"CASE {' '.join(parts)} END", tuple(params))


def _principal(rows: Sql, column: str, facts: Facts) -> Relation:
    rank = " ".join(f"WHEN '{status}' THEN {n}" for n, status in enumerate(STATUSES))
    order = f"CASE status {rank} ELSE {len(STATUSES)} END, coalesce(worth, 0) DESC, coalesce(started_at, 0) DESC, id"

    def owners(owner: str, where: str) -> str:
        turn = f"row_number() OVER (PARTITION BY {owner} ORDER BY {order})"
        turns = f"SELECT {owner} AS o, {column} AS v, {turn} AS turn FROM ({rows.text}) WHERE {where}"
        return f"SELECT o, v FROM ({turns}) WHERE turn = 1"

    return _of_people(owners, rows.params, facts)


def _per_owner(rows: Sql, made: str, facts: Facts) -> Relation:
    value = made.replace("{unit}", f"{10**facts.money.digits}.0")

    def owners(owner: str, where: str) -> str:
        return f"SELECT {owner} AS o, {value} AS v FROM ({rows.text}) WHERE {where} GROUP BY {owner}"

    return _of_people(owners, rows.params, facts)


def _of_people(owners: Callable[[str, str], str], params: tuple[Param, ...], facts: Facts) -> Relation:
    """Return the owners' values as those of people: a company's for all of its people, else each one's own."""
    if facts.of_companies:
        return Relation(Sql(f"SELECT o AS p, v FROM ({owners('company_id', 'company_id IS NOT NULL')})", params))
    if facts.billing_of == "person":
        return Relation(Sql(f"SELECT o AS p, v FROM ({owners('profile_id', 'profile_id IS NOT NULL')})", params))
    facts.today("company")
    of_company = owners("company_id", "company_id IS NOT NULL")
    own = owners("profile_id", "profile_id IN (SELECT id FROM profiles WHERE company_id IS NULL)")
    text = (
        f"SELECT u.id AS p, c.v AS v FROM ({of_company}) c JOIN profiles u ON u.company_id = c.o "
        f"UNION ALL SELECT o AS p, v FROM ({own})"
    )
    return Relation(Sql(text, (*params, *params)))
