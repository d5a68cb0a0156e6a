"""What segments rest on, doubt and hash to; what the vocabulary reads from connectors and the store; side columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from smallworld import AS_OF, World, ago, definitions, make_config, vocabulary

from core.clock import to_us
from core.config.model import ConnectionConfig, Place
from core.contract import Category, Kind, Settings, Stream, Trust
from core.errors import ConfigError
from core.registry import Connector
from core.segments.definitions import define
from core.segments.describe import describe
from core.segments.evaluate import evaluate, read_facts
from core.segments.indexes import ensure_indexes
from core.segments.vocabulary import Column, Seen, StreamWords, Vocabulary, read_vocabulary
from core.store import Store

ALWAYS = {"crm.contacts", "crm.companies", "billing.subscriptions", "billing.invoices"}  # they join people in the small world


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "tagalong.db") as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("exists(email)", set()),
        ('did("Order")', {"web.events", "app.events"}),
        ('count("Order", source="web") > 1', {"web.events"}),
        ("nps > 8", {"survey.responses"}),
        ('segment("base")', {"survey.responses"}),
        ('partition("p") == "a"', {"web.events", "app.events"}),
    ],
)
def test_a_segment_rests_on_what_can_feed_its_words(text: str, more: set[str]) -> None:
    """And on what it names, and on the streams that join people."""
    defined = definitions({"s": text, "base": 'answered("NPS")'}, partitions={"p": {"a": 'did("Order")'}})
    assert ALWAYS | more == defined.sets["segment.s"].rests_on


def test_every_set_rests_on_what_exclude_rests_on() -> None:
    defined = definitions({"s": "exists(email)", "staff": 'answered("NPS")'}, exclude="staff")
    assert ALWAYS | {"survey.responses"} == defined.sets["segment.s"].rests_on


def test_an_exclude_that_is_no_segment_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="there is no segment staf") as caught:
        definitions({"staff": "exists(email)"}, exclude="staf")
    assert ("workspace.exclude", "did you mean staff?") == (caught.value.problems[0].key, caught.value.problems[0].remedy)


def test_what_no_complete_pull_has_shown_is_unseen_with_the_nearest_name() -> None:
    """Events, surveys and questions; also those under a named segment; a source= narrows who may have shown it."""
    words = vocabulary(
        events={"Order": Seen(frozenset({"web.events"}), True), "Half": Seen(frozenset({"half.events"}), False)},
        properties={"Order": {"amount": frozenset({"number"})}},
    )
    segments = {
        "s": 'segment("t") and did("Ordr")',
        "t": 'did("Half") or answered("Nope") or answer("NPS", "Scor") == "x"',
        "u": 'did("Order", source="app")',
        "v": 'did("Order", source="web", amonut=3)',
    }
    sets = definitions(segments, words=words).sets

    assert {'event "Half"', 'survey "Nope"', 'question "NPS: Scor"'} == sets["segment.t"].unseen
    assert sets["segment.t"].unseen | {'event "Ordr"'} == sets["segment.s"].unseen
    assert {'event "Order"'} == sets["segment.u"].unseen
    assert frozenset() == sets["segment.v"].unseen
    assert any("did you mean Order?" in warning for warning in sets["segment.s"].warnings)
    assert ('"Order" was never seen with amonut; did you mean amount?',) == sets["segment.v"].warnings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('not did("Order", lst="3d")', '"Order" was never seen with lst; did you mean last=?', id="a window"),
        pytest.param('not did("Login", lst="3d")', '"Login" was never seen with lst; did you mean last=?', id="no property"),
        pytest.param('sum("Order", "amonut") > 3', '"Order" was never seen with amonut; did you mean amount?', id="a sum"),
        pytest.param('sequence("Order", "Login", same="amount")', '"Login" was never seen with amount', id="a join"),
        pytest.param('did("Order", amount=3)', None, id="seen"),
        pytest.param('did("Half", lst="3d")', 'event "Half" was never seen in a complete pull', id="not pulled"),
    ],
)
def test_a_property_that_was_never_seen_is_told_with_what_was_meant(text: str, expected: str | None) -> None:
    """A window that is misspelt would else be a filter that nobody passes, in silence."""
    words = vocabulary(
        events={name: Seen(frozenset({"web.events"}), True) for name in ("Order", "Login")}
        | {"Half": Seen(frozenset({"half.events"}), False)},
        properties={"Order": {"amount": frozenset({"number"})}},
    )
    assert ((expected,) if expected else ()) == definitions({"s": text}, words=words).sets["segment.s"].warnings


def test_the_hash_changes_with_the_text_and_with_what_it_names_alone() -> None:
    def hashes(base: str, other: str = "paying") -> dict[str, str]:
        segments = {"s": 'segment("base")', "base": base, "other": other}
        return {name: d.definition for name, d in definitions(segments).sets.items()}

    before = hashes("exists(email)")
    assert before == hashes("  exists(email)\n")
    assert before["segment.s"] == hashes("exists(email)", "not paying")["segment.s"]
    changed = hashes("missing(email)")
    assert before["segment.s"] != changed["segment.s"]
    assert before["segment.base"] != changed["segment.base"]


def test_a_group_changes_with_the_order_of_its_partition() -> None:
    groups = {"a": "paying", "b": "exists(email)"}
    forth = definitions({}, partitions={"p": groups}).sets
    back = definitions({}, partitions={"p": dict(reversed(groups.items()))}).sets
    assert forth["partition.p.b"].definition != back["partition.p.b"].definition


def _words(name: str, *, completed: bool, **columns: str) -> StreamWords:
    known = {field: Column(field, type_) for field, type_ in columns.items()}
    return StreamWords("crm", name, kinds=frozenset({Kind.PROFILE}), keys=True, id=1, completed=completed, columns=known)


def test_source_fields_are_checked_after_the_first_complete_pull() -> None:
    """Before it any name is a warning; after it a wrong one is an error with the nearest; two streams need a longer name."""
    early = Vocabulary((_words("contacts", completed=False),))
    assert (
        "cannot be checked before the first complete pull of crm.contacts"
        in definitions({"s": 'crm.stag == "x"'}, words=early).sets["segment.s"].warnings[0]
    )
    late = Vocabulary(
        (_words("contacts", completed=True, stage="text", size="integer"), _words("leads", completed=True, size="integer"))
    )
    for text, said in (
        ('crm.stag == "x"', "did you mean stage?"),
        ("crm.size > 1", "write crm.contacts.size or crm.leads.size"),
        ('crm.stage > date("2026-01-01") and crm.contacts.size == "x"', "is a text where a number is compared"),
    ):
        with pytest.raises(ConfigError, match=said):
            definitions({"s": text}, words=late)
    assert definitions({"s": "crm.leads.size > 1"}, words=late).sets


class _Settings(Settings):
    pass


def _connector(name: str, category: Category, *streams: Stream) -> Connector:
    from datetime import date

    from core.contract import Manifest

    module: Any = ModuleType(name)
    module.MANIFEST = Manifest(
        name, name.title(), category=category, base_url="", hosts=(), docs_url="", api_version="1", checked_on=date(2026, 1, 1)
    )
    module.Settings = _Settings
    module.STREAMS = {s.name: s for s in streams}
    return Connector(module)


def _pull(*_: object) -> Iterator[Any]:
    yield from ()


def test_the_vocabulary_reads_connectors_and_what_the_store_has_seen(store: Store) -> None:
    World().write(store)
    people = Stream(
        "contacts",
        Kind.PROFILE,
        pull=_pull,
        key="id",
        identifiers={"email": "email", "company_domain": "domain"},
        fields={"country": "c"},
    )
    usage = Stream("events", Kind.EVENT, pull=_pull, key="id", identifiers={"user_id": "u"})
    trusted = Stream("sure", Kind.ANSWER, pull=_pull, key="id", identifiers={"email": "e"}, trust=Trust.KEY)
    connectors = {
        "acme": _connector("acme", Category.CRM, people),
        "track": _connector("track", Category.ANALYTICS, usage, trusted),
    }
    place = Place("tagalong.toml", 1, "connections")
    config = make_config({})
    connections = {
        "crm": ConnectionConfig("crm", "acme", place=place),
        "web": ConnectionConfig("web", "track", place=place, streams=("events",)),
    }
    object.__setattr__(config, "connections", connections)
    with store.atomic() as conn:
        conn.execute("INSERT INTO event_sources VALUES (6, 'event', 'Order', 0), (7, 'event', 'Other', 0)")

    words = read_vocabulary(config, connectors, store)

    assert ["crm.contacts", "web.events"] == [s.text for s in words.streams]
    assert {"crm.contacts"} == words.always
    assert {"crm.contacts"} == words.feeding(Kind.PROFILE, "country") == words.feeding(Kind.COMPANY, "domain")
    assert frozenset() == words.feeding(Kind.PROFILE, "job_title") == words.feeding(Kind.COMPANY, "employees")
    assert {"Order": Seen(frozenset({"web.events"}), True)} == words.events
    assert "stage" in words.streams[0].columns
    assert words.streams[0].completed
    assert {} == read_vocabulary(config, connectors, None).events
    assert define(config, words).sets == {}


def test_side_columns_are_made_used_and_dropped(store: Store) -> None:
    """One a property, virtual; an index where it must equal something, and one with all that is read otherwise."""
    world = World()
    person = world.person()
    for n in range(300):
        world.event(person, "Order", ago(days=1), path="/a" if n else "/pricing", ms=n)
        world.event(person, "Page Viewed", ago(days=1))
    world.write(store)
    defined = definitions({"s": 'count("Order", path="/pricing") == 1 and sum("Order", "ms") > 5'})

    made = ensure_indexes(store, defined)

    assert 2 == len(made)
    assert [] == ensure_indexes(store, defined)
    from core.segments.compile import compile_leaf
    from core.segments.tree import walk

    facts = read_facts(store, defined, to_us(AS_OF))
    leaf = next(n for n in walk(defined.sets["segment.s"].condition) if "pricing" in repr(n) and "And(" not in repr(n)[:4])
    query = compile_leaf(leaf, facts)  # type: ignore[arg-type]
    plan = " ".join(row[3] for row in store.conn.execute(f"EXPLAIN QUERY PLAN {query.sql.text}", query.sql.params))
    assert f"USING INDEX {made[0]}" in plan
    assert [person] == list(evaluate(store, defined, as_of=AS_OF).sets["segment.s"])
    world.event(person, "Order", ago(days=1), path="/pricing")
    with store.atomic() as conn:  # whoever writes events need not know of the columns
        conn.execute(
            "INSERT INTO events (stream_id, key, name_id, time, profile_id, properties) "
            "SELECT 6, 'new', name_id, time, profile_id, '{\"path\":\"/pricing\"}' FROM events LIMIT 1"
        )
    assert [] == list(evaluate(store, defined, as_of=AS_OF).sets["segment.s"])

    assert [] == ensure_indexes(store, definitions({"s": "exists(email)"}))
    assert not store.conn.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (made[0],)).fetchone()


def test_an_index_of_all_properties_has_those_that_came_to_it(store: Store) -> None:
    """A segment that asks for one more is not answered by fetching each event."""
    world = World()
    world.event(world.person(), "Order", ago(days=1), ms=1, path="/")
    world.write(store)
    first = definitions({"s": 'sum("Order", "ms") > 5'})
    both = definitions({"s": 'sum("Order", "ms") > 5 or did("Order", where=path.startswith("/"))'})

    (made,) = ensure_indexes(store, first)
    assert [made] == ensure_indexes(store, both)
    columns = [row[0] for row in store.conn.execute("SELECT name FROM pragma_index_info(?)", (made,))]
    assert {"profile_id", "time"} < set(columns)
    assert 4 == len(columns)
    assert [] == ensure_indexes(store, both)
    assert [made] == ensure_indexes(store, first)


def test_a_source_that_brought_no_events_has_none_also_with_side_columns(store: Store) -> None:
    world = World()
    world.event(world.person(), "Order", ago(days=1), "app.events", ms=0)
    world.write(store)
    defined = definitions({"web": 'did("Order", ms=0, source="web")', "app": 'did("Order", ms=0, source="app")'})
    ensure_indexes(store, defined)

    assert [[], [1]] == [list(bits) for bits in evaluate(store, defined, as_of=AS_OF).sets.values()]


def test_a_short_window_is_found_by_time(store: Store) -> None:
    world = World()
    person = world.person()
    for days in range(400):
        world.event(person, "Order", ago(days=days))
    world.write(store)
    from core.segments.compile import compile_leaf

    plans = {}
    for text in ('did("Order", last="2d")', 'did("Order", last="300d")'):
        defined = definitions({"s": text})
        query = compile_leaf(defined.sets["segment.s"].condition, read_facts(store, defined, to_us(AS_OF)))  # type: ignore[arg-type]
        plans[text] = " ".join(row[3] for row in store.conn.execute(f"EXPLAIN QUERY PLAN {query.sql.text}", query.sql.params))
    assert ["events_window" in plan for plan in plans.values()] == [True, False]
    assert "COVERING INDEX events_count" in plans['did("Order", last="300d")']


def test_describe_lists_words_with_coverage_and_masks_people(store: Store) -> None:
    world = World()
    for n in range(4):
        person = world.person(country="SE" if n else None, email=f"ann{n}@example.com")
        world.contacts.append({"profile_id": person, "$city": "Umeå", "score": n})
        world.event(person, "Order", ago(days=n), path="/a", email="ann@example.com")
    world.write(store)
    words = vocabulary(properties={"Order": {"path": frozenset({"text"}), "email": frozenset({"text"})}})

    found = {word.name: word for word in describe(store, words)}

    assert (0.75, ("SE",)) == (found["country"].coverage, found["country"].samples)
    assert ("Umeå",) == found['field("crm.contacts", "$city")'].samples
    assert "boolean" == found["paying"].type
    assert {'did("Order")', '"Order" path', 'answer("Onboarding", "role")', "company.employees"} <= found.keys()
    assert ("a***@e***",) == found['"Order" email'].samples
    assert "ann" not in repr(found)
    assert ["country", "company.country"] == [word.name for word in describe(store, words, "COUNTRY")]
    assert all(word.coverage is None for word in describe(None, words))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'subscription_status != "cancelled"',
            '"cancelled" is no subscription_status that a vendor gives; did you mean c',
        ),
        ('subscription_status in ["active", "trial"]', '"trial" is no subscription_status that a vendor gives; did you mean '),
        ('changed(subscription_status, to="gone")', '"gone" is no subscription_status that a vendor gives; there is active, '),
        ('subscription_status == "canceled" and plan != "cancelled"', None),
    ],
)
def test_a_status_that_no_subscription_has_is_told(text: str, expected: str | None) -> None:
    """Of `!=` it would be everybody, in silence."""
    warnings = definitions({"s": text}).sets["segment.s"].warnings
    assert warnings == () if expected is None else warnings[0].startswith(expected)
