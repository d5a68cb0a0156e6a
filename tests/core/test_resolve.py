"""Who is the same person: joins, splits, claims, blocks, companies, and what is then known of each."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.pulled import CONTACT, World, contact, stream

from core.contract import Amount, Category, Kind, Merge, Money, Page, Stream, Trust
from core.errors import ConfigError
from core.pushing import reach
from core.store.identity import bury, is_unresolved
from core.store.people import describe_person, find_profiles
from core.store.sources import bind_account, rebind, stream_id

CUSTOMER: dict[str, Any] = {"identifiers": {"customer_id": "id", "email": "email", "user_id": "user"}}
VISIT: dict[str, Any] = {
    "identifiers": {"user_id": "user", "email": "email", "anon": "anon"}, "fields": {"name": "event", "time": "at"},
}  # fmt: skip


def visit(id_: object, **fields: Any) -> dict[str, Any]:
    return {"id": str(id_), "event": "Seen", "at": "2026-01-01", **fields}


class Tools(World):
    """A CRM, a billing tool and a web tool whose lists a test fills."""

    def __init__(self, path: Path) -> None:
        self.contacts: list[dict[str, Any]] = []
        self.customers: list[dict[str, Any]] = []
        self.visits: list[dict[str, Any]] = []
        fields = {"first_name": "name", "country": "country", "owner": "owner"}
        company = {"company.name": "company", "company.domain": "domain"}
        super().__init__(
            path,
            crm=(Category.CRM, [stream("contacts", lambda: self.contacts, size=50, fields=fields | company, **CONTACT)]),
            billing=(Category.BILLING, [stream("customers", lambda: self.customers, size=50, fields=fields, **CUSTOMER)]),
            web=(Category.ANALYTICS, [stream("visits", lambda: self.visits, Kind.EVENT, size=50, **VISIT)]),
        )

    def profile(self, name: str) -> int | None:
        """The profile of `contacts:1` or its like."""
        table, ref = name.split(":")
        sql = "SELECT s.profile_id FROM subjects s JOIN streams t ON t.id = s.stream_id WHERE t.name = ? AND s.ref = ?"
        found: int | None = self.one(sql, table, ref)
        return found

    def check(self) -> None:
        """What must hold after every resolve: rows follow their subjects, and one key identifier is one profile."""
        for table, key, of in (
            ("crm__contacts", "key", "contacts"), ("billing__customers", "key", "customers"),
            ("profile_rows", "record_key", None),
        ):  # fmt: skip
            where = "t.stream_id = s.stream_id" if of is None else f"s.stream_id = (SELECT id FROM streams WHERE name = '{of}')"
            exists = self.rows("SELECT 1 FROM sqlite_master WHERE name = ?", table)
            if exists:
                join = f"{table} t JOIN subjects s ON s.ref = t.{key} AND {where}"
                sql = f"SELECT count(*) FROM {join} WHERE t.profile_id IS NOT s.profile_id"
                assert 0 == self.one(sql), table
        assert 0 == self.one(
            "SELECT count(*) FROM events e JOIN subjects s ON s.id = e.subject_id WHERE e.profile_id IS NOT s.profile_id"
        )
        assert 0 == self.one("SELECT count(*) FROM subjects WHERE dirty = 1")
        assert [] == self.rows(
            "SELECT l.identifier_id FROM subject_identifiers l JOIN subjects s ON s.id = l.subject_id AND s.live = 1 "
            "AND s.trust = 'key' JOIN identifiers i ON i.id = l.identifier_id AND i.blocked_at IS NULL AND i.is_company = 0 "
            "WHERE s.profile_id IS NOT i.profile_id"
        )
        assert [] == self.rows("SELECT profile_id FROM subjects WHERE profile_id IS NOT NULL EXCEPT SELECT id FROM profiles")


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path / "store.db")


def test_who_was_pulled_when_another_tool_started_as_new_is_resolved(tools: Tools) -> None:
    """Dropping its rows settles what all tools have brought: the new people of the others would belong to nobody for good."""
    tools.contacts, tools.customers = [contact(1, "ann@example.com")], [contact(7, "bo@example.com")]
    tools.pull("crm")
    tools.pull("billing")
    rebind(tools.store, "billing")
    tools.resolve()

    assert {frozenset({"crm.contacts:1"})} == tools.groups()


def test_there_is_something_to_resolve_until_it_is_resolved(tools: Tools) -> None:
    """Else an evaluation would be shared that lacks who has come, or has who is gone."""
    tools.contacts = [contact(1, "ann@example.com")]
    assert not is_unresolved(tools.store.conn)
    tools.pull("crm")
    assert is_unresolved(tools.store.conn)
    tools.resolve()
    assert not is_unresolved(tools.store.conn)
    with tools.store.atomic() as conn:
        bury(conn, stream_id(tools.store, "crm", "contacts"), ["1"])
    assert is_unresolved(tools.store.conn)


def test_keys_join_records_of_different_tools(tools: Tools) -> None:
    """By address, whatever its case; "42" here is not "42" there; a third record may join two that were apart."""
    tools.contacts = [contact(42, "Ann@Example.com"), contact(2, "ann@work.example.com")]
    tools.customers = [contact(42, "bo@example.com"), contact(7, "ann@example.com", user="u1")]
    tools.everything()
    assert {
        frozenset({"crm.contacts:42", "billing.customers:7"}), frozenset({"crm.contacts:2"}),
        frozenset({"billing.customers:42"}),
    } == tools.groups()  # fmt: skip
    before = tools.profile("contacts:42"), tools.profile("contacts:2")
    tools.customers.append(contact(8, "ann@work.example.com", user="u1"))
    report = tools.everything()
    tools.check()

    assert frozenset({"crm.contacts:42", "crm.contacts:2", "billing.customers:7", "billing.customers:8"}) in tools.groups()
    assert (1, min(before)) == (report.merged, tools.profile("contacts:2"))
    assert [(max(before), min(before))] == tools.rows("SELECT old_id, new_id FROM profile_aliases")
    assert 2 == tools.one("SELECT count(*) FROM profiles")


def test_a_split_leaves_the_id_with_the_oldest_subject(tools: Tools) -> None:
    """The other part is a new profile; nothing of the link stays."""
    tools.contacts = [contact(1, "a@example.com")]
    tools.everything()
    tools.customers = [contact(7, "a@example.com")]
    tools.everything()
    profile = tools.profile("contacts:1")
    tools.customers = [contact(7, "b@example.com")]
    tools.everything()
    tools.check()
    assert (profile, False) == (tools.profile("contacts:1"), profile == tools.profile("customers:7"))
    assert [(profile,)] == tools.rows("SELECT profile_id FROM identifiers WHERE value = 'a@example.com'")


def test_a_changed_address_keeps_the_profile(tools: Tools) -> None:
    """And somebody else may take the old one."""
    tools.contacts = [contact(1, "old@example.com")]
    tools.everything()
    profile = tools.profile("contacts:1")
    tools.contacts = [contact(1, "new@example.com"), contact(2, "old@example.com")]
    tools.everything()
    tools.check()
    assert profile == tools.profile("contacts:1") != tools.profile("contacts:2")
    assert ("new@example.com",) == tools.rows("SELECT email FROM profiles WHERE id = ?", profile)[0]


def test_claims_attach_and_never_join(tools: Tools) -> None:
    """An event goes to the first identifier that a key knows; a stranger's is anonymous until somebody is known by it."""
    tools.contacts = [contact(1, "a@example.com"), contact(2, "b@example.com")]
    tools.visits = [
        visit(1, email="a@example.com", anon="x"), visit(2, anon="x"), visit(3, user="u9", email="b@example.com"),
        visit(4, user="u9"),
    ]  # fmt: skip
    tools.everything()
    tools.check()
    a, b = tools.profile("contacts:1"), tools.profile("contacts:2")
    found = dict(tools.rows("SELECT key, profile_id FROM events"))
    assert a != b
    assert (a, b) == (found["1"], found["3"])
    assert len({a, b, found["2"], found["4"]}) == 4  # neither x nor u9 is known by a key
    assert [(None, None)] == tools.rows("SELECT email, user_id FROM profiles WHERE id = ?", found["4"])

    tools.customers = [contact(7, "c@example.com", user="u9")]
    report = tools.everything()
    tools.check()
    c = tools.profile("customers:7")
    now = dict(tools.rows("SELECT key, profile_id FROM events"))
    assert (found["4"], c, c, a) == (c, now["3"], now["4"], now["1"])  # the anonymous profile became the person's
    assert 0 == report.merged
    assert 1 == tools.one("SELECT live FROM profiles WHERE id = ?", found["2"])  # events alone keep an anonymous one


