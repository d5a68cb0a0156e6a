"""People who were told apart: in every resolve, whatever comes in which order, and back again."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.pulled import World, contact, stream
from support.story import Story, skips

from core.clock import to_us
from core.contract import Category, Kind, Merge, Page, Stream
from core.errors import ConfigError
from core.export import export
from core.run import plan
from core.store import cuts
from core.store.cuts import Node, severed
from core.unmerge import find_node, preview, undo, unmerge

ANN, BO = Node("email", "ann@example.com"), Node("email", "bo@example.com")
KEYS: dict[str, Any] = {"identifiers": {"contact_id": "id", "email": "email", "user_id": "user"}}
CUSTOMER: dict[str, Any] = {"identifiers": {"customer_id": "id", "email": "email", "user_id": "user"}}
VISIT: dict[str, Any] = {
    "identifiers": {"user_id": "user", "email": "email", "anon": "anon"}, "fields": {"name": "event", "time": "at"},
}  # fmt: skip


class Tools(World):
    """A CRM, a billing tool and a web tool whose lists a test fills."""

    def __init__(self, path: Path) -> None:
        self.contacts: list[dict[str, Any]] = []
        self.customers: list[dict[str, Any]] = []
        self.visits: list[dict[str, Any]] = []
        super().__init__(
            path,
            crm=(Category.CRM, [stream("contacts", lambda: self.contacts, size=50, fields={"first_name": "name"}, **KEYS)]),
            billing=(Category.BILLING, [stream("customers", lambda: self.customers, size=50, **CUSTOMER)]),
            web=(Category.ANALYTICS, [stream("visits", lambda: self.visits, Kind.EVENT, size=50, **VISIT)]),
        )

    def cut(self, keep: Node, part: Node) -> None:
        with self.store.atomic() as conn:
            cuts.add(conn, keep, part, at=to_us(self.at))
        self.resolve()

    def uncut(self, keep: Node, part: Node) -> None:
        with self.store.atomic() as conn:
            assert cuts.remove(conn, keep, part)
        self.resolve()

    def of(self, kind: str, value: str) -> int | None:
        rows = self.rows("SELECT profile_id FROM identifiers WHERE kind = ? AND value = ?", kind, value)
        return rows[0][0] if rows else None

    def profile(self, connection: str, ref: str) -> int | None:
        sql = "SELECT s.profile_id FROM subjects s JOIN streams t ON t.id = s.stream_id JOIN connections c"
        found: int | None = self.one(f"{sql} ON c.id = t.connection_id WHERE c.name = ? AND s.ref = ?", connection, ref)
        return found

    def whole(self) -> set[frozenset[str]]:
        """Records and identifiers by profile: who is who, whatever the ids."""
        found: dict[int, set[str]] = {}
        for profile, name in self.rows(
            "SELECT s.profile_id, t.name || ':' || s.ref FROM subjects s JOIN streams t ON t.id = s.stream_id"
            " WHERE s.live = 1 AND s.profile_id IS NOT NULL UNION ALL"
            " SELECT profile_id, kind || ':' || value FROM identifiers WHERE profile_id IS NOT NULL AND known = 1"
        ):
            found.setdefault(profile, set()).add(name)
        return {frozenset(names) for names in found.values()}


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path / "store.db")


def test_a_wrong_link_is_cut_and_stays_cut(tools: Tools) -> None:
    """A shared user id joined two people; whatever comes later does not join them again, and undoing it does."""
    tools.contacts = [contact(1, "ann@example.com", user="42", name="Ann")]
    tools.customers = [contact(7, "bo@example.com", user="42")]
    tools.everything()
    before = tools.whole()
    profile = tools.of(*ANN)
    assert profile == tools.of(*BO)

    tools.cut(ANN, BO)
    assert {
        frozenset({"contacts:1", "email:ann@example.com", "user_id:42", "crm.contact_id:1"}),
        frozenset({"customers:7", "email:bo@example.com", "billing.customer_id:7"}),
    } == tools.whole()  # fmt: skip
    assert (profile, False) == (tools.of(*ANN), profile == tools.of(*BO))

    tools.contacts.append(contact(2, "bo@example.com", user="42", name="Bo"))
    tools.customers[0] = contact(7, "bo@example.com", user="42", note="changed")
    tools.everything()
    assert tools.of(*ANN) != tools.of(*BO)

    tools.uncut(BO, ANN)  # in whichever order they are named
    assert (profile, profile) == (tools.of(*ANN), tools.of(*BO))
    assert {names | {"crm.contact_id:2", "contacts:2"} for names in before} == tools.whole()


def test_which_side_gets_what_lies_between(tools: Tools) -> None:
    """The nearer one; where it is as near to both, the one that is kept."""
    tools.contacts = [contact(1, "ann@example.com", user="42")]
    tools.customers = [contact(7, "bo@example.com", user="42")]
    tools.everything()
    tools.cut(BO, ANN)
    assert tools.of(*BO) == tools.of("user_id", "42") != tools.of(*ANN)
    tools.cut(ANN, BO)  # said again the other way round: instead, not besides
    assert tools.of(*ANN) == tools.of("user_id", "42") != tools.of(*BO)
    assert 1 == len(cuts.cuts(tools.store.conn))
    tools.cut(Node("record billing.customers", "7"), Node("record crm.contacts", "1"))
    assert 2 == len(cuts.cuts(tools.store.conn))


def test_a_record_counts_as_one_of_its_identifiers_would(tools: Tools) -> None:
    """Else all that it shares would be its own, whoever was named first."""
    tools.contacts = [contact(1, "ann@example.com", user="42")]
    tools.customers = [contact(7, "bo@example.com", user="42")]
    tools.everything()
    record = Node("record billing.customers", "7")
    for keep, part, whose in ((ANN, record, ANN), (record, ANN, BO), (ANN, BO, ANN), (BO, ANN, BO)):
        tools.cut(keep, part)
        assert tools.of(*ANN) != tools.of(*BO)
        assert tools.of(*whose) == tools.of("user_id", "42")
        tools.uncut(keep, part)
    tools.cut(BO, record)  # its own address alone: the record keeps the rest
    assert tools.of(*BO) is None
    assert tools.of(*ANN) == tools.of("user_id", "42") == tools.profile("billing", "7")


def test_an_identifier_of_one_record_alone_is_nobodys(tools: Tools) -> None:
    """The record is as near to both, and so it is the other's."""
    tools.contacts = [contact(1, "ann@example.com", user="42")]
    tools.everything()
    tools.cut(ANN, Node("user_id", "42"))
    assert tools.of(*ANN) is not None
    assert tools.of("user_id", "42") is None
    assert [(None,)] == tools.rows("SELECT user_id FROM profiles")


