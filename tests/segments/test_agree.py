"""The engine and the slow reference give the same people, over random data and random expressions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_sets import FILES, company_texts, quantified, set_atoms
from random_traits import trait_atoms, traits_of
from reference import Reference
from smallworld import AS_OF, World, ago, definitions

from core.config.model import Partition, Place, Segment, Trait
from core.segments import parallel
from core.segments.definitions import Definitions
from core.segments.evaluate import evaluate
from core.segments.indexes import ensure_indexes
from core.store import Store

DAYS = st.sampled_from((1, 2, 7, 14, 30, 60))
NUMBERS = st.sampled_from((0, 1, 2, 3, 5, 9, 10, 12.5, 100, 900))
ORDERS = st.sampled_from(("==", "!=", "<", "<=", ">", ">="))
EQUALS = st.sampled_from(("==", "!="))
TEXTS = st.sampled_from(("pro", "Pro", "Ängel", "ängel", "a", "lead", "customer", "/pricing", "/docs/x"))
EVENTS = st.sampled_from(("Page Viewed", "Signed Up", "Order", "Never Sent"))
TIMES = st.integers(0, 70 * 24).map(lambda hours: ago(hours=hours)) | st.sampled_from(
    (ago(days=30), ago(days=7), ago(), ago(days=-1), ago(days=1), ago(hours=34), ago(hours=35), ago(hours=36))
)
UNITS = st.sampled_from(("day", "week", "month", "quarter", "year"))
MAYBE_TIME = st.none() | TIMES
PLACE = Place("tagalong.toml", 7, "segments")
NAMED: dict[str, str | Segment] = {
    "base": 'exists(country) or did("Order")',
    "hidden": Segment("hidden", 'not did("Order", last="7d")', place=PLACE, anonymous=True),
}
"""Segments that others name."""
PARTITIONS = {
    "p": Partition("p", {"high": "crm.score > 5", "some": 'did("Signed Up") or crm.score >= 0'}, place=PLACE, otherwise="rest")
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples, asked by two threads: each writes its world over the last."""
    path: Path = tmp_path_factory.mktemp("agree") / "tagalong.db"
    for name, text in FILES.items():
        (path.parent / name).write_text(text)
    with Store(path) as store, pytest.MonkeyPatch.context() as patch:
        store.conn.execute("PRAGMA synchronous = OFF")
        patch.setattr(parallel, "FROM_PEOPLE", 0)
        patch.setattr(parallel, "cores", lambda: 2)
        yield store


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    for n in range(draw(st.integers(1, 3))):
        world.companies.append(
            {
                "id": n + 1,
                "live": draw(st.sampled_from((1, 1, 0))),
                "employees": draw(st.none() | st.integers(0, 12)),
                "country": draw(st.sampled_from(("SE", "NO", None))),
            }
        )
    for n in range(draw(st.integers(1, 6))):
        world.person(
            email=draw(st.sampled_from((f"p{n}@example.com", "Å@example.com".lower(), None))),
            user_id=draw(st.sampled_from(("u1", None))),
            live=draw(st.sampled_from((1, 1, 1, 0))),
            company_id=draw(st.none() | st.integers(1, len(world.companies))),
            country=draw(st.sampled_from(("SE", "NO", None))),
            language=draw(st.sampled_from(("sv", "en", None))),
            lifecycle_stage=draw(st.none() | TEXTS),
            created_at=draw(MAYBE_TIME),
            timezone=draw(st.sampled_from((None, "Asia/Tokyo", "America/New_York", "Africa/Cairo", "nowhere"))),
        )
    people = st.integers(1, len(world.profiles))
    owner = st.fixed_dictionaries(
        {
            "profile_id": st.none() | people,
            "company_id": st.none() | st.integers(1, len(world.companies)),
            "deleted_at": st.none(),
        }
    )
    currency = st.sampled_from(("EUR", "EUR", "SEK", "USD", "GBP", None))
    subscription = st.fixed_dictionaries(
        {
            "status": st.sampled_from(("active", "active", "past_due", "trialing", "canceled", "paused")),
            "plan": st.none() | TEXTS,
            "interval": st.sampled_from(("month", "year", None)),
            "currency": currency,
            "quantity": st.none() | st.integers(0, 10),
            "mrr": st.none() | st.sampled_from((0, 900, 1000, 99_999)),
            "started_at": MAYBE_TIME,
            "trial_ends_at": MAYBE_TIME,
            "cancel_requested_at": MAYBE_TIME,
            "ended_at": MAYBE_TIME,
        }
    )
    payment = st.fixed_dictionaries(
        {
            "amount": st.sampled_from((100, 1000, 12_345)),
            "refunded": st.none() | st.just(100),
            "currency": currency,
            "status": st.sampled_from(("paid", "open", None)),
            "paid_at": MAYBE_TIME,
        }
    )
    world.subscriptions = [o | s for o, s in draw(st.lists(st.tuples(owner, subscription), max_size=5))]
    world.payments = [o | p for o, p in draw(st.lists(st.tuples(owner, payment), max_size=5))]
    questions = st.sampled_from(
        (("Onboarding", "role"), ("Onboarding", "size"), ("NPS", "Score"), ("Feedback", "CSAT of support"))
    )
    for profile_id, (survey, question), kind, at in draw(
        st.lists(st.tuples(people, questions, st.sampled_from(("score", "choice", "text", "boolean")), MAYBE_TIME), max_size=8)
    ):
        choice = draw(st.lists(TEXTS, max_size=2)) if kind == "choice" else None
        number = (
            draw(st.none() | st.integers(0, 10)) if kind == "score" else draw(st.integers(0, 1)) if kind == "boolean" else None
        )
        world.answers.append(
            {
                "profile_id": profile_id,
                "survey": survey,
                "question": question,
                "kind": kind,
                "answered_at": at,
                "number": number,
                "choice": None if choice is None else json.dumps(choice, ensure_ascii=False),
                "text": draw(TEXTS) if kind == "text" else None,
                "deleted_at": draw(st.sampled_from((None, None, 5))),
            }
        )
    contact = st.fixed_dictionaries(
        {
            "profile_id": people,
            "stage": st.none() | TEXTS,
            "score": st.none() | st.integers(0, 12),
            "vip": st.none() | st.booleans(),
            "seen_at": MAYBE_TIME,
            "tags": st.none() | st.lists(TEXTS | st.integers(0, 10) | st.none(), max_size=3),
            "$city": st.none() | TEXTS,
            "iso": st.sampled_from(("2026-03-29T10:00:00Z", "2026-02-01", "soon", None)),
            "deleted_at": st.sampled_from((None, None, 5)),
        }
    )
    world.contacts = draw(st.lists(contact, max_size=5))
    properties = st.dictionaries(
        st.sampled_from(("path", "ms", "trial", "$browser", "at", 'odd "name"')),
        TEXTS
        | st.integers(0, 12)
        | st.floats(0, 12).map(lambda f: round(f, 1))
        | st.booleans()
        | st.none()
        | st.sampled_from(("2026-03-29T10:00:00+02:00",)),
        max_size=4,
    )
    busy = st.just(1) | people  # some have few events, one has many
    recent = TIMES | st.integers(0, 12 * 24).map(lambda hours: ago(hours=hours))
    for profile_id, name, at, stream, values in draw(
        st.lists(st.tuples(busy, EVENTS, recent, st.sampled_from(("web.events", "app.events")), properties), max_size=24)
    ):
        if name != "Never Sent":
            world.event(profile_id, name, at, stream, **values)
    return world