def test_a_claiming_profile_stream_sets_no_address(tmp_path: Path) -> None:
    """Anything that a visitor can type attaches, and no more; `trust` says otherwise."""
    record = contact(1, "ann@example.com", name="Ann")
    for trust, expected in ((None, None), (Trust.KEY, "ann@example.com")):
        made = stream("people", [record], fields={"email": "email", "first_name": "name"}, trust=trust, **CONTACT)
        world = World(tmp_path / f"{trust}.db", forms=(Category.SURVEY, [made]))
        world.everything()
        assert [("Ann", expected)] == world.rows("SELECT first_name, email FROM profiles")


def test_a_phone_never_joins(tmp_path: Path) -> None:
    """Families and offices share one."""
    records = [contact(1, phone="+46 1"), contact(2, phone="+46 1")]
    made = stream("people", records, fields={"phone": "phone"}, identifiers={"phone": "phone"})
    world = World(tmp_path / "store.db", crm=(Category.CRM, [made]))
    world.everything()
    assert 2 == len(world.groups())


@pytest.mark.parametrize("together", [True, False], ids=["at once", "one by one"])
def test_a_value_that_would_join_too_many_is_blocked(tools: Tools, together: bool) -> None:
    """Six addresses under one user id of one connection; it joins nobody anywhere, and is freed when the cause is gone."""
    records = [contact(i, f"p{i}@example.com", user="shared") for i in range(6)]
    tools.contacts = [contact(0, "p0@example.com")]
    blocked = 0
    for count in [6] if together else range(1, 7):
        tools.customers = records[:count]
        blocked += tools.everything().blocked
        tools.check()
    assert (1, 6) == (blocked, len(tools.groups()))
    assert [("user_id", "shared", None)] == tools.rows(
        "SELECT kind, value, profile_id FROM identifiers WHERE blocked_at IS NOT NULL"
    )
    assert {None} == {user for (user,) in tools.rows("SELECT user_id FROM profiles")}

    tools.customers[5] = contact(5, "p5@example.com", user="own")
    assert 0 == tools.everything().blocked
    tools.check()
    assert 2 == len(tools.groups())
    assert 0 == tools.one("SELECT count(*) FROM identifiers WHERE blocked_at IS NOT NULL")


