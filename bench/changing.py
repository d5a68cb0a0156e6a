"""Something happens in the made-up store of `world`: events, and people who change, as pulls and a resolve would write it."""

from __future__ import annotations

import random
import sqlite3
from datetime import datetime

from asked import COUNTRIES
from world import EVENTS, WEIGHTS, properties_of_events

from core.clock import to_us
from core.store import Store
from core.store.changes import note_resolved


def change(store: Store, now: datetime, *, events: int, people: int, seed: int) -> None:
    """
    Have *events* happen in the quarter of an hour before *now*, and *people* change, as pulls and a resolve would write it.

    Of the people the stage, the score and the country change, and every tenth answers the NPS question.
    """
    chance = random.Random(seed)
    at = to_us(now)
    with store.atomic() as conn:
        (profiles, last) = conn.execute("SELECT (SELECT max(id) FROM profiles), (SELECT max(id) FROM events)").fetchone()
        names = chance.choices(range(1, len(EVENTS) + 1), WEIGHTS, k=events)
        kinds = properties_of_events()
        conn.executemany(
            "INSERT INTO events (stream_id, key, name_id, time, profile_id, properties) VALUES (6, ?, ?, ?, ?, ?)",
            [
                (f"{last + n:09}", name, at - chance.randrange(900_000_000), int(profiles * chance.random() ** 2) + 1,
                 chance.choice(kinds[name - 1]))
                for n, name in enumerate(names)
            ],
        )  # fmt: skip
        chosen = chance.sample(range(1, profiles + 1), min(people, profiles))
        countries = [(chance.choice(COUNTRIES), n) for n in chosen]
        conn.executemany("UPDATE profiles SET country = ? WHERE id = ?", countries)
        conn.executemany(
            "INSERT OR IGNORE INTO field_history (of, field, of_id, from_at, value) VALUES ('profile', 'country', ?2, ?3, ?1)",
            [(country, n, at) for country, n in countries],
        )
        conn.executemany(
            "UPDATE crm__contacts SET lifecyclestage = ?, score = ? WHERE key = ?",
            [(chance.choice(("lead", "customer")), chance.randrange(100), str(n)) for n in chosen],
        )
        _answer(conn, chance, chosen[::10], at, last)
        for name in ("touch_profile", "touch_company", "alias_profile", "alias_company", "dirty"):
            conn.execute(f"CREATE TEMP TABLE IF NOT EXISTS r_{name} (id INTEGER PRIMARY KEY, old INTEGER)")
            conn.execute(f"DELETE FROM r_{name}")
        conn.executemany("INSERT INTO r_touch_profile (id) VALUES (?)", [(n,) for n in chosen])
        note_resolved(conn)


def _answer(conn: sqlite3.Connection, chance: random.Random, people: list[int], at: int, after: int) -> None:
    conn.executemany(
        "INSERT INTO answers (stream_id, key, record_key, profile_id, survey, question, kind, number, answered_at) "
        "SELECT 5, k, k, p, 'NPS', 'How likely are you to recommend us?', 'score', n, t FROM (SELECT ?1 k, ?2 p, ?3 n, ?4 t)",
        [(f"again{after}-{n}", n, chance.randrange(11), at - 1) for n in people],
    )
