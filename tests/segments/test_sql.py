"""`sql(...)` reads and does nothing else: whatever its text, the store stays as it is, and nothing runs for long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smallworld import AS_OF, World, ago, definitions, problem_of, vocabulary
from test_rules import members

from core.segments import compile_sql
from core.segments.compile_sql import check, people
from core.segments.evaluate import evaluate, read_facts
from core.segments.facts import LeafFailed
from core.segments.sql_guard import FUNCTIONS, Refused
from core.segments.tree_sets import FromSql
from core.store import Store

ENDLESS = "with recursive c(x) as (select 1 union all select x + 1 from c) select x as profile_id from c"
WRITES = [
    "delete from profiles",
    "update profiles set country = 'SE'",
    "insert into profiles (id, changed_at) values (1, 1)",
    "replace into profiles (id, changed_at) values (1, 1)",
    "insert into profiles (id, changed_at) values (1, 1) returning id",
    "with x as (select 1) delete from profiles",
    "with x(a) as (select 7) insert into profiles (id, changed_at) select a, a from x",
    "drop table profiles",
    "create table x (y)",
    "create temp table x as select 1",
    "create view x as select 1",
    "create trigger x after insert on profiles begin select 1; end",
    "alter table profiles add column x",
    "attach database '/tmp/x.db' as x",
    "detach database main",
    "pragma user_version = 5",
    "pragma writable_schema = on",
    "select profile_id from pragma_table_info('profiles')",
    "select 1 as profile_id from pragma_user_version",
    "select count(*) as profile_id from pragma_wal_checkpoint",
    "select id from profiles where id in (select cid from pragma_table_info('profiles'))",
    "vacuum",
    "vacuum into '/tmp/x.db'",
    "-- quite harmless\nvacuum",
    "reindex",
    "analyze",
    "begin",
    "commit",
    "rollback",
    "savepoint x",
    "select load_extension('/tmp/x.so') as profile_id",
    "select writefile('/tmp/x', 'y') as profile_id",
    "select readfile('/etc/passwd') as profile_id",
    "select fts3_tokenizer('simple', x'00') as profile_id",
    "select edit('x') as profile_id",
    "select 1 as profile_id; delete from profiles",
    "select 1 as profile_id) ; delete from profiles; select (1",
    "select 1 as profile_id) union select (2",
    "select id from profiles /*",
    "explain delete from profiles",
    "explain query plan select id from profiles",
    "select name from sqlite_master",
    "select pageno as profile_id from dbstat",
    "select tagalong_matches('a', 1, email) as profile_id from profiles",
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "tagalong.db") as opened:
        yield opened


def people_of(*countries: str | None) -> World:
    world = World()
    for country in countries:
        world.person(country=country)
    return world


def refused(text: str) -> str:
    with pytest.raises(Refused) as caught:
        check(text, "profile_id", vocabulary())
    return str(caught.value)


def test_a_query_gives_the_people_whose_ids_it_yields(store: Store) -> None:
    """Of the universe: who is not there is not in it; what belongs to nobody is no one."""
    world = people_of("SE", "NO", "SE", None)
    world.profiles[2]["live"] = 0
    for person in (1, 2, 2):
        world.event(person, "Order", ago(days=person))
    world.events[0]["profile_id"] = None

    assert [1] == members(store, world, "sql(\"select id from profiles where country = 'SE'\")")
    assert [2] == members(store, world, 'sql("select profile_id from events")')
    assert [2, 4] == members(store, world, "not sql(\"select id from profiles where country = 'SE'\")")
    assert [1, 2] == members(store, world, 'sql("with a(n) as (values (1), (2), (77)) select n as profile_id from a;")')


def test_as_of_is_the_runs_clock(store: Store) -> None:
    world = people_of(None, None)
    world.event(1, "Order", ago(days=1))
    world.event(2, "Order", ago(days=5))
    text = 'sql("select profile_id from events where time <= :as_of - 3 * 86400000000")'
    assert [2] == members(store, world, text)
    assert [] == members(store, world, text, as_of=AS_OF.replace(day=25))


@pytest.mark.parametrize("text", WRITES)
def test_whatever_is_not_a_query_is_refused_at_load_with_the_reason(text: str) -> None:
    problem = problem_of("sql(" + repr(text) + ")")
    assert problem.message.startswith("sql ")
    assert 4 == problem.column


@pytest.mark.parametrize(
    "text", [*(t for t in WRITES if "union" not in t), "select email from profiles", "select 1 as profile_id, 2"]
)
def test_what_slipped_through_the_check_is_stopped_when_it_is_run(store: Store, text: str) -> None:
    """The same guard stands at evaluation: the store's bytes are the same afterwards, and it can be written as before."""
    people_of("SE").write(store)
    before = list(store.conn.iterdump())
    facts = read_facts(store, definitions({}), 0)

    with pytest.raises(LeafFailed, match=r"^sql: "):
        people(FromSql(text), facts)

    assert before == list(store.conn.iterdump())
    with store.atomic() as conn:
        conn.execute("UPDATE profiles SET country = 'NO'")
    assert (0,) == store.conn.execute("PRAGMA user_version").fetchone()