def test_three_user_ids_under_one_address_block_it(tools: Tools) -> None:
    """Two may be one person's; five addresses too."""
    tools.customers = [contact(i, "info@example.com", user=f"u{i}") for i in range(2)]
    tools.everything()
    assert 1 == len(tools.groups())
    tools.customers.append(contact(2, "info@example.com", user="u2"))
    assert 1 == tools.everything().blocked
    assert 3 == len(tools.groups())


def test_one_persons_many_addresses_block_nothing(tmp_path: Path) -> None:
    """A merged contact may hold ten, and be named by other records."""
    record = {"id": "1", "emails": [f"a{i}@example.com" for i in range(10)]}
    contacts = stream("contacts", [record], identifiers={"contact_id": "id", "email": "emails"})
    deals = stream(
        "deals", [{"id": f"d{i}", "contact": "1"} for i in range(4)], Kind.DEAL, identifiers={"contact_id": "contact"}
    )
    world = World(tmp_path / "store.db", crm=(Category.CRM, [contacts, deals]))
    assert 0 == world.everything().blocked
    assert 1 == len(world.groups())


def test_fields_come_from_the_best_source_then_the_latest(tools: Tools) -> None:
    """Field by field, empty values never win; a changed priority rearranges what is stored."""
    tools.contacts = [
        contact(1, "a@example.com", name="Ann", owner=None),
        contact(2, "a@example.com", name="Anna", country="SE"),
    ]
    tools.customers = [contact(7, "a@example.com", name="A. Svensson", country="Finland", owner="Bo")]
    tools.everything()
    tools.later(hours=1)
    tools.contacts[0] = contact(1, "a@example.com", name="Annie")
    tools.everything()
    sql = "SELECT first_name, country, owner FROM profiles"
    assert ("Annie", "SE", "Bo") == tools.one(sql)
    tools.prefer("billing", "crm")
    tools.resolve()
    assert ("A. Svensson", "FI", "Bo") == tools.one(sql)


