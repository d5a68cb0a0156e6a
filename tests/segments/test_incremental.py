"""What was kept of an earlier evaluation and brought up to date is what a full evaluation and the slow reference give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from livingworld import LivingWorld, living_definitions, make_template
from random_traits import BUILT_IN, traits_of
from smallworld import definitions
from support.story import Story
from test_agree import COMPUTED, EXPRESSIONS
from threefold import agree

from core.config.model import Place, Rule, Segment, Trait
from core.contract import Money
from core.evaluated import Evaluations
from core.pulling.fill import pull
from core.run import sync
from core.segments import few, parallel, tree
from core.segments.evaluate import evaluate
from core.segments.incremental_reach import reach
from core.store import changes, leaves


class Found(NamedTuple):
    """Who is in a segment, and how many leaves were brought up to date for that."""

    people: list[str]
    brought_up: int


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store of all vendors, to be copied."""
    return make_template(tmp_path_factory.mktemp("living") / "template.db")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 2**32), texts=st.lists(EXPRESSIONS | COMPUTED, min_size=4, max_size=8), traits=traits_of())
def test_three_evaluators_give_one_answer(template: Path, seed: int, texts: list[str], traits: dict[str, str]) -> None:
    """Over random data, segments, traits and edits (merges and splits among them), and a moving clock; by one thread or two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "FROM_PEOPLE", 0)
        patch.setattr(parallel, "cores", lambda: 1 + seed % 2)
        told = agree(template.with_name("case.db"), template, seed, texts, traits | BUILT_IN)

    assert told.cases >= 16


# --- one thing at a time ---------------------------------------------------------------------------------------------


@pytest.fixture
def world(template: Path, tmp_path: Path) -> Iterator[LivingWorld]:
    """A living world of three people, pulled and resolved."""
    living = LivingWorld(tmp_path / "tagalong.db", 1, template)
    for n in range(1, 4):
        living.records["contacts"][str(n)] = living.records["contacts"]["0"] | {
            "id": str(n), "email": f"p{n}@example.com", "uid": f"u{n}", "country": "SE",
        }  # fmt: skip
    living.pull()
    yield living
    living.close()


def happen(world: LivingWorld, id_: str, uid: str, name: str, **ago: float) -> None:
    world.records["web"][id_] = {
        "id": id_, "name": name, "time": world.hub.at - timedelta(**ago), "properties": {}, "uid": uid, "email": None,
        "visitor": None,
    }  # fmt: skip


def members(world: LivingWorld, text: str | Segment, *, keep: bool = True, at: datetime | None = None, **options: Any) -> Found:
    """Evaluate one segment, from what was kept and anew, which must be the same; say who is in and what was brought up."""
    defined = living_definitions({"s": text}, **options)
    found = evaluate(world.store, defined, as_of=at or world.hub.at, keep=keep)
    assert found.sets == evaluate(world.store, defined, as_of=at or world.hub.at, reuse=False).sets
    emails = dict(world.store.conn.execute("SELECT id, email FROM profiles").fetchall())
    return Found(sorted(emails[id_][:2] for id_ in found.sets["segment.s"]), found.brought_up)


def test_a_window_that_moves_past_an_event_lets_its_person_go(world: LivingWorld) -> None:
    """Nothing is written in between: the clock alone does it, and also for a date and for what was yet to come."""
    happen(world, "1", "u1", "Order", days=6, hours=23)
    happen(world, "2", "u2", "Order", hours=-1)
    world.pull()

    assert Found(["p1"], 0) == members(world, 'did("Order", last="7d")')
    world.hub.at += timedelta(hours=2)
    assert Found(["p2"], 1) == members(world, 'did("Order", last="7d")')


def test_only_who_changed_is_asked_about(world: LivingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leaf that nothing touched is not asked at all; another of the changed person alone."""
    text = 'country == "SE" and not did("Order")'
    members(world, text)
    asked: list[list[int]] = []
    choose = few.choose
    monkeypatch.setattr(few, "choose", lambda conn, people: (asked.append(list(people)), choose(conn, people)))
    assert Found(["p1", "p2", "p3"], 2) == members(world, text)
    assert [[]] == asked
    world.records["contacts"]["2"] |= {"country": "NO"}
    world.pull()

    assert Found(["p1", "p3"], 2) == members(world, text)
    (person,) = world.store.conn.execute("SELECT id FROM profiles WHERE email = 'p2@example.com'").fetchone()
    assert [person] == asked[-1]


