"""All that is known of one person, whatever table it is in, and nothing of anybody else."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap
from support.pulled import CONTACT, World, contact, stream
from support.story import Story

from core.clock import iso, to_us, utc_now
from core.contract import Amount, Category, Kind
from core.errors import ConfigError, HubError
from core.export import export, find_person
from core.export.tables import BOOKKEEPING, IMPERSONAL, PERSONAL
from core.export.write import MANY, ONE
from core.segments.indexes import ensure_indexes
from core.store import Store

OWN, OTHER = 11, 12
AT = 1_767_225_600_000_000
LEFT_OUT = {
    "content_hash", "value_hash", "definition", "trust", "landing", "account", "target", "slice", "job",  # how we work
    "certificate", "forgettings.name", "audiences.of",
    "companies.industry", "companies.country", "audiences.sync", "audiences.remote_id",  # a company's or an audience's own
}  # fmt: skip
"""Text columns, of all tables or of one, that say nothing of a person."""


def exported(store: Store, profile_id: int = OWN, **options: Any) -> dict[str, Any]:
    text = io.StringIO()
    config = options.pop("config", None) or Story(store.path.parent).config()
    export(store, config, profile_id, text, at=utc_now(), traits={"score": 7}, **options)
    found: dict[str, Any] = json.loads(text.getvalue())
    return found


def tables(store: Store) -> list[str]:
    names = [row[0] for row in store.conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    landing = {row[0] for row in store.conn.execute("SELECT landing FROM streams")}
    return [name for name in names if not name.startswith(BOOKKEEPING) and name not in landing]


@pytest.fixture
def lived_in(tmp_path: Path) -> Store:
    """A store that pulls, evaluations and syncs have made all their tables in."""
    story = Story(tmp_path, with_events=True)
    story.people(1, 2)
    story.event(1, "Seen", story.now)
    story.sync()
    hub = story.hub()
    store = hub.store()
    ensure_indexes(store, hub.definitions(store))
    return store


def test_every_table_is_declared(lived_in: Store) -> None:
    """A new table is nobody's until somebody has thought of it: this fails, and `core/export/tables.py` is where to say it."""
    there = set(tables(lived_in))
    assert there == PERSONAL.keys() | IMPERSONAL.keys()
    assert not PERSONAL.keys() & IMPERSONAL.keys()
    assert set(PERSONAL.values()) <= ONE.keys() | MANY.keys()


def test_no_table_that_names_a_person_is_called_impersonal(lived_in: Store) -> None:
    """By its columns: whoever adds one that holds a profile, a subject or a key has to export it."""
    telling = {
        "profile_id",
        "subject_id",
        "member_key",
        "old_id",
        "value",
        "owned",
        "members",
        "adds",
        "removes",
        "entered",
        "profiles",
    }
    allowed = {"settings", "churn"}  # notes of the hub's own, and counts
    for table in IMPERSONAL.keys() - allowed:
        columns = {row[1] for row in lived_in.conn.execute(f"PRAGMA table_info({table})")}
        assert not columns & telling, table


def test_every_text_of_a_person_is_in_the_export_and_nobody_elses(tmp_path: Path) -> None:
    """Each personal table has a row of theirs and one of a stranger's, each column a word of its own."""
    with Store(tmp_path / "t.db") as store:
        marks = {who: _furnish(store, who, id_) for who, id_ in (("own", OWN), ("other", OTHER))}
        found = exported(store)
    text = json.dumps(found)

    assert [] == [mark for mark in marks["own"] if mark not in text]
    assert [] == [mark for mark in marks["other"] if mark in text]
    assert "somebody-else" not in text  # from whom they were told apart is that other's to know
    assert len(marks["own"]) > 100
    empty = [name for name in [*ONE, *MANY] if not found[name]]
    assert [] == empty