def test_every_change_of_a_field_is_history(tools: Tools) -> None:
    """From the first day; an unchanged one adds nothing."""
    tools.contacts = [contact(1, "a@example.com", country="Sverige")]
    tools.everything()
    start = tools.at
    tools.later(days=1)
    tools.contacts = [contact(1, "a@example.com", country="Norge")]
    tools.everything()
    tools.later(days=1)
    tools.contacts = [contact(1, "a@example.com", country="NO")]
    report = tools.everything()
    tools.contacts = [contact(1, "a@example.com")]
    tools.later(days=1)
    tools.everything()

    assert 0 == report.changed
    history = tools.rows("SELECT value, from_at FROM field_history WHERE field = 'country' ORDER BY from_at")
    day = 86_400_000_000
    first = history[0][1]
    assert [("SE", 0), ("NO", day), (None, 3 * day)] == [(value, at - first) for value, at in history]
    assert start.timestamp() * 1e6 == first


def test_resolving_twice_changes_nothing(tools: Tools) -> None:
    """Nothing dirty, nothing written."""
    tools.contacts = [contact(i, f"p{i % 3}@example.com") for i in range(6)]
    tools.everything()
    before = tools.store.conn.total_changes
    report = tools.resolve()
    assert (0, 0, 0) == (report.changed, report.merged, report.blocked)
    assert before == tools.store.conn.total_changes


def test_companies_are_known_by_domain_then_id_then_name(tmp_path: Path) -> None:
    """A company's own record links its domain and id; a bare name counts only within its connection, and joins no people."""
    companies = [{"id": "c1", "domain": "https://www.Acme.example.com/about", "name": "Acme"}, {"id": "c2", "name": "Acme"}]
    contacts = [
        contact(1, "a@example.com", company="c1"), contact(2, "b@example.com", domain="acme.example.com"),
        contact(3, "c@example.com", firm="Beta  AB"), contact(4, "d@example.com", firm="beta ab"), contact(5, "e@example.com"),
    ]  # fmt: skip
    options: dict[str, Any] = {
        "identifiers": {"contact_id": "id", "email": "email", "company_id": "company"},
        "fields": {"company.domain": "domain", "company.name": "firm"},
    }
    firms: dict[str, Any] = {"identifiers": {"company_id": "id"}, "fields": {"domain": "domain", "name": "name"}}
    other = [contact(9, "x@example.com", firm="Beta AB"), contact(10, "y@example.com", domain="ACME.example.com")]
    world = World(
        tmp_path / "store.db",
        crm=(Category.CRM, [stream("contacts", contacts, **options), stream("companies", companies, Kind.COMPANY, **firms)]),
        billing=(Category.BILLING, [stream("customers", other, **options)]),
    )
    world.everything()
    of = dict(world.rows("SELECT email, company_id FROM profiles"))
    a, b, c, d, e, x, y = (of[f"{name}@example.com"] for name in "abcdexy")
    assert a == b == y
    assert c == d
    assert len({a, c, x}) == 3
    assert e is None
    assert 7 == len(world.groups())
    names = dict(world.rows("SELECT id, name FROM companies"))
    assert "Acme" == names[a]
    assert 4 == len(names)  # c2 has no domain, and its name alone is not known by: it has an id
    assert [(a,)] == world.rows("SELECT DISTINCT company_id FROM crm__contacts WHERE key IN ('1', '2')")


def test_rows_of_a_person_have_the_persons_company(tmp_path: Path) -> None:
    """Unless they name one of their own; when the person's changes, theirs does."""
    contacts = [contact(1, "a@example.com", company="c1")]
    deals = [{"id": "d1", "contact": "1"}, {"id": "d2", "contact": "1", "company": "c9"}]
    identifiers = {"contact_id": "id", "email": "email", "company_id": "company"}
    world = World(
        tmp_path / "store.db",
        crm=(
            Category.CRM,
            [
                stream("contacts", lambda: contacts, identifiers=identifiers),
                stream("deals", deals, Kind.DEAL, identifiers={"contact_id": "contact", "company_id": "company"}),
            ],
        ),
    )
    world.everything()
    company = dict(world.rows("SELECT value, company_id FROM identifiers WHERE kind = 'crm.company_id'"))
    assert [company["c1"], company["c9"]] == [c for (c,) in world.rows("SELECT company_id FROM deals ORDER BY key")]
    contacts[0] = contact(1, "a@example.com", company="c2")
    world.everything()
    moved = world.one("SELECT company_id FROM identifiers WHERE value = 'c2'")
    assert [moved, company["c9"]] == [c for (c,) in world.rows("SELECT company_id FROM deals ORDER BY key")]
    assert {(company["c1"], 0), (company["c9"], 1), (moved, 1)} == set(world.rows("SELECT id, live FROM companies"))