def employ(world: LivingWorld, **domains: str) -> None:
    """Give contacts a company, by `c1="one.example.com"`."""
    for name, domain in domains.items():
        world.records["contacts"][name[1:]] |= {"domain": domain}


def subscribe(world: LivingWorld, email: str, status: str) -> None:
    world.records["subscriptions"]["1"] = {
        "id": "1", "email": email, "status": status, "plan": "pro", "every": "month", "quantity": 1, "mrr": Money(900, "EUR"),
        "started_at": world.hub.at - timedelta(days=5), "trial_ends_at": None, "cancel_requested_at": None, "ended_at": None,
    }  # fmt: skip


def test_what_changes_of_one_changes_for_all_of_the_company(world: LivingWorld) -> None:
    """Billing is the company's: whoever of it the subscription came from."""
    employ(world, c1="one.example.com", c2="one.example.com")
    subscribe(world, "p1@example.com", "active")
    world.pull()
    assert Found(["p1", "p2"], 0) == members(world, "paying")
    subscribe(world, "p1@example.com", "canceled")
    world.pull()

    assert Found([], 1) == members(world, "paying")


def test_who_leaves_a_company_takes_their_rows_along(world: LivingWorld) -> None:
    """Those who stay are asked about again, and so are those who were at the other one before."""
    employ(world, c1="one.example.com", c2="one.example.com", c3="two.example.com")
    subscribe(world, "p2@example.com", "active")
    world.pull()
    assert Found(["p1", "p2"], 0) == members(world, "paying")
    employ(world, c2="two.example.com")
    world.pull()

    assert Found(["p2", "p3"], 1) == members(world, "paying")


def test_who_is_told_to_work_elsewhere_takes_their_rows_along(world: LivingWorld) -> None:
    """No record changed its company: of two that name one each, the other is the latest now."""
    employ(world, c1="one.example.com", c2="one.example.com", c3="two.example.com")
    world.records["contacts"]["4"] = world.records["contacts"]["1"] | {"id": "4", "domain": "two.example.com", "score": 1}
    world.records["contacts"]["1"] |= {"score": 2}
    subscribe(world, "p1@example.com", "active")
    world.pull()
    world.hub.at += timedelta(hours=1)
    world.records["contacts"]["1"] |= {"score": 3}
    world.pull()
    assert Found(["p1", "p2"], 0) == members(world, "paying")
    world.hub.at += timedelta(hours=1)
    world.records["contacts"]["4"] |= {"score": 4}
    world.pull()

    assert Found(["p1", "p3"], 1) == members(world, "paying")


def test_events_of_a_record_count_once_it_is_known_whose_they_are(world: LivingWorld) -> None:
    """A sync may look between the pull and the resolve of another process: then they are nobody's yet."""
    member = {"id": "1", "email": "p1@example.com", "country": None}
    world.records["members"]["1"] = member | {"opened": []}
    world.pull()
    members(world, 'did("Order")')
    world.records["members"]["1"] = member | {"opened": [("1-1", "Order", world.hub.at - timedelta(days=1))]}
    world.pull(resolve=False)
    assert Found([], 1) == members(world, 'did("Order")')
    world.hub.resolve()

    assert Found(["p1"], 1) == members(world, 'did("Order")')