def _furnish(store: Store, who: str, id_: int) -> list[str]:
    """Write a row of *id_* into every personal table; return the words that it is to be known by."""
    conn, marks = store.conn, []
    if who == "own":
        conn.execute("INSERT INTO connections (id, name, connector, category) VALUES (1, 'crm', 'acme', 'crm')")
        conn.execute(
            "INSERT INTO streams (id, connection_id, name, kind, trust, landing) VALUES (1, 1, 'people', 'profile', 'key', 'l')"
        )
        conn.execute("CREATE TABLE l (key, subject_id, profile_id, slice, changed_at, deleted_at, more, a, b)")
        conn.execute(
            "INSERT INTO catalogue VALUES (1, 'A.true', 'a', 'text', 0, NULL, NULL), (1, 'B', 'b', 'time', 0, NULL, NULL)"
        )
    landing = (f"{who}-ref", id_, id_, "", AT, None, json.dumps({"more": f"{who}.l.more"}), f"{who}.l.a", AT)
    conn.execute("INSERT INTO l VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", landing)
    marks += [f"{who}.l.a", f"{who}.l.more"]
    order = sorted(PERSONAL, key=lambda table: (table != "intents", table))
    for table in order:
        columns = conn.execute(f"PRAGMA table_info({table})").fetchall()
        row = {name: _cell(who, id_, table, name, type_) for _, name, type_, *_ in columns}
        marks += [
            value if not value.startswith(("{", "[")) else f"{who}.{table}.{name}"
            for name, value in row.items()
            if isinstance(value, str) and name not in LEFT_OUT and f"{table}.{name}" not in LEFT_OUT and who in value
        ]
        names = ", ".join(f'"{name}"' for name in row)
        conn.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    return marks


def _cell(who: str, id_: int, table: str, name: str, type_: str) -> Any:
    bits = BitMap([id_]).serialize()
    ids = {"profile_aliases.old_id": id_ + 100, "profile_aliases.new_id": id_, "field_history.of": "profile",
           "dead_letters.what": "member", "merges.winner": f"{who}-ref", "field_history.field": "country",
           "identity_cuts.keep_name": f"{who}.identifiers.kind", "identity_cuts.keep_value": f"{who}.identifiers.value",
           "refusals.kind": f"{who}.identifiers.kind", "refusals.value": f"{who}.identifiers.value",
           "identity_cuts.part_name": "x", "identity_cuts.part_value": "somebody-else"}  # fmt: skip
    match f"{table}.{name}", name:
        case full, _ if full in ids:
            return ids[full]
        case _, "stream_id":
            return 1
        case (
            _,
            "company_id"
            | "subject_id"
            | "profile_id"
            | "id"
            | "name_id"
            | "audience_id"
            | "intent_id"
            | "identifier_id"
            | "of_id",
        ):
            return id_
        case _, "ref" | "record_key" | "loser":
            return f"{who}-ref"
        case "vanished.key" | "record_slices.key", _:
            return f"{who}-ref"
        case _, "properties" | "choice":
            return json.dumps({"p": f"{who}.{table}.{name}"})
        case _, "facts":
            return "{}"
        case "companies.name" | "companies.domain", _:
            return f"{who}.{table}.{name}"
        case _, _ if type_ == "BLOB":
            return bits
        case _, _ if type_ == "INTEGER":
            return 0 if name in ("deleted_at", "is_company", "known", "position") else AT
        case _, _ if type_ == "REAL":
            return 1.5
        case _:
            return f"{who}.{table}.{name}"


def test_times_are_iso_and_money_is_major_with_what_is_stored(tmp_path: Path) -> None:
    """Both, so that nothing has to be believed; a currency that came with none is the workspace's."""
    paid = {"id": "p1", "email": "ann@example.com", "at": "2026-01-31T10:00:00Z"}
    made = stream(
        "payments", [paid], Kind.PAYMENT, identifiers={"email": "email"},
        fields={"amount": lambda _record: Amount(Decimal("12.50")), "paid_at": "at"},
    )  # fmt: skip
    world = World(tmp_path / "t.db", billing=(Category.BILLING, [made]))
    world.everything()
    (row,) = exported(world.store, find_person(world.store, "ann@example.com"), config=world.config)["payments"]
    assert ("2026-01-31T10:00:00Z", 12.5, 1250, "EUR") == tuple(
        row[name] for name in ("paid_at", "amount", "amount_minor", "currency")
    )


def test_a_companys_other_people_and_bills_are_not_theirs(tmp_path: Path) -> None:
    """The name of the company is; who else works there is not."""
    people = stream(
        "people", [contact(1, "ann@example.com", domain="a.example.com"), contact(2, "bo@example.com", domain="a.example.com")],
        size=9, identifiers={**CONTACT["identifiers"], "company_domain": "domain"}, fields={"company.domain": "domain"},
    )  # fmt: skip
    bills = stream(
        "bills", [{"id": "b1", "domain": "a.example.com", "plan": "SECRETPLAN", "status": "active"}], Kind.SUBSCRIPTION,
        identifiers={"company_domain": "domain"}, fields={"plan": "plan", "status": "status"},
    )  # fmt: skip
    world = World(tmp_path / "t.db", crm=(Category.CRM, [people]), billing=(Category.BILLING, [bills]))
    world.everything()
    found = exported(world.store, find_person(world.store, "ann@example.com"), config=world.config)
    assert "a.example.com" == found["company"]["domain"]
    assert "SECRETPLAN" not in json.dumps(found)
    assert "bo@example.com" not in json.dumps(found)


