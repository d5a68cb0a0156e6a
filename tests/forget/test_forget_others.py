"""Everybody else is as they were: random people who share companies, addresses and devices, and one of them is forgotten."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from shutil import copyfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.pulled import World, stream

from core.contract import Category, Kind, Trust
from core.store import Store
from core.store.forgettings import begin, digests
from core.store.forgotten import Forgotten
from core.store.person_key import ensure_key
from core.store.sweep import sweep
from core.store.traces import gather

PERSONAL = ("profiles", "subjects", "identifiers", "profile_rows", "company_rows", "answers", "events", "field_history")

_person = st.fixed_dictionaries({
    "email": st.one_of(st.none(), st.sampled_from([f"p{n}@acme.example.com" for n in range(4)] + ["info@shared.example.com"])),
    "user": st.one_of(st.none(), st.sampled_from(["u1", "u2", "u3", "u4"])),
    "company": st.one_of(st.none(), st.sampled_from(["Acme", "Globex"])),
    "domain": st.one_of(st.none(), st.sampled_from(["acme.example.com", "globex.example.com"])),
    "name": st.sampled_from(["Ann", "Bo", "Cy"]),
})  # fmt: skip
_claim = st.fixed_dictionaries({
    "email": st.one_of(st.none(), st.sampled_from([f"p{n}@acme.example.com" for n in range(4)])),
    "user": st.one_of(st.none(), st.sampled_from(["u1", "u2", "u3"])),
    "device": st.sampled_from(["d1", "d2"]),
})  # fmt: skip


@cache
def _empty() -> Path:
    """A migrated store with nothing in it: a copy costs less than to make one for each example."""
    path = Path(tempfile.mkdtemp()) / "empty.db"
    with Store(path) as store:
        store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def _world(folder: Path, people: list[Any], answers: list[Any], events: list[Any]) -> World:
    contacts = stream(
        "contacts", [{"id": f"c{n}", **p} for n, p in enumerate(people)],
        identifiers={"contact_id": "id", "email": "email", "user_id": "user", "company_domain": "domain"},
        fields={"first_name": "name", "company.name": "company", "company.domain": "domain"},
    )  # fmt: skip
    replies = stream(
        "replies", [{"id": f"r{n}", "said": "yes", **c} for n, c in enumerate(answers)], Kind.ANSWER, trust=Trust.CLAIM,
        identifiers={"user_id": "user", "email": "email", "device": "device"}, fields={"survey": "id", "text": "said"},
    )  # fmt: skip
    views = stream(
        "views", [{"id": f"v{n}", "name": "Viewed", "at": 1_700_000_000 + n, **c} for n, c in enumerate(events)], Kind.EVENT,
        trust=Trust.CLAIM, identifiers={"email": "email", "user_id": "user", "device": "device"},
        fields={"name": "name", "time": "at"},
    )  # fmt: skip
    copyfile(_empty(), folder / "t.db")
    world = World(folder / "t.db", crm=(Category.CRM, [contacts]), web=(Category.ANALYTICS, [replies, views]))
    world.everything()
    return world


def _others(world: World, gone: Any) -> dict[str, list[str]]:
    """Everybody else's rows, but for numbers of how many there are in a stream and companies that were the person's alone."""
    conn = world.store.conn
    ids = {table: set() for table in PERSONAL}
    people, subjects = set(gone.profiles), set(gone.subjects)
    ids["profiles"], ids["subjects"] = people, subjects
    found = {}
    for table in (*PERSONAL, "subject_identifiers", "crm__contacts", "web__replies", "ledger", "consents"):
        names = [row[1] for row in conn.execute(f'PRAGMA table_info("{table}")')]
        rows = []
        for row in conn.execute(f'SELECT * FROM "{table}"'):
            told = dict(zip(names, row, strict=True))
            if told.get("profile_id") in people or told.get("subject_id") in subjects:
                continue
            if table in ("profiles", "subjects") and told["id"] in ids[table]:
                continue
            if table == "field_history" and (told["of"] == "company" or told["of_id"] in people):
                continue
            if table == "identifiers" and (told["is_company"] or not _named_by_others(conn, told["id"], subjects)):
                continue
            for passing in ("dirty", "seen_run"):
                told.pop(passing, None)
            rows.append(repr(told))
        found[table] = sorted(rows)
    return found


def _named_by_others(conn: Any, identifier: int, subjects: set[int]) -> bool:
    by = {row[0] for row in conn.execute("SELECT subject_id FROM subject_identifiers WHERE identifier_id = ?", (identifier,))}
    return bool(by - subjects) or not by


@settings(max_examples=10, deadline=None)
@given(
    people=st.lists(_person, min_size=2, max_size=7),
    answers=st.lists(_claim, max_size=4),
    events=st.lists(_claim, max_size=4),
    which=st.integers(0, 6),
)
def test_everybody_else_is_as_before(people: list[Any], answers: list[Any], events: list[Any], which: int) -> None:
    """Rows of others are the same before, after, and after everything was pulled and resolved once more."""
    with tempfile.TemporaryDirectory() as folder:
        world = _world(Path(folder), people, answers, events)
        profiles = [row[0] for row in world.rows("SELECT id FROM profiles ORDER BY id")]
        if not profiles:
            return
        chosen = profiles[which % len(profiles)]
        gone = gather(world.store.conn, [chosen])
        before = _others(world, gone)
        with world.store.atomic() as conn:
            key = ensure_key(conn, world.store.path)
            begin(conn, b"x", digests(conn, key, gone), gone.profiles, at=1)
            sweep(conn, gone, key, now=1)
        world.resolve()
        assert before == _others(world, gone)
        assert [] == world.rows("SELECT id FROM profiles WHERE id = ?", chosen)
        for table in ("subjects", "profile_rows", "answers", "events", "crm__contacts", "web__replies"):
            assert [] == world.rows(f"SELECT 1 FROM {table} WHERE profile_id = ?", chosen)

        world.later(hours=1)
        world.everything()
        after = _others(world, gone)
        for table in ("profiles", "profile_rows", "answers", "events"):
            assert before[table] == after[table], table
        forgotten = Forgotten(world.store.conn, world.store.path)
        assert not any(forgotten.has(kind, value) for kind, value in world.rows("SELECT kind, value FROM identifiers"))
        world.store.close()