def test_a_deal_that_is_given_to_somebody_else_takes_nobody_along(tmp_path: Path) -> None:
    """Though its record is the oldest of the person's, the profile stays with the person."""
    contacts, deals = [contact(1, "a@example.com")], [{"id": "d1", "contact": "1"}]
    streams = [
        stream("deals", lambda: deals, Kind.DEAL, identifiers={"contact_id": "contact"}),
        stream("contacts", lambda: contacts, **CONTACT),
    ]
    world = World(tmp_path / "store.db", crm=(Category.CRM, streams))
    world.everything()
    before = world.one("SELECT profile_id FROM crm__contacts")
    deals[0] = {"id": "d1", "contact": "2"}
    contacts.append(contact(2, "b@example.com"))
    world.everything()
    assert before == world.one("SELECT profile_id FROM crm__contacts WHERE key = '1'")
    assert (
        world.one("SELECT profile_id FROM deals") == world.one("SELECT profile_id FROM crm__contacts WHERE key = '2'") != before
    )


def test_a_person_is_found_and_described(tools: Tools) -> None:
    """By id, address in any case, user id, or kind and value; an old id gives the profile that it was joined to."""
    tools.contacts = [contact(1, "Ann@example.com", name="Ann", score=3)]
    tools.customers = [contact(7, "bo@example.com", user="u1")]
    tools.visits = [visit(1, user="u1", path="/x")]
    tools.everything()
    tools.customers.append(contact(8, "ann@example.com", user="u1"))
    tools.everything()
    profile = tools.profile("contacts:1")
    (old,) = [row[0] for row in tools.rows("SELECT old_id FROM profile_aliases")]
    for who in (
        "ANN@example.com",
        "u1",
        "crm.contact_id:1",
        "email:Ann@Example.com",
        str(profile),
        str(old),
        " bo@example.com",
    ):
        assert [profile] == find_profiles(tools.store, who), who
    assert [] == find_profiles(tools.store, "nobody@example.com")
    found = describe_person(tools.store, profile)
    assert ("ann@example.com", "u1", "Ann") == tuple(found["fields"][name] for name in ("email", "user_id", "first_name"))
    assert {"billing.customers": ["7", "8"], "crm.contacts": ["1"]} == {
        name: [record["key"] for record in records] for name, records in found["records"].items()
    }
    assert {"Seen": 1} == found["events"]["counts"]
    assert [old] == found["joined"]


def test_a_person_s_money_is_told_in_major_units(tmp_path: Path) -> None:
    """With its currency, the workspace's where none is said: EUR 10.50 is no 1,050."""
    records = [
        {"id": str(n), "who": "ann@example.com", "paid": paid, "in": currency}
        for n, (paid, currency) in enumerate([("10.50", "EUR"), ("1050", "JPY"), ("7.25", "")])
    ]

    def paid(record: Mapping[str, Any]) -> Money | Amount:
        amount = Decimal(record["paid"])
        return Money.of_major(amount, record["in"]) if record["in"] else Amount(amount)

    made = stream("payments", records, Kind.PAYMENT, size=9, identifiers={"email": "who"}, fields={"amount": paid})
    world = World(tmp_path / "store.db", shop=(Category.BILLING, [made]))
    world.workspace = replace(world.workspace, currency="BHD")
    world.register()
    world.everything()
    (profile,) = find_profiles(world.store, "ann@example.com")
    told = describe_person(world.store, profile)["rows"]["payment"]
    assert [(10.5, "EUR"), (1050, "JPY"), (7.25, "BHD")] == [(row["amount"], row["currency"]) for row in told]
    assert [(1050,), (1050,), (7250,)] == world.rows("SELECT amount FROM payments ORDER BY key")