def test_reasons_say_what_was_refused() -> None:
    assert "may only read: DELETE is refused" == refused("delete from profiles")
    assert "may only read: ATTACH is refused" == refused("attach 'x' as y")
    assert "may only read: PRAGMA is refused" == refused("pragma user_version")
    assert "may only read: INSERT is refused" == refused("with x as (select 1) insert into profiles (id) select 1")
    assert "PRAGMA" in refused("select 1 as profile_id from pragma_user_version")
    assert "may not call load_extension()" == refused("select load_extension('x') as profile_id")
    assert "no such table: profile" in refused("select id from profile")
    assert "no such column: contry" in refused("select id from profiles where contry = 'SE'")
    assert "is empty" == refused(" ")
    assert "is longer than" in refused("select 1 as profile_id --" + "x" * 6000)


@pytest.mark.parametrize(
    "text",
    [
        "select id from profiles where created_at > strftime('%s', 'now')",
        "select id from profiles where created_at > unixepoch()",
        "select id from profiles where current_timestamp > 0",
        "select id from profiles order by random() limit 10",
        "select id from profiles where randomblob(1) > x'80'",
    ],
)
def test_a_clock_or_a_chance_of_its_own_is_refused(text: str) -> None:
    """One clock for a run, and the same answer for the same rows."""
    assert "another clock" in refused(text) or "may not call random" in refused(text)


def test_exactly_one_column_of_profile_ids() -> None:
    assert "yields 2 columns where one of profile ids is needed" == refused("select id, email from profiles")
    assert "yields email, and profile_id is needed: write ... AS profile_id" == refused("select email from profiles")
    assert "yields id, and profile_id is needed" in refused("select id from events")
    assert ("profiles",) == check("select id from profiles", "profile_id", vocabulary())
    assert ("events",) == check('select "profile_id" from events', "profile_id", vocabulary())


@pytest.mark.parametrize("value", ["'ann'", "1.5", "-1", "x'01'", "5000000000"])
def test_what_is_no_id_fails_its_own_segment(store: Store, value: str) -> None:
    people_of("SE").write(store)
    defined = definitions({"s": f'sql("select {value} as profile_id")', "fine": "exists(country)"})

    found = evaluate(store, defined, as_of=AS_OF)

    assert {"segment.s": "sql: yields something that is no profile id"} == found.failed
    assert [1] == list(found.sets["segment.fine"])


def test_a_query_that_runs_long_is_ended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recursion without end, a product of everything with everything; and the store works as before."""
    world = people_of(*["SE"] * 300)
    monkeypatch.setattr(compile_sql, "LIMIT_S", 0.2)
    product = "select count(*) as profile_id from profiles a, profiles b, profiles c, profiles d, profiles e"
    heavy = "with recursive c(x) as (select 'a' union all select x || x from c) select length(x) as profile_id from c"
    world.write(store)
    segments = {
        "endless": f'sql("{ENDLESS}")',
        "product": f'sql("{product}")',
        "heavy": f'sql("{heavy}")',
        "fine": "exists(email)",
    }
    defined = definitions(segments)

    found = evaluate(store, defined, as_of=AS_OF)

    assert {"segment.endless", "segment.product", "segment.heavy"} == found.failed.keys()
    assert "sql: ran longer than 0.2 s" == found.failed["segment.product"]
    assert 300 == len(found.sets["segment.fine"])


def test_endless_recursion_is_checked_without_being_run() -> None:
    assert () == check(ENDLESS, "profile_id", vocabulary())


def test_a_segment_rests_on_the_tables_it_reads() -> None:
    sets = definitions(
        {"events": 'sql("select profile_id from events")', "landed": 'sql("select profile_id from crm__contacts")'}
    ).sets
    assert {"web.events", "app.events"} <= sets["segment.events"].rests_on
    assert "survey.responses" not in sets["segment.events"].rests_on
    assert "crm.contacts" in sets["segment.landed"].rests_on


def test_a_table_that_was_never_pulled_is_awaited_not_refused() -> None:
    """All that rests on it is held; once it is there its columns are checked."""
    from dataclasses import replace

    words = vocabulary()
    streams = tuple(replace(s, completed=False, columns={}) if s.text == "crm.contacts" else s for s in words.streams)
    text = "select profile_id from crm__contacts where stage = 'lead'"
    assert ("crm__contacts",) == check(text, "profile_id", replace(words, streams=streams))
    assert "no such column" in refused("select profile_id from crm__contacts where stag = 'lead'")


def test_sql_is_approximate_in_the_past(store: Store) -> None:
    world = people_of("SE")
    world.write(store)
    found = evaluate(store, definitions({"s": 'sql("select id from profiles")'}), as_of=AS_OF.replace(day=1))
    assert "sql" in found.approximate["segment.s"]


def test_functions_that_may_be_called_do_not_reach_outside() -> None:
    assert not {"load_extension", "random", "randomblob", "readfile", "writefile", "edit", "fts3_tokenizer"} & FUNCTIONS


PIECES = [
    "select", "id", "profile_id", "from", "profiles", "events", "where", "union", "with", "recursive", "x", "as", "(",
    ")", "*", ",", ";", "delete", "insert", "into", "update", "set", "drop", "table", "pragma", "attach", "'x'", "1",
    "values", "returning", "--", "/*", "*/", "\n", "explain", "vacuum", "pragma_table_info('profiles')",
    "load_extension('x')", "json_each('[1]')", "limit", "order by",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join) | st.text(max_size=60))
def test_no_text_writes_or_raises_anything_but_a_reason(text: str) -> None:
    try:
        check(text, "profile_id", vocabulary())
    except Refused as error:
        assert str(error)