def test_where_they_are_what_was_sent_and_when_they_came_and_went(tmp_path: Path) -> None:
    """The line that a person asks for: in which list, since when, under which address."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    story.sync()
    came = story.now
    story.people(1, stage="lead")
    story.sync(attended=True)
    with story.store() as store:
        found = exported(store, find_person(store, "p1@example.com"), config=story.config())
    assert [("add", "done"), ("remove", "done")] == [(one["op"], one["verdict"]) for one in found["sent"]]
    (row,) = [one for one in found["segments"] if one["set"] == "segment.vip"]
    assert (False, ["entered", "left"]) == (row["member"], [one["what"] for one in row["history"]])
    assert iso(to_us(came)) == row["history"][0]["at"]
    assert {"score": 7} == found["traits"]


def test_a_number_of_a_company_is_nobodys(tmp_path: Path) -> None:
    """A segment of companies holds their ids, and one may be the person's number too."""
    with Store(tmp_path / "t.db") as store:
        _furnish(store, "own", OWN)
        store.conn.execute("UPDATE member_sets SET name = 'segment.firms'")
        store.conn.execute("UPDATE membership_history SET name = 'segment.firms'")
        config = Story(tmp_path, segments={"vip": "live", "firms": "live"}).config()
        firms = config.segments["firms"]
        object.__setattr__(firms, "of", "company")
        assert [] == exported(store, config=config)["segments"]


def test_what_was_written_of_two_people_taken_for_one_goes_to_whose_address_it_has(tmp_path: Path) -> None:
    """After they were told apart, neither is told the other's."""
    with Store(tmp_path / "t.db") as store:
        for who, id_ in (("own", OWN), ("other", OTHER)):
            _furnish(store, who, id_)
        store.conn.execute("UPDATE intent_members SET profile_id = ?", (OWN,))
        store.conn.execute("UPDATE intent_members SET member_key = 'other.identifiers.value' WHERE member_key LIKE 'other%'")
        own, other = (exported(store, id_)["sent"] for id_ in (OWN, OTHER))
    assert ["own.intent_members.member_key"] == [row["member_key"] for row in own]
    assert ["other.identifiers.value"] == [row["member_key"] for row in other]


def test_several_people_are_not_guessed_among(tmp_path: Path) -> None:
    """The address of one may be the user id of another; a number alone may be a profile or a user."""
    people = [contact(1, "ann@example.com"), contact(2, "bo@example.com", user="1")]
    made = stream("people", people, identifiers={**CONTACT["identifiers"], "user_id": "user"})
    world = World(tmp_path / "t.db", crm=(Category.CRM, [made]))
    world.everything()
    with pytest.raises(ConfigError, match="2 people are known by that") as caught:
        find_person(world.store, "1")
    assert "profile:1, profile:2" in str(caught.value)
    assert (1, 2) == (find_person(world.store, "profile:1"), find_person(world.store, "user_id:1"))
    with pytest.raises(HubError, match="nobody is known"):
        find_person(world.store, "cy@example.com")


def test_a_hundred_thousand_events_are_written_as_they_are_read(tmp_path: Path) -> None:
    """Row by row: no text is longer than one of them."""

    class Out:
        longest = rows = 0

        def write(self, text: str) -> None:
            self.longest = max(self.longest, len(text))
            self.rows += '"name": "n"' in text

    with Store(tmp_path / "t.db") as store, store.atomic() as conn:
        _furnish(store, "own", OWN)
        conn.execute("UPDATE event_names SET name = 'n'")
        conn.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO events"
            " (stream_id, key, name_id, time, profile_id) SELECT 1, 'k' || i, ?, i, ? FROM n", (OWN, OWN),
        )  # fmt: skip
    with Store(tmp_path / "t.db") as store:
        out = Out()
        counts = export(store, Story(tmp_path).config(), OWN, out, at=utc_now(), traits={})
    assert (20001, 20001) == (counts["events"], out.rows)
    assert out.longest < 2000


def test_nothing_is_masked_or_lost_in_spelling(tmp_path: Path) -> None:
    """Whatever a vendor had: quotes, other scripts, what would move a cursor, numbers that JSON has no word for."""
    odd = 'Åsa "Öst" \u202e\x1b[31m 日本'
    made = stream("people", [contact(1, "ann@example.com", odd=odd, far=float("inf"))], **CONTACT)
    world = World(tmp_path / "t.db", crm=(Category.CRM, [made]))
    world.everything()
    (row,) = exported(world.store, 1, config=world.config)["records"]
    assert (odd, "inf") == (row["fields"]["odd"], str(row["fields"]["far"]))
