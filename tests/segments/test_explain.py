"""Why somebody is in a set: the same answer as evaluation's, what was seen, where it is from, and when it changes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_events import busy_world, moving_text
from random_sets import FILES
from smallworld import AS_OF, World, ago, definitions
from test_agree import EXPRESSIONS, PLACE, drawn, history, worlds

from core.clock import to_us
from core.config.model import Segment
from core.segments.definitions import Definitions
from core.segments.evaluate import Evaluation, evaluate
from core.segments.explain import Explanation, explain
from core.segments.explain_spoken import spoken
from core.segments.explain_tree import Node
from core.segments.indexes import ensure_indexes
from core.store import Store


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples: each writes its world over the last."""
    path: Path = tmp_path_factory.mktemp("explain") / "tagalong.db"
    for name, text in FILES.items():
        (path.parent / name).write_text(text)
    with Store(path) as store:
        store.conn.execute("PRAGMA synchronous = OFF")
        yield store


def leaves(node: Node) -> list[Node]:
    return [node] if not node.children else [leaf for child in node.children for leaf in leaves(child)]


def explained(store: Store, world: World, text: str, who: int, **options: Any) -> Explanation:
    """Return why *who* is in the segment `x` that *text* says."""
    world.write(store)
    return explain(store, definitions({"x": text} | options.pop("segments", {}), **options), "segment.x", who, as_of=AS_OF)


def is_in(person: dict[str, Any], name: str, sets: Definitions, found: Evaluation) -> bool:
    """Return whether somebody is in a set as evaluated; of companies, whether theirs is."""
    if sets.sets[name].of == "company":
        return bool(person["live"] and person["company_id"] and person["company_id"] in found.sets[name])
    return person["id"] in found.sets[name]


RANDOM = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.reuse, Phase.generate))


@RANDOM
@given(data=st.data(), world=worlds(), texts=st.lists(EXPRESSIONS, min_size=2, max_size=5), indexed=st.booleans())
def test_explain_and_evaluation_agree(
    shared: Store, data: st.DataObject, world: World, texts: list[str], indexed: bool
) -> None:
    """For everybody and every set, now and in the past; and nothing is left behind in the store."""
    world.history = data.draw(history(world))
    past = data.draw(st.booleans())
    as_of = AS_OF - timedelta(days=data.draw(st.sampled_from((1, 7, 20)))) if past else AS_OF
    sets = drawn(data, texts, shared.path.parent)
    world.write(shared)
    if indexed:
        ensure_indexes(shared, sets)

    found = evaluate(shared, sets, as_of=as_of)

    for name in sets.sets:
        for person in world.profiles:
            one = explain(shared, sets, name, person["id"], as_of=as_of)
            assert one.member == (one.live and is_in(person, name, sets, found)), (name, texts, person)
            if sets.sets[name].of == "person" and one.live and (one.known or sets.sets[name].anonymous) and not one.excluded:
                assert one.tree.holds == one.member
    assert 0 == shared.conn.execute("SELECT count(*) FROM temp.sqlite_master").fetchone()[0]


@RANDOM
@given(data=st.data(), world=worlds(), texts=st.lists(EXPRESSIONS, min_size=1, max_size=3))
def test_the_next_change_is_the_next(shared: Store, data: st.DataObject, world: World, texts: list[str]) -> None:
    """At that moment the answer is another, right before it is the same still; and where there is none it stays."""
    sets = drawn(data, texts, shared.path.parent)
    world.write(shared)
    later = sorted(
        timedelta(days=d, hours=h) for d, h in ((0, 1), (1, 14), (6, 1), (8, 1), (29, 14), (31, 1), (75, 1), (200, 1))
    )
    probes = {AS_OF + step: evaluate(shared, sets, as_of=AS_OF + step) for step in later}

    for name in sets.sets:
        for person in world.profiles:
            one = explain(shared, sets, name, person["id"], as_of=AS_OF)
            if not one.foreseen:
                continue
            for at, found in probes.items():
                if one.next is None or at < one.next.at:
                    assert is_in(person, name, sets, found) == one.member, (name, at, texts)
            if one.next is not None and one.next.holds is not None:
                assert one.next.holds == (not one.member)
                edge = evaluate(shared, sets, as_of=one.next.at, names=[name])
                before = evaluate(shared, sets, as_of=one.next.at - timedelta(microseconds=1), names=[name])
                told = (is_in(person, name, sets, edge), is_in(person, name, sets, before))
                assert (one.next.holds, one.member) == told, (name, texts)