def test_another_account_is_refused_and_rebind_starts_as_new(tools: Tools) -> None:
    """A test key swapped for a live one inherits nothing: no row, no checkpoint, no profile id by the vendor's own ids."""
    bind_account(tools.store, "crm", "portal 1")
    bind_account(tools.store, "crm", "portal 1")
    tools.contacts = [contact(1, "a@example.com")]
    tools.customers = [contact(7, "b@example.com")]
    tools.everything()
    profile = tools.profile("contacts:1")
    with pytest.raises(ConfigError, match="tagalong rebind crm"):
        bind_account(tools.store, "crm", "portal 2")
    rebind(tools.store, "crm")
    bind_account(tools.store, "crm", "portal 2")
    tools.register()
    assert [] == tools.rows("SELECT * FROM checkpoints WHERE stream_id = ?", stream_id(tools.store, "crm", "contacts"))
    tools.contacts = [contact(1, "z@example.com")]
    tools.everything()
    tools.check()
    assert profile != tools.profile("contacts:1")
    assert [(0,)] == tools.rows("SELECT live FROM profiles WHERE id = ?", profile)
    assert 2 == tools.one("SELECT count(*) FROM profiles WHERE live = 1")


def test_a_small_change_costs_the_same_whatever_the_size_of_the_store(tmp_path: Path) -> None:
    """Counted in steps of SQLite's machine, so that a plan that reads a whole table is seen."""
    steps = {}
    for size in (100, 1000):
        tools = Tools(tmp_path / f"{size}.db")
        tools.contacts = [contact(i, f"p{i}@example.com", company=f"c{i // 2}") for i in range(size)]
        tools.customers = [contact(i, f"p{i}@example.com", user=f"u{i}") for i in range(size)]
        tools.visits = [visit(i, email=f"p{i % size}@example.com", anon=f"x{i}") for i in range(2 * size)]
        tools.everything()
        tools.contacts = [contact(1, "new@example.com", name="Ann", company="c1")]
        tools.customers = [contact(2, "p2@example.com", user="u3")]
        tools.visits = [visit(-1, anon="x5"), visit(-2, email="p7@example.com")]
        for name in tools.connections:
            tools.pull(name)
        count = 0

        def step() -> None:
            nonlocal count
            count += 1

        tools.store.conn.set_progress_handler(step, 10)
        tools.resolve()
        tools.store.conn.set_progress_handler(None, 0)
        tools.check()
        steps[size] = count
    assert steps[1000] < 1.5 * steps[100], steps


# --- the algebra

_SOME = st.one_of(st.none(), st.integers(0, 5))
_CONTACTS = st.lists(st.tuples(_SOME), max_size=6)
_CUSTOMERS = st.lists(st.tuples(_SOME, _SOME), max_size=6)
_VISITS = st.lists(st.tuples(_SOME, _SOME, _SOME), max_size=6)


def _filled(tools: Tools, contacts: Sequence[Any], customers: Sequence[Any], visits: Sequence[Any]) -> None:
    def mail(number: int | None) -> str | None:
        return None if number is None else f"e{number}@example.com"

    tools.contacts = [contact(i, mail(e)) for i, (e,) in enumerate(contacts)]
    tools.customers = [contact(i, mail(e), user=None if u is None else f"u{u}") for i, (e, u) in enumerate(customers)]
    tools.visits = [
        visit(i, user=None if u is None else f"u{u}", email=mail(e), anon=None if x is None else f"x{x}")
        for i, (u, e, x) in enumerate(visits)
    ]


def _state(tools: Tools) -> object:
    """Everything that must not depend on the order of arrival: who is together, and what is known of them."""
    named = {id_: (email, user) for id_, email, user in tools.rows("SELECT id, email, user_id FROM profiles WHERE live = 1")}
    groups: dict[int, list[str]] = {}
    for profile, ref in tools.rows("SELECT profile_id, stream_id || ':' || ref FROM subjects WHERE profile_id IS NOT NULL"):
        groups.setdefault(profile, []).append(ref)
    blocked = tools.rows("SELECT kind, value FROM identifiers WHERE blocked_at IS NOT NULL ORDER BY 1, 2")
    return sorted((sorted(refs), repr(named.get(profile))) for profile, refs in groups.items()), blocked


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(contacts=_CONTACTS, customers=_CUSTOMERS, visits=_VISITS, seed=st.integers(0, 10_000))
def test_resolving_does_not_depend_on_the_order_of_arrival(
    tmp_path_factory: Any, contacts: list[Any], customers: list[Any], visits: list[Any], seed: int
) -> None:
    """All at once, or one record at a time in any order with a resolve after each: the same people, the same blocks."""
    folder = tmp_path_factory.mktemp("order")
    at_once, step = Tools(folder / "a.db"), Tools(folder / "b.db")
    _filled(at_once, contacts, customers, visits)
    at_once.everything()
    at_once.check()
    steps = [(name, record) for name in ("contacts", "customers", "visits") for record in getattr(at_once, name)]
    random.Random(seed).shuffle(steps)
    owner = {"contacts": "crm", "customers": "billing", "visits": "web"}
    for name, record in steps:
        getattr(step, name).append(record)
        step.pull(owner[name])
        step.resolve()
    step.check()
    assert _state(at_once) == _state(step)
    at_once.store.close()
    step.store.close()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=st.tuples(_CONTACTS, _CUSTOMERS, _VISITS), after=st.tuples(_CONTACTS, _CUSTOMERS, _VISITS))