def test_a_payment_of_tomorrow_counts_tomorrow(world: LivingWorld) -> None:
    """Rows dated ahead are seen when the clock gets there, for all of the company."""
    employ(world, c1="one.example.com", c2="one.example.com")
    world.records["invoices"]["1"] = {
        "id": "1", "email": "p1@example.com", "amount": Money(500, "EUR"), "status": "paid",
        "paid_at": world.hub.at + timedelta(hours=20),
    }  # fmt: skip
    world.pull()
    assert Found([], 0) == members(world, "ltv > 1")
    world.hub.at += timedelta(days=1)

    assert Found(["p1", "p2"], 1) == members(world, "ltv > 1")


def test_an_older_clock_is_evaluated_whole(world: LivingWorld) -> None:
    """`--as-of`, and a clock that goes back."""
    happen(world, "1", "u1", "Order", hours=1)
    world.pull()
    members(world, 'did("Order")')

    assert Found([], 0) == members(world, 'did("Order")', at=world.hub.at - timedelta(hours=2), keep=False)
    assert Found(["p1"], 1) == members(world, 'did("Order")')


@pytest.mark.parametrize("change", [{"billing_of": "person"}, {"currency": "SEK"}, {"timezone": ZoneInfo("UTC")}], ids=str)
def test_another_config_is_evaluated_whole(world: LivingWorld, change: dict[str, Any]) -> None:
    """What all leaves rest on beside the rows."""
    assert 0 == members(world, 'did("Order")').brought_up
    assert 1 == members(world, 'did("Order")').brought_up
    assert 0 == members(world, 'did("Order")', **change).brought_up


def test_a_changed_segment_asks_for_what_is_new_in_it(world: LivingWorld) -> None:
    members(world, 'did("Order") or country == "SE"')

    assert 1 == members(world, 'did("Order", last="7d") or country == "SE"').brought_up
    assert 2 == members(world, 'did("Order", last="7d") or country == "SE"').brought_up