@settings(RANDOM, max_examples=4)
@given(seed=st.integers(0, 2**32))
def test_nothing_changes_before_the_moment_that_is_told(shared: Store, seed: int) -> None:
    """Of whatever time alone may move: day after day, and more closely at first; where no change is told there is none."""
    chance = random.Random(seed)
    world, zones = busy_world(chance, 3), (None, ZoneInfo("America/New_York"), "person")
    segments = {f"s{n}": Segment(f"s{n}", moving_text(chance), place=PLACE, timezone=chance.choice(zones)) for n in range(6)}
    sets = definitions(segments)
    world.write(shared)
    steps = [
        *(timedelta(hours=hours) for hours in range(1, 50, 6)),
        *(timedelta(days=days, hours=3) for days in range(2, 62, 3)),
    ]
    probes = [(AS_OF + step, evaluate(shared, sets, as_of=AS_OF + step)) for step in steps]

    for name in sets.sets:
        for person in world.profiles:
            one = explain(shared, sets, name, person["id"], as_of=AS_OF)
            end = datetime.max.replace(tzinfo=UTC) if one.next is None else one.next.at
            told = [is_in(person, name, sets, found) for at, found in probes if at < end]
            assert set(told) <= {one.member}, (name, segments[name[8:]])
            if one.next is not None and one.next.holds is not None:
                edges = (one.next.at - timedelta(microseconds=1), one.next.at)
                there = [is_in(person, name, sets, evaluate(shared, sets, as_of=at, names=[name])) for at in edges]
                assert [one.member, one.next.holds] == there, segments[name[8:]]


# --- what is seen, and where it comes from -------------------------------------------------------------------------


def test_a_value_and_its_record(shared: Store) -> None:
    """A vendor's field: the stream, the record's key and what it says."""
    world = World()
    ann = world.person()
    world.contacts.append({"profile_id": ann, "stage": "lead"})
    one = explained(shared, world, 'crm.stage == "lead"', ann)

    (seen,) = one.tree.seen
    assert (True, "crm.stage", ("lead",)) == (one.member, seen.text, seen.values)
    assert [("crm.contacts", "1")] == [(source.stream, source.record) for source in seen.sources]


def test_events_are_counted_and_the_latest_is_named(shared: Store) -> None:
    """How many, which was the last, and when."""
    world = World()
    ann = world.person()
    for days in (2, 9, 50):
        world.event(ann, "Order", ago(days=days))
    one = explained(shared, world, 'count("Order", last="30d") >= 2', ann)

    (seen,) = one.tree.seen
    (source,) = seen.sources
    assert ((2,), 2) == (seen.values, seen.count)
    assert ("web.events", "1", AS_OF - timedelta(days=2)) == (source.stream, source.record, source.at)


FROM_INDEXES = (
    'sequence("Page Viewed", "Page Viewed", within="2d", same="path") and avg("Page Viewed", "ms") > 20',
    'sequence("Page Viewed", "Order", within="2d") and last_time("Order") < date("2030-01-01")',
    'median("Page Viewed", "ms") >= 20 and count("Page Viewed", path="/docs", last="30d") >= 2',
    'distinct("Page Viewed", "path") >= 2 and last_event("Page Viewed", where=ms > 10)',
    'regularly("Order", 2, of=4, every="7d")',
)
FROM_ROWS = ('sum("Page Viewed", "ms") > 20', 'max("Page Viewed", "ms") > 20 and did("Page Viewed", where=ms > 10)')
"""Numbers that are shown as they came: an index has them all as fractions."""


@pytest.mark.parametrize("text", (*FROM_INDEXES, *FROM_ROWS))
def test_an_index_tells_what_the_events_themselves_do(shared: Store, text: str) -> None:
    """The same values, sources and moments; of a busy person to fetch each event would take most of the time."""
    world = World()
    ann = world.person()
    for n in range(12):
        world.event(ann, "Page Viewed", ago(days=n, hours=3), ms=n * 10, path=("/docs", "/")[n % 3 == 0])
        world.event(ann, "Order", ago(days=n, hours=1))
    sets = definitions({"x": text})
    bare = explained(shared, world, text, ann)
    ensure_indexes(shared, sets)
    asked: list[str] = []
    shared.conn.set_trace_callback(asked.append)
    indexed = explain(shared, sets, "segment.x", ann, as_of=AS_OF)
    shared.conn.set_trace_callback(None)
    ensure_indexes(shared, definitions({"x": "exists(email)"}))

    assert bare == indexed
    assert [repr(one.seen) for one in leaves(bare.tree)] == [repr(one.seen) for one in leaves(indexed.tree)]  # 2 is not 2.0
    copied = [sql for sql in asked if sql.startswith('INSERT INTO temp."events"')]
    assert copied
    assert (text in FROM_INDEXES) == all("INDEXED BY events_" in sql and "properties" not in sql for sql in copied)