def test_events_go_with_the_identifier_that_names_them(tools: Tools) -> None:
    """They only point at somebody, and now at somebody else."""
    tools.contacts = [contact(1, "ann@example.com", user="42")]
    tools.customers = [contact(7, "bo@example.com", user="42"), contact(8, user="42")]
    tools.visits = [{"id": "v1", "user": "42", "event": "Seen", "at": "2026-01-01"}]
    tools.visits += [{"id": "v2", "email": "bo@example.com", "event": "Seen", "at": "2026-01-01"}]
    tools.everything()
    tools.cut(BO, ANN)
    assert {"v1": tools.of(*BO), "v2": tools.of(*BO)} == dict(tools.rows("SELECT key, profile_id FROM events"))
    tools.cut(ANN, BO)
    assert {"v1": tools.of(*ANN), "v2": tools.of(*BO)} == dict(tools.rows("SELECT key, profile_id FROM events"))


def test_what_a_vendor_joined_can_be_cut_by_its_identifiers(tmp_path: Path) -> None:
    """But not its records, of which one is no more: that is the vendor's to take apart."""
    records = [contact(1, "ann@example.com"), contact(2, "bo@example.com")]

    def pull(api: object, cursor: object, resume: str | None) -> Any:
        merged = [Merge("2", "1")] if len(records) == 1 else []
        yield Page(list(records), merged=merged)

    made = Stream("contacts", Kind.PROFILE, key="id", pull=pull, **KEYS)
    world = World(tmp_path / "t.db", crm=(Category.CRM, [made]))
    world.everything()
    del records[1:]
    world.everything()
    assert 1 == len(set(world.rows("SELECT profile_id FROM identifiers WHERE kind = 'email'")))
    with pytest.raises(ConfigError, match="joined into another record by its vendor"):
        find_node(world.store, "crm.contacts:2")
    with world.store.atomic() as conn:
        cuts.add(conn, ANN, BO, at=to_us(world.at))
    world.resolve()
    assert 2 == len(set(world.rows("SELECT profile_id FROM identifiers WHERE kind = 'email'")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cy@example.com", "nothing in the store is known by"),
        ("web.visits:v1", "nothing in the store is known by"),
        ("crm.contacts:9", "is deleted"),
        ("nps.typed:r1", "only points at somebody"),
        ("company_domain:a.example.com", "names a company"),
        ("user_id:shared", "is blocked"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    """Before anything is changed."""
    people = [contact(i, f"p{i}@example.com", user="shared", domain="a.example.com") for i in range(6)]
    gone = [contact(9, "gone@example.com")]
    keys = {"identifiers": {**KEYS["identifiers"], "company_domain": "domain"}}
    world = World(
        tmp_path / "t.db",
        crm=(Category.CRM, [stream("contacts", lambda: people + gone, size=50, **keys)]),
        nps=(Category.SURVEY, [stream("typed", [contact("r1", "p1@example.com")], Kind.ANSWER, **KEYS)]),
    )  # fmt: skip
    world.everything()
    with world.store.atomic() as conn:
        conn.execute("UPDATE subjects SET live = 0 WHERE ref = '9'")
    with pytest.raises(ConfigError, match=message):
        find_node(world.store, text)


def test_names_are_read_as_people_write_them(tools: Tools) -> None:
    """An address by itself, a user id by itself, a kind with either sign, a record."""
    tools.contacts = [contact(1, "ann@example.com", user="42")]
    tools.everything()
    found = {text: find_node(tools.store, text) for text in (
        " Ann@Example.com", "42", "user_id=42", "user_id:42", "crm.contacts:1", "crm.contact_id:1", "email:ANN@example.com",
    )}  # fmt: skip
    assert [ANN, Node("user_id", "42"), Node("user_id", "42"), Node("user_id", "42"), Node("record crm.contacts", "1"),
            Node("crm.contact_id", "1"), ANN] == list(found.values())  # fmt: skip


# --- whatever the order ----------------------------------------------------------------------------------------------

Steps = list[tuple[str, Any]]


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[Steps], list[tuple[Node, Node]]]:
    """Records with few addresses and user ids, so that they hang together; and a few cuts."""
    emails = [f"{n}@example.com" for n in "abcd"]
    users = ["1", "2", "3"]
    record = st.tuples(st.sampled_from([*emails, None]), st.sampled_from([*users, None]))
    contacts = draw(st.lists(record, min_size=2, max_size=6))
    customers = draw(st.lists(record, max_size=5))
    nodes = st.sampled_from([*(Node("email", e) for e in emails), *(Node("user_id", u) for u in users),
                             Node("record crm.contacts", "0"), Node("record crm.contacts", "1")])  # fmt: skip
    pairs = draw(st.lists(st.tuples(nodes, nodes).filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=3))
    made = [("contacts", n, e, u) for n, (e, u) in enumerate(contacts)]
    made += [("customers", n, e, u) for n, (e, u) in enumerate(customers)]
    return made, pairs


def _put(tools: Tools, table: str, id_: int, email: str | None, user: str | None) -> None:
    getattr(tools, table).append(contact(id_, email, user=user))


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(life=lives(), seed=st.integers(0, 999))
def test_who_is_who_does_not_depend_on_the_order_of_records_and_cuts(tmp_path_factory: Any, life: Any, seed: int) -> None:
    """All at once with the cuts first, or one after the other with the cuts in between and some records gone and back."""
    made, pairs = life
    at_once = Tools(tmp_path_factory.mktemp("a") / "t.db")
    with at_once.store.atomic() as conn:
        for pair in pairs:
            cuts.add(conn, *pair, at=0)
    for one in made:
        _put(at_once, *one)
    at_once.everything()

    rng = random.Random(seed)
    slowly = Tools(tmp_path_factory.mktemp("b") / "t.db")
    steps = [("put", one) for one in rng.sample(made, len(made))]
    # a cut of the same two the other way round takes the place of the first: their order stays
    waiting = list(pairs)
    while steps or waiting:
        if waiting and (not steps or rng.random() < 0.3):
            with slowly.store.atomic() as conn:
                cuts.add(conn, *waiting.pop(0), at=0)
            slowly.resolve()
        else:
            _put(slowly, *steps.pop(0)[1])
            if rng.random() < 0.7:
                slowly.everything()
                if rng.random() < 0.3:
                    _gone_and_back(slowly, rng)
    slowly.everything()
    assert at_once.whole() == slowly.whole()
    for keep, part in pairs:
        ends = [_whose(slowly, keep), _whose(slowly, part)]
        assert None in ends or ends[0] != ends[1]
    at_once.store.close()
    slowly.store.close()


def _gone_and_back(tools: Tools, rng: random.Random) -> None:
    kept = tools.contacts
    gone = rng.choice(kept) if kept else None
    if gone is None:
        return
    with tools.store.atomic() as conn:
        conn.execute("UPDATE subjects SET live = 0, dirty = 1 WHERE ref = ? AND stream_id = 1", (gone["id"],))
    tools.resolve()
    with tools.store.atomic() as conn:
        conn.execute("UPDATE subjects SET live = 1, dirty = 1 WHERE ref = ? AND stream_id = 1", (gone["id"],))


def _whose(tools: Tools, node: Node) -> int | None:
    if node.name.startswith(cuts.RECORD):
        rows = tools.rows("SELECT profile_id FROM subjects WHERE stream_id = 1 AND ref = ?", node.value)
        return rows[0][0] if rows else None
    return tools.of(*node)


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(life=lives())
def test_told_apart_and_back_are_the_same_profiles(tmp_path_factory: Any, life: Any) -> None:
    """By number too: whatever points at them stays right."""
    made, pairs = life
    tools = Tools(tmp_path_factory.mktemp("a") / "t.db")
    for one in made:
        _put(tools, *one)
    tools.everything()
    sql = "SELECT id, profile_id FROM subjects ORDER BY id"
    before, who = tools.rows(sql), tools.whole()
    for pair in pairs:
        tools.cut(*pair)
    for cut in cuts.cuts(tools.store.conn):
        tools.uncut(cut.keep, cut.part)
    assert (before, who) == (tools.rows(sql), tools.whole())
    assert 0 == tools.one("SELECT count(*) FROM cut_subjects")
    tools.store.close()


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.tuples(st.integers(1, 6), st.integers(1, 7)), max_size=18),
    st.lists(st.tuples(st.integers(-6, 7), st.integers(-6, 7)), max_size=4),
    st.randoms(use_true_random=False),
)
def test_cutting_parts_each_pair_and_no_more(edges: set[tuple[int, int]], pairs: Any, rng: random.Random) -> None:
    """By the links alone: neither the order of links nor the numbers of nodes away from the cut matter."""
    pairs = [(a, b) for a, b in pairs if 0 not in (a, b) and a != b]
    gone = severed(edges, pairs)
    shuffled = list(edges)
    rng.shuffle(shuffled)
    assert gone == severed(shuffled, pairs)
    assert gone <= edges
    left = _groups(edges - gone)
    for a, b in pairs:
        assert not any({a, b} <= group for group in left)
    # each cut makes two of one, at most: nothing else is torn
    assert len(left) <= len(_groups(edges)) + len(pairs) + _alone(edges, gone)