def history(world: World) -> st.SearchStrategy[list[tuple[str, int, str, Any, int]]]:
    """Return random changes of canonical fields; the newest one is what the row says."""
    fields = (
        ("profile", "country", st.sampled_from(("SE", "NO", None))),
        ("profile", "timezone", st.sampled_from(("Asia/Tokyo", "Africa/Cairo", None))),
        ("profile", "lifecycle_stage", st.none() | TEXTS),
        ("company", "employees", st.none() | st.integers(0, 12)),
        ("subscription", "status", st.sampled_from(("active", "canceled"))),
        ("subscription", "mrr", st.sampled_from((0, 1000))),
    )
    counts = {"profile": len(world.profiles), "company": len(world.companies), "subscription": len(world.subscriptions)}
    changes = [
        st.tuples(st.just(of), st.integers(1, counts[of]), st.just(name), values, TIMES)
        for of, name, values in fields
        if counts[of]
    ]
    return st.lists(st.one_of(changes), max_size=12, unique_by=lambda c: (c[0], c[1], c[2], c[4]))


# --- expressions -----------------------------------------------------------------------------------------------------


def _windows(draw: st.DrawFn, *, sources: bool = True) -> str:
    a, b = sorted((draw(DAYS), draw(DAYS)))
    source = draw(st.sampled_from(("", "", ', source="web"', ', source="app"'))) if sources else ""
    span = draw(
        st.sampled_from(
            (
                "",
                "",
                f', last="{a}d"',
                ', since="2026-03-01"',
                ', until=date("2026-03-29")',
                f', between_ago=("{b + 1}d", "{a}d")',
                f', during=this("{draw(UNITS)}")',
                f', during=previous("{draw(UNITS)}")',
                f', during=previous("month"), last="{b}d"',
            )
        )
    )
    return span + source