def test_a_missing_value_is_nothing(shared: Store) -> None:
    """No value, no source; `missing` is one condition as it was written."""
    world = World()
    one = explained(shared, world, 'missing(crm.stage) and country != "SE"', world.person())

    assert [True, True] == [leaf.holds for leaf in leaves(one.tree)]
    assert ["missing(crm.stage)", 'country != "SE"'] == [leaf.text for leaf in leaves(one.tree)]
    assert [(), ()] == [seen.values for leaf in leaves(one.tree) for seen in leaf.seen]


def test_money_is_the_companys(shared: Store) -> None:
    """`mrr` in major units, from the company's subscription."""
    world = World()
    world.companies.append({"id": 1})
    ann = world.person(company_id=1)
    world.subscriptions.append({"company_id": 1, "status": "active", "mrr": 900, "currency": "EUR", "started_at": ago(days=9)})
    one = explained(shared, world, "mrr > 5", ann)

    (seen,) = one.tree.seen
    assert (9.0,) == seen.values
    assert ["billing.subscriptions"] == [source.stream for source in seen.sources]


def test_answers_name_their_record(shared: Store) -> None:
    """The latest answer only."""
    world = World()
    ann = world.person()
    for days, number in ((9, 3), (2, 9)):
        world.answers.append({
            "profile_id": ann, "survey": "NPS", "question": "Score", "kind": "score", "number": number,
            "answered_at": ago(days=days),
        })  # fmt: skip
    one = explained(shared, world, "nps >= 9", ann)

    (seen,) = one.tree.seen
    assert ((9,), ["2"]) == (seen.values, [source.record for source in seen.sources])


def test_the_tree_follows_what_is_written(shared: Store) -> None:
    """All of, any of, not; and another segment's own tree under its name."""
    world = World()
    ann = world.person(country="SE")
    text = 'segment("nordic") and (did("Order") or not did("Signed Up"))'
    one = explained(shared, world, text, ann, segments={"nordic": 'country in ["SE", "NO"]'})

    def shape(node: Node) -> Any:
        return (node.kind, node.holds, [shape(child) for child in node.children]) if node.children else (node.text, node.holds)

    assert (
        "all", True, [
            ("segment", True, [('country in ["SE", "NO"]', True)]),
            ("any", True, [('did("Order")', False), ("not", True, [('did("Signed Up")', False)])]),
        ],
    ) == shape(one.tree)  # fmt: skip


def test_a_trait_shows_what_it_is_made_of(shared: Store) -> None:
    """Its value first, then each value and condition in it, each with its own source."""
    world = World()
    ann = world.person(country="SE")
    for days in (2, 9):
        world.event(ann, "Order", ago(days=days))
    score = '10 * did("Order") + 5 * min(count("Order", last="7d"), 5) + (3 if country == "NO" else 0)'
    one = explained(shared, world, "score >= 15", ann, traits={"score": score})

    whole, *made_of = one.tree.seen
    assert ("score", (15,), True) == (whole.text, whole.values, one.member)
    assert [('did("Order")', (True,)), ('count("Order", last="7d")', (1,)), ('country == "NO"', (False,))] == [
        (seen.text, seen.values) for seen in made_of
    ]
    assert {"score"} == {seen.part_of for seen in made_of}
    assert [["web.events"], ["web.events"], []] == [[source.stream for source in seen.sources] for seen in made_of]


# --- when it changes by itself -------------------------------------------------------------------------------------


def test_an_event_leaves_its_window(shared: Store) -> None:
    """Of three orders two must stay: the second last decides."""
    world = World()
    ann = world.person()
    for days in (2, 9, 20):
        world.event(ann, "Order", ago(days=days))
    one = explained(shared, world, 'count("Order", last="30d") >= 2', ann)

    assert one.next is not None
    assert (AS_OF + timedelta(days=21), False) == (one.next.at, one.next.holds)


def test_a_date_comes_nearer(shared: Store) -> None:
    """`within_next` begins, and later ends; the nearer of the two is told."""
    world = World()
    world.companies.append({"id": 1})
    ann = world.person(company_id=1)
    world.subscriptions.append(
        {"company_id": 1, "status": "trialing", "trial_ends_at": ago(days=-10), "started_at": ago(days=9)}
    )
    one = explained(shared, world, 'within_next(trial_ends_at, "7d")', ann)

    assert one.next is not None
    assert (False, True) == (one.member, one.next.holds)
    assert AS_OF + timedelta(days=3) == one.next.at