def _groups(edges: set[tuple[int, int]]) -> list[set[int]]:
    groups: list[set[int]] = []
    for identifier, subject in edges:
        touching = [group for group in groups if group & {-identifier, subject}]
        groups = [group for group in groups if group not in touching]
        groups.append({-identifier, subject}.union(*touching))
    return groups


def _alone(edges: set[tuple[int, int]], gone: set[tuple[int, int]]) -> int:
    nodes = {node for i, s in edges for node in (-i, s)} - {node for i, s in edges - gone for node in (-i, s)}
    return -len(nodes)


# --- who is listed then ----------------------------------------------------------------------------------------------


def wrongly_joined(tmp_path: Path) -> Story:
    """Persons 1 and 2, both wanted, whose records came to share a user id; and one who is not concerned."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    story.people(1, user_id="u1")
    story.people(2, user_id="u1")
    story.sync()
    return story


def test_the_listed_member_is_whose_key_it_is_and_nobody_is_removed(tmp_path: Path) -> None:
    """The other one is added if wanted; what is there stays there, and the next plan has nothing to do."""
    story = wrongly_joined(tmp_path)
    listed = story.there()
    moved = list(story.vendor.log)
    hub = story.hub()
    with hub.store() as store:
        one, two = (find_node(store, f"p{n}@example.com") for n in (1, 2))
        split = preview(hub, store, one, two)
        assert split.were_one
        assert [["segment.vip"], ["segment.vip"]] == [split.keep.segments, split.part.segments]
        assert [] == cuts.cuts(store.conn)  # a look changes nothing
        unmerge(hub, store, one, two)
    report = story.sync()
    assert listed < story.there() == {"1", "2", "3"}
    assert ["add"] == [op for _, op, _ in story.vendor.log[len(moved) :]]
    assert {} == {k: v for k, v in skips(report).items() if k == "duplicate identifier"}
    assert [] == [one for one in plan(story.hub()) if one.adds or one.removes or one.moves]

    with hub.store() as store:
        assert undo(hub, store, one, two)
    story.sync()
    story.sync()
    assert {"3"} <= story.there() <= {"1", "2", "3"}
    assert 2 <= len(story.there())


def test_the_row_goes_to_whose_key_it_is_though_no_field_changed(tmp_path: Path) -> None:
    """The older record keeps the profile's number; the address that is listed may be the other's."""
    story = wrongly_joined(tmp_path)
    with story.store() as store:
        key, profile = store.conn.execute(
            "SELECT member_key, profile_id FROM ledger WHERE member_key <> 'p3@example.com'"
        ).fetchone()
    other = "p2@example.com" if key == "p1@example.com" else "p1@example.com"
    hub = story.hub()
    with hub.store() as store:
        unmerge(hub, store, find_node(store, other), find_node(store, key))
    story.people(int(other[1]), stage="lead")  # only the listed one is wanted
    story.sync()
    assert {key[1], "3"} == story.there()
    assert [] == story.vendor.moved("remove")
    with story.store() as store:
        rows = store.conn.execute(
            "SELECT l.profile_id = i.profile_id FROM ledger l JOIN identifiers i ON i.kind = 'email' AND i.value = l.member_key"
        ).fetchall()
    assert {(1,)} == set(rows)
    assert profile is not None


def test_each_gets_the_history_back_that_was_theirs_before_they_were_joined(tmp_path: Path) -> None:
    """By the address that each number had; and an export of the one says nothing of the other."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    story.sync()
    with story.store() as store:
        was = dict(store.conn.execute("SELECT email, id FROM profiles").fetchall())
    story.people(1, user_id="u1")
    story.people(2, user_id="u1")
    story.sync()
    with story.store() as store:
        assert 1 == store.conn.execute("SELECT count(*) FROM profile_aliases").fetchone()[0]
    hub = story.hub()
    with hub.store() as store:
        one, two = (find_node(store, f"p{n}@example.com") for n in (1, 2))
        unmerge(hub, store, one, two)
        for n, other in ((1, 2), (2, 1)):
            (id_,) = store.conn.execute("SELECT profile_id FROM identifiers WHERE value = ?", (f"p{n}@example.com",)).fetchone()
            text = io.StringIO()
            export(store, story.config(), id_, text, at=story.now, traits={})
            found = json.loads(text.getvalue())
            assert was[f"p{n}@example.com"] in (id_, *found["profile"]["joined"])
            assert f"p{other}@example.com" not in text.getvalue()
            (row,) = found["segments"]
            assert ["entered"] == list(dict.fromkeys(one["what"] for one in row["history"]))[:1]
        undo(hub, store, one, two)
        assert {was["p1@example.com"]} == {id_ for (id_,) in store.conn.execute("SELECT new_id FROM profile_aliases")}


def test_a_no_stays_with_who_said_it(tmp_path: Path) -> None:
    """Told apart, the other is free to be added, and who said no is not."""
    story = Story(tmp_path, category=Category.EMAIL)
    story.people(1, 2)
    story.people(2, user_id="u1", consent="denied")
    story.people(1, user_id="u1")
    story.sync()
    assert set() == story.there()
    hub = story.hub()
    with hub.store() as store:
        unmerge(hub, store, find_node(store, "p1@example.com"), find_node(store, "p2@example.com"))
    story.sync()
    assert {"1"} == story.there()


def test_a_store_without_cuts_pays_one_question(tools: Tools) -> None:
    """Nothing is made anew that did not change."""
    tools.contacts = [contact(1, "ann@example.com")]
    tools.everything()
    asked: list[str] = []
    tools.contacts.append(contact(2, "bo@example.com"))
    tools.pull("crm")
    tools.store.conn.set_trace_callback(asked.append)
    tools.resolve()
    tools.store.conn.set_trace_callback(None)
    about = [sql for sql in asked if "cut_subjects" in sql or "identity_cuts" in sql]
    assert 2 == len(about)
    assert all("SELECT EXISTS" in sql for sql in about)