def _filters(draw: st.DrawFn) -> str:
    n, text = draw(NUMBERS), draw(TEXTS)
    return draw(
        st.sampled_from(
            (
                "",
                "",
                f', path="{text}"',
                f", ms={n}",
                ", trial=True",
                f", where=ms > {n}",
                f', where=path.startswith("{text[:2]}")',
                f', where=not (ms <= {n} or path == "{text}")',
                f', where=prop("$browser") != "{text}"',
                ", where=missing(path)",
                f', where=path in ["{text}", "a"] and exists(ms)',
                ", where=trial",
                ', where=at > date("2026-03-29")',
                f""", where=prop('odd "name"') == "{text}\"""",
                f", where=0 < ms < {n}",
                f', path="a", where=prop("ms") != {n}',
            )
        )
    )


def _sequences(draw: st.DrawFn) -> str:
    """Return a sequence of two to five steps, some of them absent, some with a filter of their own."""
    plain = draw(st.integers(0, 3)) > 0  # with filters on all of it few are ever true
    often = ("Page Viewed", "Signed Up", "Order")
    events = st.sampled_from(often) if plain else EVENTS
    steps = [f'"{draw(events)}"']
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 2, 3, 4)))):
        event = f'"{draw(events)}"{"" if plain else draw(st.sampled_from(("", "", ", ms=5", ", where=exists(path)")))}'
        steps.append(draw(st.sampled_from((f"did({event})", f"did({event})", f"without({event})"))))
    within = draw(st.sampled_from(("", "", ', within="1d"', ', within="7d"', ', within="30d"', ', within="60d"')))
    extra = draw(st.sampled_from(("", "", "", ', start="last"', ', same="path"', ', same="ms", start="last"', ", same=trial")))
    return f"sequence({', '.join(steps)}{within}{extra}{'' if plain else _filters(draw) + _windows(draw)})"


@st.composite
def atoms(draw: st.DrawFn) -> str:
    n, m, days, order, equal, text, event = (draw(s) for s in (NUMBERS, NUMBERS, DAYS, ORDERS, EQUALS, TEXTS, EVENTS))
    passing, span, sequence = _filters(draw), _windows(draw), _sequences(draw)
    events, of = f'"{event}"{passing}{span}', f'"{event}", "ms"{span}'
    unit = draw(UNITS)
    case = draw(st.sampled_from(("", ", case=True")))
    texts = draw(
        st.sampled_from(
            ("lifecycle_stage", "crm.stage", "crm.contacts.tags", 'field("crm.contacts", "$city")', "plan", "email")
        )
    )
    numbers = draw(
        st.sampled_from(
            (
                "crm.score",
                "company.employees",
                "mrr",
                "arr",
                "ltv",
                "seats",
                "nps",
                "csat",
                f"count({events})",
                f"days_active({events})",
                f"sum({of})",
                f"avg({of})",
                f"min({of})",
                f"max({of})",
                f"distinct({of})",
                f"median({of})",
                'answer("Onboarding", "size")',
                "crm.tags",
            )
        )
    )
    times = draw(
        st.sampled_from(("created_at", "crm.seen_at", "crm.iso", "trial_ends_at", "canceled_at", f"first_time({events})"))
    )
    other, ever = _windows(draw), _windows(draw, sources=False)
    any_ = draw(st.sampled_from(("", ", any=True")))
    question = draw(st.sampled_from(("role", "size")))
    return draw(
        st.sampled_from(
            (
                f"did({events})",
                f"did({events})",
                f"last_event({events})",
                f"last_event({events})",
                sequence,
                sequence,
                f'regularly("{event}", {days % 3 + 1}, of={days % 3 + 2}, every="{days}d"{passing}{span})',
                f'stopped("{event}", "{days}d"{passing}{span})',
                f'restarted("{event}", "{days}d"{passing}{span})',
                f'during({times}, this("{unit}"))',
                f'during({times}, previous("{unit}"))',
                f"{numbers} {order} {n}",
                f"{numbers} {order} {n}",
                f"{n} < {numbers} <= {m}",
                f'count({events}) > count("Order"{other})',
                f"mrr {order} crm.score",
                f"{n} != {numbers} < {m}",
                f'{texts} {equal} "{text}"',
                f'{texts} in ["{text}", "a"]',
                f'{texts} not in ["{text}"]',
                f'{texts}.contains("{text[:1]}"{case})',
                f'{texts}.startswith("{text}"{case})',
                f'{texts}.endswith("{text[-1:]}"{case})',
                f'{texts}.matches("{text[:1]}.*[a-z]$"{case})',
                f"exists({texts})",
                f"missing({numbers})",
                f"exists({times})",
                f'within_last({times}, "{days}d")',
                f'more_than_ago({times}, "{days}d")',
                f'within_next({times}, "{days}d")',
                f'between_ago({times}, "{days + 1}d", "1d")',
                f'{times} {order} date("2026-03-{days % 28 + 1:02}")',
                'country == "SE"',
                'country != "NO"',
                'country in ["SE", "NO"]',
                'language == "sv"',
                'company.country == "SE"',
                "paying",
                "paying == False",
                "past_due",
                "not paying",
                'subscription_status == "canceled"',
                f'plan_interval {equal} "year"',
                f'answered("Onboarding"{ever})',
                f'answer("Onboarding", "{question}"{any_}) {equal} "{text}"',
                f'answer("Onboarding", "size"{any_}) {order} {n}',
                f'exists(answer("Onboarding", "{question}"{any_}))',
                'answer("Onboarding", "role") == True',
                "crm.vip",
                "crm.vip != True",
                'segment("base")',
                'segment("hidden")',
                f'partition("p") {equal} "high"',
                'partition("p") in ["high", "rest"]',
                f"first_time({events}) < created_at",
                f"crm.score {order} company.employees",
            )
        )
    )


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Conditions put together by `and`, `or`, `not`, and by the company's users."""
    return st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        inner.map("(not {})".format),
        quantified(inner),
    )