@pytest.mark.parametrize(
    ("text", "days", "holds"),
    [
        ("days_since(created_at) >= 400", 380, True),
        ("days_since(created_at) / 2 >= 400", 780, True),  # no day of it is written anywhere
        ("round(days_since(created_at) / 7) >= 30", 187, True),
        ("days_since(created_at) == 25", 5, True),
        ("days_since(created_at) == 20", 1, False),
        ("18 < days_since(created_at) <= 22", 3, False),
        ("coalesce(mrr, 0) - days_since(created_at) < -100", 81, True),
        ('days_since(created_at) - days_since(last_time("Order")) == 17', None, None),  # both grow
        ('days_since(created_at) >= 400 and did("Signed Up")', None, None),
    ],
)
def test_days_that_are_counted_are_foreseen(shared: Store, text: str, days: int | None, holds: bool | None) -> None:
    """However many are to come: the day is found by halving, not by asking day after day."""
    world = World()
    ann = world.person(created_at=ago(days=20))
    world.event(ann, "Order", ago(days=3))
    one = explained(shared, world, text, ann)

    assert (None if days is None else AS_OF + timedelta(days=days)) == (one.next and one.next.at)
    assert holds == (one.next and one.next.holds)


def test_what_did_not_follow_is_told_when_it_is_time(shared: Store) -> None:
    """Of two thousand events each comes of age once: it is halved, not asked one after another."""
    world = World()
    ann = world.person()
    for minutes in range(2_000):
        world.event(ann, "Order", ago(minutes=minutes))
    one = explained(shared, world, 'sequence("Order", without("Signed Up"), within="7d")', ann)

    assert one.next is not None
    assert (AS_OF + timedelta(days=7) - timedelta(minutes=1_999), True) == (one.next.at, one.next.holds)


def test_an_event_of_this_month_will_be_one_of_the_previous(shared: Store) -> None:
    """It comes into the window, and leaves it a month later: halving alone would see no change."""
    world = World()
    ann = world.person()
    world.event(ann, "Order", ago(days=3))
    one = explained(shared, world, 'did("Order", during=previous("month"))', ann, timezone=ZoneInfo("UTC"))

    assert one.next is not None
    assert (datetime(2026, 4, 1, tzinfo=UTC), True) == (one.next.at, one.next.holds)


def test_what_one_condition_does_may_change_nothing(shared: Store) -> None:
    """The order leaves its window, but the segment asks for something that is not there."""
    world = World()
    ann = world.person()
    world.event(ann, "Order", ago(days=2))
    one = explained(shared, world, 'did("Order", last="30d") and country == "SE"', ann)

    first, second = leaves(one.tree)
    assert first.next is not None
    assert AS_OF + timedelta(days=28) == first.next.at
    assert (None, None) == (second.next, one.next)


def test_many_events_are_halved(shared: Store) -> None:
    """Of two thousand page views the one that decides is found all the same."""
    world = World()
    ann = world.person()
    for minutes in range(2_000):
        world.event(ann, "Page Viewed", ago(minutes=minutes))
    one = explained(shared, world, 'count("Page Viewed", last="30d") >= 3', ann)

    assert one.next is not None
    assert (AS_OF + timedelta(days=30) - timedelta(minutes=2), False) == (one.next.at, one.next.holds)


def test_in_the_past_nothing_later_is_known(shared: Store) -> None:
    """With an earlier clock the next change is what would have come by itself then: the order of today is not seen."""
    world = World()
    ann = world.person()
    world.event(ann, "Order", ago(days=20))
    world.event(ann, "Order", ago(hours=1))
    world.write(shared)
    sets = definitions({"x": 'did("Order", last="30d")'})
    one = explain(shared, sets, "segment.x", ann, as_of=AS_OF - timedelta(days=5))

    assert one.next is not None
    assert (True, AS_OF + timedelta(days=10)) == (one.member, one.next.at)
    assert AS_OF - timedelta(days=20) == one.tree.seen[0].sources[0].at


def test_who_is_gone_is_in_nothing(shared: Store) -> None:
    """Every record deleted, or nobody of that id: no member, and nothing to come."""
    world = World()
    gone = world.person(live=0)
    world.event(gone, "Order", ago(days=2))
    for who in (gone, 99):
        one = explained(shared, world, 'not did("Signed Up")', who)
        assert (False, False, None) == (one.member, one.live, one.next)