def test_a_crash_before_leaves_are_kept_leaves_the_old_ones_right(world: LivingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are brought up from where they stand, over all that came since."""
    members(world, 'did("Order")')
    happen(world, "1", "u1", "Order", hours=1)
    world.pull()
    with monkeypatch.context() as broken:
        broken.setattr("core.store.leaves.keep", crash)
        with pytest.raises(KeyboardInterrupt):
            members(world, 'did("Order")')
    happen(world, "2", "u2", "Order", hours=1)
    world.pull()

    assert Found(["p1", "p2"], 1) == members(world, 'did("Order")')


def crash(*args: object, **options: object) -> None:
    raise KeyboardInterrupt


def test_an_id_of_an_event_that_went_may_be_anothers(world: LivingWorld) -> None:
    """SQLite gives the highest id again."""
    happen(world, "1", "u1", "Order", hours=1)
    world.pull()
    members(world, 'did("Order")')
    (before,) = world.store.conn.execute("SELECT max(id) FROM events").fetchone()
    del world.records["web"]["1"]
    world.told["web"] = ["1"]
    world.pull()
    happen(world, "2", "u2", "Order", hours=1)
    world.pull()

    assert before == world.store.conn.execute("SELECT max(id) FROM events").fetchone()[0]
    assert Found(["p2"], 1) == members(world, 'did("Order")')


def test_who_evaluated_an_earlier_state_does_not_overwrite_a_later_one(world: LivingWorld) -> None:
    """Two processes at once: the log up to the later one is gone."""
    members(world, 'country == "SE"')
    earlier = leaves.taken(world.store.conn)
    assert earlier is not None
    world.records["contacts"]["2"] |= {"country": "NO"}
    world.pull()
    members(world, 'country == "SE"')

    assert not leaves.keep(world.store, earlier, {})
    assert Found(["p1", "p3"], 1) == members(world, 'country == "SE"')


def test_nothing_is_noted_while_nobody_keeps_leaves(world: LivingWorld) -> None:
    """A store that is only pulled into pays nothing."""
    happen(world, "1", "u1", "Order", hours=1)
    world.pull()
    del world.records["web"]["1"]
    world.told["web"] = ["1"]
    world.pull()

    assert [] == world.store.conn.execute("SELECT * FROM changes").fetchall()


def test_a_log_too_long_is_forgotten(world: LivingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next evaluation is a full one, and nothing is noted until then."""
    members(world, 'country == "SE"')
    monkeypatch.setattr(changes, "MOST", 0)
    world.records["contacts"]["1"] |= {"country": "NO"}
    world.records["contacts"]["2"] |= {"country": "NO"}
    world.pull()

    assert [] == world.store.conn.execute("SELECT * FROM changes").fetchall()
    assert Found(["p3"], 0) == members(world, 'country == "SE"')
    assert Found(["p3"], 1) == members(world, 'country == "SE"')


def test_days_that_are_counted_go_on_for_those_alone_whose_number_is_reached(world: LivingWorld, asked: list[int]) -> None:
    """Compared with numbers they are an edge like any other: nobody else is asked, whatever the hour of the day."""
    happen(world, "1", "u1", "Order", days=29, hours=23)
    happen(world, "2", "u2", "Order", days=12, hours=23)
    world.pull()
    text = 'days_since(last_time("Order")) in [12, 30]'
    assert Found(["p2"], 0) == members(world, text)
    world.hub.at += timedelta(hours=2)
    assert Found(["p1"], 1) == members(world, text)
    assert 2 == len(asked)
    world.hub.at += timedelta(days=1)
    assert Found([], 1) == members(world, text)
    assert 3 == len(asked)


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ('changed(country, to="NO", last="7d")', "p2"),
        ('changed(company.employees, last="7d")', "p1"),
        ('changed(subscription_status, last="7d")', "p3"),
    ],
)
def test_a_change_of_a_field_is_seen_and_forgotten(world: LivingWorld, asked: list[int], text: str, who: str) -> None:
    """A person's own, the company's and the subscription's, as they come and as they leave the window."""
    employ(world, c1="one.example.com")
    world.records["companies"]["1"] = {"id": "1", "domain": "one.example.com", "employees": 3, "country": None}
    subscribe(world, "p3@example.com", "active")
    world.pull()
    assert Found([], 0) == members(world, text)
    world.hub.at += timedelta(days=1)
    world.records["contacts"]["2"] |= {"country": "NO"}
    world.records["companies"]["1"] |= {"employees": 9}
    subscribe(world, "p3@example.com", "canceled")
    world.pull()
    assert Found([who], 1) == members(world, text)
    world.hub.at += timedelta(hours=1)
    assert Found([who], 1) == members(world, text)
    asked.clear()
    world.hub.at += timedelta(days=5, hours=22)
    assert Found([who], 1) == members(world, text)
    assert [] == asked
    world.hub.at += timedelta(days=1, hours=1)
    assert Found([], 1) == members(world, text)