def test_resolving_changes_equals_resolving_anew(tmp_path_factory: Any, before: Any, after: Any) -> None:
    """Identifiers that move, come and go between records leave nothing behind."""
    folder = tmp_path_factory.mktemp("change")
    fresh, changed = Tools(folder / "a.db"), Tools(folder / "b.db")
    _filled(changed, *before)
    changed.everything()
    after = tuple((*new, *old[len(new) :]) for old, new in zip(before, after, strict=True))  # no record goes away
    _filled(changed, *after)
    changed.everything()
    changed.check()
    _filled(fresh, *after)
    fresh.everything()
    keyed = [
        sorted(sorted(name for name in group if "web." not in name) for group in world.groups()) for world in (fresh, changed)
    ]
    assert [g for g in keyed[0] if g] == [g for g in keyed[1] if g]
    events = "SELECT e.key, p.email, p.user_id FROM events e LEFT JOIN profiles p ON p.id = e.profile_id ORDER BY e.key"
    assert fresh.rows(events) == changed.rows(events)
    fresh.store.close()
    changed.store.close()


def test_a_long_chain_is_one_person(tmp_path: Path) -> None:
    """Two hundred records, each sharing one address with the next, in whatever order."""
    records = [{"id": str(i), "emails": [f"e{i}@example.com", f"e{i + 1}@example.com"]} for i in range(200)]
    random.Random(1).shuffle(records)
    made = stream("contacts", records, size=50, identifiers={"email": "emails"})
    world = World(tmp_path / "store.db", crm=(Category.CRM, [made]))
    world.everything()
    assert 1 == len(world.groups())


CHAINS = {
    "as it happened": [[Merge("1", "2")], [Merge("2", "3")]],
    "as it happened, at once": [[Merge("1", "2"), Merge("2", "3")]],
    "the last first": [[Merge("2", "3")], [Merge("1", "2")]],
    "the last first, at once": [[Merge("2", "3"), Merge("1", "2")]],
    "once more from the beginning": [[Merge("1", "2")], [Merge("2", "3")], [Merge("1", "2")]],
    "and what went before": [[Merge("2", "1")], [Merge("1", "2")], [Merge("2", "3")]],
}
"""Of three contacts the vendor made one, 3: by pages, in the order in which it tells so."""


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_a_merged_losers_address_names_the_winner(tmp_path: Path, chain: list[list[Merge]]) -> None:
    """Billing still has the old address; the vendor's merges bring the two together, in whatever order they are told."""
    given: list[Page] = [Page([contact(1, "old@example.com"), contact(2, "mid@example.com"), contact(3, "new@example.com")])]

    def pull(api: object, cursor: object, resume: object) -> Any:
        yield from given

    contacts: Stream = stream("contacts", (), pull=pull, **CONTACT)
    customers = stream("customers", [contact(7, "old@example.com")], **CUSTOMER)
    world = World(tmp_path / "store.db", crm=(Category.CRM, [contacts]), billing=(Category.BILLING, [customers]))
    world.everything()
    assert 3 == len(world.groups())
    given[:] = [Page([], merged=merges) for merges in chain]
    report = world.everything()
    assert {frozenset({"crm.contacts:3", "billing.customers:7"})} == world.groups()
    assert (2, "new@example.com") == (report.merged, world.one("SELECT email FROM profiles"))
    contacts_id = world.one("SELECT id FROM streams WHERE name = 'contacts'")
    assert {"1": "3", "2": "3"} == reach.merged_into(world.store.conn, contacts_id, ["1", "2", "3"])