def test_a_leaf_that_hangs_on_others(shared: Store) -> None:
    """What it says is asked of everybody; a rank is shown as a value."""
    world = World()
    world.companies.append({"id": 1})
    ann, bo = world.person(company_id=1), world.person(company_id=1)
    world.event(bo, "Order", ago(days=2))
    world.contacts += [{"profile_id": ann, "score": 5}, {"profile_id": bo, "score": 9}]
    one = explained(shared, world, 'any_user(did("Order")) and percentile(crm.score) < 50', ann)

    first, second = leaves(one.tree)
    assert (True, 'any_user(did("Order"))', True) == (first.holds, first.text, second.holds)
    assert (0.0,) == second.seen[0].values


def test_a_rank_by_a_property_stands_beside_a_filter_by_one(shared: Store) -> None:
    """What everybody's events have for their properties, the copy of one person's has not."""
    world = World()
    for n in range(2):
        world.event(world.person(), "Signed Up", ago(days=1), ms=n, path="/docs")
    text = 'percentile(sum("Signed Up", "ms")) > 50 and did("Signed Up", path="/docs")'
    world.write(shared)
    ensure_indexes(shared, definitions({"x": text}))

    assert [False, True] == [explained(shared, world, text, who).member for who in (1, 2)]


def test_a_segment_of_companies_is_told_of_theirs(shared: Store) -> None:
    """Each condition of it, true or false of the person's company."""
    world = World()
    world.companies += [{"id": 1, "employees": 9}, {"id": 2, "employees": 1}]
    ann, bo = world.person(company_id=1), world.person(company_id=2)
    world.event(ann, "Order", ago(days=2))
    world.write(shared)
    text = 'company.employees > 5 and any_user(did("Order"))'
    sets = definitions({"big": Segment("big", text, place=PLACE, of="company"), "x": 'segment("big")'})

    for name in ("segment.big", "segment.x"):
        for who, holds in ((ann, True), (bo, False)):
            one = explain(shared, sets, name, who, as_of=AS_OF)
            assert holds == one.member
            told = {leaf.text: leaf.holds for leaf in leaves(one.tree)}
            assert {"company.employees > 5": holds, 'any_user(did("Order"))': holds} == told


@pytest.mark.parametrize(("billing_of", "seen"), [("company", (60.0,)), ("person", None)])
def test_values_of_their_company_are_seen_in_a_segment_of_companies(
    shared: Store, billing_of: str, seen: tuple[float, ...] | None
) -> None:
    """But for bills where a person's are their own: their company's are others."""
    world = World()
    world.companies += [{"id": 1, "employees": 9}]
    ann = world.person(company_id=1)
    paid = {"status": "active", "currency": "EUR", "company_id": 1}
    world.subscriptions += [paid | {"profile_id": ann, "mrr": 1_000}, paid | {"profile_id": None, "mrr": 5_000}]
    world.write(shared)
    big = Segment("big", "company.employees > 5 and mrr > 50", place=PLACE, of="company")

    one = explain(shared, definitions({"big": big}, billing_of=billing_of), "segment.big", ann, as_of=AS_OF)

    assert one.member
    told = {leaf.text: leaf.seen[0].values if leaf.seen else None for leaf in leaves(one.tree)}
    assert {"company.employees > 5": (9,), "mrr > 50": seen} == told


@pytest.mark.parametrize(
    "text",
    [
        'count("Order", path="/a", last="7d") >= 2 and not did("Order")',
        'crm.stage in ["a", "b"] or crm.stage.contains("x")',
        'answered("NPS", last="30d") and exists(answer("NPS", "Score"))',
        'sum("Order", "ms", between_ago=("60d", "30d")) > 5',
        'company.employees > 3 and (country == "SE" or paying)',
    ],
)
def test_what_nobody_wrote_is_spoken_as_one_would_write_it(text: str) -> None:
    """So it can be read back, and means the same."""
    tree = definitions({"x": text}).sets["segment.x"].condition
    said = spoken(tree)

    assert tree == definitions({"x": said}).sets["segment.x"].condition


def test_moments_are_utc(shared: Store) -> None:
    """Aware, as everywhere."""
    world = World()
    ann = world.person(created_at=to_us(datetime(2026, 3, 29, tzinfo=UTC)))
    one = explained(shared, world, 'within_last(created_at, "7d")', ann)

    assert one.next is not None
    assert datetime(2026, 4, 5, tzinfo=UTC) == one.next.at