def test_a_period_begins_for_each_in_their_own_zone(world: LivingWorld, asked: list[int]) -> None:
    """Midnight comes to Tokyo first: who lives elsewhere is not asked about, unless they did something."""
    for n, zone in (("1", "Asia/Tokyo"), ("2", "America/New_York"), ("3", "America/New_York")):
        world.records["contacts"][n] |= {"tz": zone}
    for n in (1, 2):
        happen(world, str(n), f"u{n}", "Order", hours=1)
    world.pull()
    place = Place("tagalong.toml", 7, "segments.s")
    own = Segment("s", 'did("Order", during=this("day"))', place=place, timezone="person")
    assert Found(["p1", "p2"], 0) == members(world, own)
    world.hub.at = world.hub.at.astimezone(ZoneInfo("Asia/Tokyo")).replace(hour=0, minute=5) + timedelta(days=1)
    world.hub.at = world.hub.at.astimezone(UTC)
    assert Found(["p2"], 1) == members(world, own)
    world.records["contacts"]["2"] |= {"tz": "Asia/Tokyo"}
    world.pull()
    assert Found([], 1) == members(world, own)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Who is asked about again, one after another."""
    found: list[int] = []
    choose = few.choose
    monkeypatch.setattr(few, "choose", lambda conn, people: (found.extend(people), choose(conn, people)))
    return found


@pytest.mark.parametrize(
    "text",
    ["percentile(mrr) > 50", "top(mrr, 3)", "any_user(did('Order'))", 'in_list("x.csv")', "days_since(created_at) / 2 > 3"],
)
def test_words_of_more_than_one_person_are_evaluated_whole(text: str, tmp_path: Path) -> None:
    """And so is whatever the analysis does not know."""
    (tmp_path / "x.csv").write_text("email\np1@example.com\n")
    condition = definitions({"s": text}, folder=tmp_path).sets["segment.s"].condition

    assert reach(condition) is None


def score(world: LivingWorld, text: str) -> Found:
    rules = (Rule(10, 'did("Order", last="30d")'), Rule(5, 'country == "SE" and company.employees > 5'))
    trait = Trait("fit", rules=rules, place=Place("tagalong.toml", 9, "traits.fit"))
    return members(world, text, traits={"fit": trait})


def test_a_score_is_asked_anew_of_those_alone_of_whom_something_in_it_changed(world: LivingWorld) -> None:
    """Of its events, its fields, the company's, and of those past whom its windows went."""
    employ(world, c3="one.example.com")
    world.records["companies"]["1"] = {"id": "1", "domain": "one.example.com", "employees": 3, "country": None}
    happen(world, "1", "u1", "Order", days=29, hours=23)
    world.pull()
    assert Found(["p1"], 0) == score(world, "fit >= 5")
    world.records["companies"]["1"] |= {"employees": 9}
    world.pull()
    assert Found(["p1", "p3"], 1) == score(world, "fit >= 5")
    happen(world, "2", "u2", "Order", hours=2)
    world.pull()
    assert Found(["p1", "p2", "p3"], 1) == score(world, "fit >= 5")
    world.hub.at += timedelta(hours=2)
    assert Found(["p2", "p3"], 1) == score(world, "fit >= 5")


def test_what_several_segments_look_at_is_asked_once_of_those_who_changed(world: LivingWorld) -> None:
    """Groups by the same number are the rule, not the exception."""
    text = "crm.score > 5 or crm.score < 2"
    assert Found(["p1", "p2", "p3", "ze"], 0) == members(world, text)
    world.records["contacts"]["2"] |= {"score": 3}
    world.pull()
    asked: list[str] = []
    world.store.conn.set_trace_callback(asked.append)
    assert Found(["p1", "p3", "ze"], 2) == members(world, text)
    world.store.conn.set_trace_callback(None)

    assert 1 == len([sql for sql in asked if sql.startswith("CREATE TEMP TABLE few_value_")])
    assert 2 == len([sql for sql in asked if "FROM temp.few_value_0" in sql])


def test_a_field_that_the_analysis_does_not_know_makes_the_leaf_whole() -> None:
    """A word that grows a new option is not taken for the old one."""

    @dataclass(frozen=True)
    class Window(tree.Window):
        new: int = 0

    assert reach(tree.Did(tree.EventSet("Order"))) is not None
    assert reach(tree.Did(tree.EventSet("Order", window=Window(new=1)))) is None


# --- several syncs ---------------------------------------------------------------------------------------------------


def test_syncs_of_one_tick_share_one_evaluation(tmp_path: Path) -> None:
    """The second is handed the first's; after a change, or a minute later, there is another."""
    story = Story(tmp_path)
    story.people(1, 2)
    story.sync()
    shared = Evaluations()

    def evaluated() -> datetime:
        return sync(story.hub(), names=["vips"], pull=False, evaluations=shared).as_of

    story.pass_time()
    first = evaluated()
    story.pass_time(timedelta(seconds=5))
    assert first == evaluated()
    story.people(3)
    pull(story.hub(), names=["crm"])
    changed = evaluated()
    assert first < changed
    assert {"1", "2", "3"} == story.there()
    story.pass_time(timedelta(minutes=2))
    assert changed < evaluated()