EXPRESSIONS = st.recursive(atoms() | set_atoms(), joined, max_leaves=4)


# shrinking such a case takes minutes: add Phase.shrink to look closer at a failure
def drawn(data: st.DataObject, texts: list[str], folder: Path) -> Definitions:
    """Return segments of *texts* among those that they may name, in a workspace set up in any way."""
    zones = st.sampled_from((None, None, ZoneInfo("America/New_York"), "person"))
    segments: dict[str, str | Segment] = {
        f"s{n}": Segment(f"s{n}", text, place=PLACE, timezone=data.draw(zones)) for n, text in enumerate(texts)
    }
    segments |= NAMED | {
        "staff": 'email.startswith("p0@")',
        "accounts": Segment("accounts", data.draw(company_texts(atoms())), place=PLACE, of="company"),
        "big": Segment("big", "company.employees >= 5", place=PLACE, of="company"),
    }
    return definitions(
        segments,
        folder=folder,
        partitions=PARTITIONS,
        exclude=data.draw(st.sampled_from((None, "staff"))),
        billing_of=data.draw(st.sampled_from(("company", "person"))),
        week_start=data.draw(st.sampled_from(("monday", "sunday", "saturday"))),
    )


def hold_to_the_reference(data: st.DataObject, store: Store, world: World, defined: Definitions, *, indexed: bool) -> None:
    """Hold that the engine finds the people whom the reference finds, now or at a past time, for every set."""
    world.history = data.draw(history(world))
    past = data.draw(st.booleans())
    as_of = AS_OF - timedelta(days=data.draw(st.sampled_from((1, 7, 20)))) if past else AS_OF
    world.write(store)
    if indexed:
        ensure_indexes(store, defined)

    found = evaluate(store, defined, as_of=as_of)

    reference = Reference(world, defined, as_of, past=past)
    assert {} == found.failed
    for name in defined.sets:
        assert sorted(reference.members(name)) == list(found.sets[name]), name


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.reuse, Phase.generate))
@given(data=st.data(), world=worlds(), texts=st.lists(EXPRESSIONS, min_size=4, max_size=8), indexed=st.booleans())
def test_the_engine_and_the_reference_agree(
    shared: Store, data: st.DataObject, world: World, texts: list[str], indexed: bool
) -> None:
    """Same people for every segment, with side columns and without."""
    hold_to_the_reference(data, shared, world, drawn(data, texts, shared.path.parent), indexed=indexed)


COMPUTED = st.recursive(trait_atoms() | trait_atoms() | atoms(), joined, max_leaves=3)
QUINTILES = ("recency_quintile", "frequency_quintile", "monetary_quintile")


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.reuse, Phase.generate))
@given(data=st.data(), world=worlds(), texts=st.lists(COMPUTED, min_size=4, max_size=8), indexed=st.booleans())
def test_computed_values_agree_with_the_reference(
    shared: Store, data: st.DataObject, world: World, texts: list[str], indexed: bool
) -> None:
    """Traits that name traits, segments and groups: same people."""
    segments: dict[str, str | Segment] = {f"s{n}": text for n, text in enumerate(texts)}
    built_in = {
        "recency": Trait("recency", built_in="recency", place=PLACE),
        "quintile": Trait("quintile", built_in=data.draw(st.sampled_from(QUINTILES)), place=PLACE),
        "value": Trait("value", built_in="lifetime_value", gross_margin=0.8, expected_months=30, place=PLACE),
    }
    defined = definitions(
        segments | NAMED,
        partitions=PARTITIONS,
        traits=data.draw(traits_of()) | built_in,
        billing_of=data.draw(st.sampled_from(("company", "person"))),
    )
    hold_to_the_reference(data, shared, world, defined, indexed=indexed)
