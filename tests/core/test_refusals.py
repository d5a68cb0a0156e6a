"""The suppression ledger: a no survives whatever becomes of the rows that told of it, and can be entered and lifted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap
from support.pulled import contact
from test_consents import Lists

from core.clock import to_us
from core.store import Store, consents, refusals
from core.store.refusals import Refusal, enter, identifier, lift, standing
from core.store.sources import bind_account, rebind


@pytest.fixture(params=["few", "many"])
def lists(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lists:
    """Ann said no, Bo said yes, at a mail tool whose account is known."""
    if request.param == "many":
        monkeypatch.setattr(consents, "MANY", 0)
    made = Lists(tmp_path / "t.db")
    bind_account(made.store, "mail", "acc-1")
    with made.store.atomic() as conn:  # as if the account had been known before the first pull, as it is in life
        conn.execute("DELETE FROM refusals")
        conn.execute("UPDATE subjects SET dirty = 1")
    made.resolve()
    return made


def _drop_connection(lists: Lists) -> None:
    """As somebody does who cleans up the database by hand: every row that the mail tool brought, and itself."""
    with lists.store.atomic() as conn:
        for table in ("consents", "profile_rows", "subjects"):
            conn.execute(f"DELETE FROM {table} WHERE stream_id = (SELECT id FROM streams WHERE name = 'members')")
        conn.execute("DELETE FROM streams WHERE name = 'members'")
        conn.execute("DELETE FROM connections WHERE name = 'mail'")


def _rebind(lists: Lists) -> None:
    rebind(lists.store, "mail")


def _resync(lists: Lists) -> None:
    """Rebound, and pulled from scratch, from an account whose list is empty by now."""
    rebind(lists.store, "mail")
    lists.members.clear()
    lists.register()
    lists.go_on()


def _rename(lists: Lists) -> None:
    """The connection is called something else, and its records are gone there."""
    lists.members.clear()
    lists.connections["newsletter"] = lists.connections.pop("mail")
    lists.register()
    lists.resolve()


@pytest.mark.parametrize("ends", [_drop_connection, _rebind, _resync, _rename])
def test_a_no_survives_whatever_becomes_of_its_rows(lists: Lists, ends: Any) -> None:
    """The address is remembered for itself."""
    assert {"ann@example.com"} == lists.said_no()
    ends(lists)
    assert {"ann@example.com"} == lists.said_no()


def test_without_the_ledger_a_dropped_connection_takes_the_no_along(lists: Lists) -> None:
    """The harm: she would be written to again."""
    _drop_connection(lists)
    with lists.store.atomic() as conn:
        conn.execute("DELETE FROM refusals")
    assert set() == lists.said_no()


def test_an_address_that_said_no_stays_refused_when_its_record_has_another(lists: Lists) -> None:
    """The member changes her address; whoever comes with the old one is not added either."""
    lists.say("m1", "ann.new@example.com", "denied")
    lists.contacts = [contact(2, "bo@example.com"), contact(9, "ann@example.com")]
    lists.go_on()
    assert {"ann.new@example.com", "ann@example.com"} == lists.said_no()


def test_only_a_yes_of_that_very_record_ends_it(lists: Lists) -> None:
    """Not another record's, nor one of another account's, whatever its key."""
    lists.say("m9", "ann@example.com", "granted")
    lists.go_on()
    assert {"ann@example.com"} == lists.said_no()
    assert ["mail/acc-1.members"] == [one.source for one in standing(lists.store.conn)]

    lists.say("m1", "ann@example.com", "granted")
    lists.go_on()
    assert set() == lists.said_no()
    assert [] == standing(lists.store.conn)
    assert [("yes",)] == lists.rows("SELECT ended_by FROM refusals")

    lists.say("m1", "ann@example.com", "denied")
    lists.go_on()
    assert {"ann@example.com"} == lists.said_no()


def test_by_hand_it_is_entered_and_lifted(lists: Lists) -> None:
    """For a channel, with a reason; it is there for whoever comes with the address later."""
    with lists.store.atomic() as conn:
        assert enter(conn, "email", "bo@example.com", channel="email", reason="by letter", at=7)
        assert not enter(conn, "email", "bo@example.com", channel="email", reason="once more", at=8)
        assert enter(conn, "email", "new@example.com", channel="email", reason="", at=7)
        assert enter(conn, "user_id", "u7", channel="sms", reason="", at=7)
    assert {"ann@example.com", "bo@example.com"} == lists.said_no()
    lists.contacts.append(contact(5, "new@example.com"))
    lists.go_on()
    assert {"ann@example.com", "bo@example.com", "new@example.com"} == lists.said_no()

    with lists.store.atomic() as conn:
        assert (1, []) == lift(conn, "email", "bo@example.com", channel="email", at=9)
        assert (0, []) == lift(conn, "email", "bo@example.com", channel="email", at=9)
        assert enter(conn, "email", "bo@example.com", channel="email", reason="again", at=10)
    found = standing(lists.store.conn, [("email", "bo@example.com")])
    assert [Refusal("email", "bo@example.com", channel="email", source="hand", since=10, reason="again")] == found


def test_what_a_tool_still_says_nobody_lifts(lists: Lists) -> None:
    """Only the person can, there; of a tool that is gone, a person can here."""
    with lists.store.atomic() as conn:
        ended, kept = lift(conn, "email", "ann@example.com", channel="email", at=9)
    assert (0, ["mail/acc-1.members"]) == (ended, [one.source for one in kept])
    assert {"ann@example.com"} == lists.said_no()

    _rename(lists)
    with lists.store.atomic() as conn:
        ended, kept = lift(conn, "email", "ann@example.com", channel="email", at=9)
    assert (1, []) == (ended, kept)
    assert set() == lists.said_no()


def test_a_refusal_holds_for_its_channel(lists: Lists) -> None:
    """A no to letters is no no to e-mail, unless a sync asks about any."""
    with lists.store.atomic() as conn:
        enter(conn, "email", "bo@example.com", channel="post", reason="", at=1)
    people = BitMap(row[0] for row in lists.rows("SELECT id FROM profiles WHERE email = 'bo@example.com'"))
    assert not consents.denied(lists.store.conn, people)
    assert people == consents.denied(lists.store.conn, people, channel=None)


def test_the_ledger_begins_with_what_stood_before_it(tmp_path: Path) -> None:
    """A store of an earlier version has refusals in its rows alone."""
    from core.store.schema import erasure

    made = Lists(tmp_path / "t.db")
    with made.store.atomic() as conn:
        conn.execute("DELETE FROM refusals")
        conn.execute(erasure._REFUSED_BEFORE)
    (one,) = standing(made.store.conn)
    assert ("email", "ann@example.com", True) == (one.kind, one.value, one.standing)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (" Ann@Example.com ", ("email", "ann@example.com")),
        ("email:ann@example.com", ("email", "ann@example.com")),
        ("user_id:42", ("user_id", "42")),
        ("42", None),
        ("email:nobody", None),
        ("phone:+46", None),
    ],
)
def test_whom_a_person_types(typed: str, read: tuple[str, str] | None) -> None:
    """An address by itself, anything else by its kind."""
    assert read == identifier(typed)


def test_a_refusal_of_somebody_forgotten_stands_when_they_are_let_back(tmp_path: Path) -> None:
    """As a keyed hash in between; whichever address they come back with."""
    from core.store.forgettings import begin, digests
    from core.store.forgettings import lift as let_back
    from core.store.person_key import ensure_key
    from core.store.sweep import sweep
    from core.store.traces import gather

    lists = Lists(tmp_path / "t.db")
    (ann,) = (row[0] for row in lists.rows("SELECT id FROM profiles WHERE email = 'ann@example.com'"))
    with lists.store.atomic() as conn:
        key = ensure_key(conn, lists.store.path)
        traces = gather(conn, [ann])
        marks = digests(conn, key, traces)
        begin(conn, b"x", marks, traces.profiles, at=1)
        sweep(conn, traces, key, now=to_us(lists.at))
    lists.resolve()
    assert ["forgotten"] == [kind for (kind,) in lists.rows("SELECT DISTINCT kind FROM refusals")]
    assert [] == standing(lists.store.conn)

    with lists.store.atomic() as conn:
        let_back(conn, marks)
    del lists.members["m1"]
    lists.go_on()
    assert {"ann@example.com"} == lists.said_no()
    assert [("email", "hand")] == lists.rows("SELECT kind, source FROM refusals WHERE value = 'ann@example.com'")


def test_an_address_that_a_forgotten_person_had_before_is_a_keyed_hash_too(tmp_path: Path) -> None:
    """What was said under it stands, for whoever comes with it; but it is not there to be read."""
    from core.store.person_key import ensure_key
    from core.store.sweep import sweep
    from core.store.traces import gather

    lists = Lists(tmp_path / "t.db")
    bind_account(lists.store, "mail", "acc-1")
    lists.say("m1", "ann.old@example.com", "denied")
    lists.go_on()
    lists.say("m1", "ann.new@example.com", "denied")
    lists.contacts = [contact(2, "bo@example.com")]
    lists.go_on()
    with lists.store.atomic() as conn:
        (ann,) = conn.execute("SELECT id FROM profiles WHERE email = 'ann.new@example.com'").fetchone()
        sweep(conn, gather(conn, [ann]), ensure_key(conn, lists.store.path), now=to_us(lists.at))
    lists.resolve()
    assert [] == [value for _, value in lists.rows("SELECT kind, value FROM refusals WHERE value LIKE 'ann.%'")]

    lists.members.clear()
    lists.contacts = [contact(9, "ann.old@example.com")]
    lists.go_on()
    assert "ann.old@example.com" in lists.said_no()


def _steps(tmp_path: Path, many: int) -> int:
    """Return how much SQLite does, in thousands of steps, to list *many* refusals and look for people who were let back."""
    steps = [0]
    with Store(tmp_path / f"{many}.db") as store:
        with store.atomic() as conn:
            conn.execute("INSERT INTO connections (name, connector, category, account) VALUES ('mail', 'mail', 'email', 'a')")
            conn.execute(
                "INSERT INTO streams (id, connection_id, name, kind, trust, landing) VALUES (1, 1, 'm', 'profile', 'key', '')"
            )
            rows = [(1, f"r{n}", f"r{n}", n, "email", "denied") for n in range(many)]
            names = "stream_id, key, record_key, subject_id, channel, state"
            conn.executemany(f"INSERT INTO consents ({names}) VALUES (?, ?, ?, ?, ?, ?)", rows)
            said = [("email", f"p{n}@example.com", "mail/a.m", f"r{n}") for n in range(many)]
            said += [("forgotten", n.to_bytes(32, "big").hex(), "hand", "") for n in range(many)]
            names = "kind, value, source, record_key, channel, since"
            conn.executemany(f"INSERT INTO refusals ({names}) VALUES (?, ?, ?, ?, 'email', 0)", said)
            marks = [(n.to_bytes(32, "big"), "x") for n in range(many)]
            conn.executemany("INSERT INTO forgotten (digest, forgetting) VALUES (?, ?)", marks)
            conn.execute("CREATE TEMP TABLE r_dirty (id INTEGER PRIMARY KEY)")

        def step() -> None:
            steps[0] += 1

        store.conn.set_progress_handler(step, 100)
        assert [True] * many == [one.standing for one in standing(store.conn)]
        refusals.note_said(store.conn, store.path, 1)
        store.conn.set_progress_handler(None, 0)
    return steps[0]


def test_four_times_as_many_take_four_times_as_long(tmp_path: Path) -> None:
    """Every resolve looks whether somebody was let back; a list of all who said no may be long."""
    assert _steps(tmp_path, 2_000) < 6 * _steps(tmp_path, 500)
