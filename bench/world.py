"""
Made-up people, companies, subscriptions, answers and events, written straight into a store; and segments to ask of them.

For `bench/evaluate.py` and `bench/plan.py`. Nothing is pulled or resolved: the rows are as those would leave them.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from asked import COUNTRIES, PATHS, zone_of

from core.clock import to_us
from core.config.model import Config, Partition, Place, Segment, Workspace
from core.contract import Category, Kind
from core.segments.definitions import Definitions, define
from core.segments.vocabulary import Column, Seen, StreamWords, Vocabulary
from core.store import Store

AS_OF = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAYS = 365
CHUNK = 100_000
EVENTS = (
    "Page Viewed",
    "Logged In",
    "Signed Up",
    "Project Launched",
    "Team Invited",
    "Task Created",
    "Report Exported",
    "Order Completed",
)
WEIGHTS = (40, 30, 1, 4, 3, 12, 4, 6)
_STATUSES = ("active", "active", "active", "past_due", "trialing", "canceled")
_ZONES = ("Europe/Stockholm", "Europe/Helsinki", "America/New_York", "Asia/Tokyo", None)
_ROLES = ("Student", "Developer", "Manager", "Founder")
_STREAMS = (
    ("crm", "contacts", Kind.PROFILE, "key", Category.CRM),
    ("crm", "companies", Kind.COMPANY, "key", Category.CRM),
    ("billing", "subscriptions", Kind.SUBSCRIPTION, "key", Category.BILLING),
    ("billing", "invoices", Kind.PAYMENT, "key", Category.BILLING),
    ("survey", "responses", Kind.ANSWER, "claim", Category.SURVEY),
    ("product", "usage", Kind.EVENT, "claim", Category.ANALYTICS),
)


def make_definitions(path: Path, texts: list[str]) -> Definitions:
    """Return the definitions of segments `s0`, `s1`, ... and one partition, over the store that `make_store` makes."""
    place = Place(str(path), 1, "segments")
    listed = path.parent / "vip.csv"
    if not listed.exists():
        listed.write_text("user_id\n" + "".join(f"u{n}\n" for n in range(1, 5_000, 7)))
    config = Config(
        path.with_suffix(".toml"),
        Workspace(path, timezone=ZoneInfo("Europe/Stockholm")),
        segments={f"s{n}": Segment(f"s{n}", text, place=place, timezone=zone_of(text)) for n, text in enumerate(texts)},
        partitions={
            "nps": Partition("nps", {"promoter": "nps >= 9", "passive": "nps >= 7", "detractor": "nps >= 0"}, place=place)
        },
    )
    return define(config, vocabulary())


def vocabulary() -> Vocabulary:
    """Return what the made store holds."""
    fields = {"lifecyclestage": Column("lifecyclestage", "text"), "score": Column("score", "integer")}
    streams = tuple(
        StreamWords(
            connection,
            name,
            kinds=frozenset({kind}),
            keys=trust == "key",
            category=category,
            id=number,
            landing=f"{connection}__{name}",
            completed=True,
            columns=fields if name == "contacts" else {},
        )
        for number, (connection, name, kind, trust, category) in enumerate(_STREAMS, 1)
    )
    usage, responses = Seen(frozenset({"product.usage"}), True), Seen(frozenset({"survey.responses"}), True)
    return Vocabulary(
        streams,
        events=dict.fromkeys(EVENTS, usage),
        surveys=dict.fromkeys(("NPS", "Onboarding"), responses),
        questions=dict.fromkeys((("NPS", "How likely are you to recommend us?"), ("Onboarding", "role")), responses),
    )


def sizes_of(path: Path) -> dict[str, int]:
    """Return how many people and events a store holds, for figures of one that was made before."""
    with Store(path) as store:
        return {table: store.conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("profiles", "events")}


def make_store(path: Path, profiles: int, events: int, seed: int = 1) -> None:
    """Write a store with so many people and events, the same for the same seed. *path* must not exist."""
    chance = random.Random(seed)
    companies = max(1, profiles // 5)
    now = to_us(AS_OF)
    with Store(path) as store:
        store.conn.execute("PRAGMA journal_mode = OFF").fetchone()  # what is made here can be made again
        with store.atomic() as conn:
            _sources(conn, now)
            conn.executemany(
                "INSERT INTO companies (id, name, industry, employees, country, changed_at) VALUES (?, ?, ?, ?, ?, 0)",
                (
                    (n, f"Company {n}", chance.choice(("retail", "software", None)), chance.randrange(1, 500), "SE")
                    for n in range(1, companies + 1)
                ),
            )
            conn.executemany(
                "INSERT INTO profiles (id, company_id, email, user_id, country, language, created_at, timezone, changed_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
                _people(chance, profiles, companies, now),
            )
            conn.execute("CREATE INDEX crm__contacts__profile ON crm__contacts (profile_id) WHERE profile_id IS NOT NULL")
            conn.executemany(
                "INSERT INTO crm__contacts VALUES (?, ?, NULL, ?, ?)",
                (
                    (str(n), n, chance.choice(("lead", "customer", "subscriber")), chance.randrange(100))
                    for n in range(1, profiles + 1)
                ),
            )
            conn.executemany(
                "INSERT OR IGNORE INTO field_history (of, field, of_id, from_at, value) VALUES ('profile', 'country', ?, ?, ?)",
                _history(chance, profiles, now),
            )
            _billing(conn, chance, companies, now)
            _answers(conn, chance, profiles, now)
            _write_events(conn, chance, profiles, events, now)
    Store(path).close()  # which writes ahead again


def _sources(conn: sqlite3.Connection, now: int) -> None:
    """Say where all of it came from: streams, names of events, the fields of a landing table."""
    for number, (connection, name, kind, trust, category) in enumerate(_STREAMS, 1):
        conn.execute(
            "INSERT OR IGNORE INTO connections (id, name, connector, category) VALUES (?, ?, ?, ?)",
            (number, connection, "files", category.value),
        )
        conn.execute(
            "INSERT INTO streams (id, connection_id, name, kind, trust, landing, finished_at, completed_at) "
            "VALUES (?, (SELECT id FROM connections WHERE name = ?), ?, ?, ?, ?, ?, ?)",
            (number, connection, name, kind.value, trust, f"{connection}__{name}", now, now),
        )
    conn.executemany("INSERT INTO event_names VALUES (?, ?)", list(enumerate(EVENTS, 1)))
    conn.executemany("INSERT INTO event_sources VALUES (6, 'event', ?, ?)", [(name, now) for name in EVENTS])
    conn.execute("CREATE TABLE crm__contacts (key TEXT UNIQUE, profile_id INTEGER, deleted_at INTEGER, lifecyclestage, score)")
    conn.execute("INSERT INTO catalogue VALUES (1, 'lifecyclestage', 'lifecyclestage', 'text', ?, NULL, NULL)", (now,))
    conn.execute("INSERT INTO catalogue VALUES (1, 'score', 'score', 'integer', ?, NULL, NULL)", (now,))


def _ago(chance: random.Random, now: int, days: int = DAYS) -> int:
    return now - int(chance.random() * timedelta(days=days) / timedelta(microseconds=1))


def _people(chance: random.Random, profiles: int, companies: int, now: int) -> Iterator[tuple[object, ...]]:
    for n in range(1, profiles + 1):
        company = chance.randrange(1, companies + 1) if chance.random() < 0.9 else None
        email = f"person{n}@team{n % 10}.example.com" if chance.random() < 0.95 else None
        language = chance.choice(("sv", "en", "fi", None))
        yield n, company, email, f"u{n}", chance.choice(COUNTRIES), language, _ago(chance, now), chance.choice(_ZONES)


def _history(chance: random.Random, profiles: int, now: int) -> Iterator[tuple[object, ...]]:
    """Where people were, from the first day on, and where every tenth went later."""
    begun = _ago(chance, now, days=1) - DAYS * 86_400_000_000
    for n in range(1, profiles + 1):
        yield n, begun, chance.choice(COUNTRIES)
        if n % 10 == 0:
            yield n, _ago(chance, now), chance.choice(COUNTRIES)


def _billing(conn: sqlite3.Connection, chance: random.Random, companies: int, now: int) -> None:
    subscriptions, payments = [], []
    for company in range(1, companies + 1):
        if chance.random() < 0.6:
            mrr = chance.choice((1900, 4900, 9900, 29900))
            subscriptions.append(
                (
                    str(company),
                    company,
                    chance.choice(_STATUSES),
                    chance.choice(("basic", "pro", "team")),
                    mrr,
                    chance.randrange(1, 20),
                    _ago(chance, now),
                    now + int(chance.random() * 30 * 86_400_000_000),
                )
            )
            payments += [(f"{company}-{k}", company, mrr, _ago(chance, now)) for k in range(chance.randrange(12))]
    conn.executemany(
        "INSERT INTO subscriptions (stream_id, key, record_key, company_id, status, plan, mrr, currency, quantity, started_at, "
        "trial_ends_at) SELECT 3, k, k, c, s, p, m, 'EUR', q, t, iif(s = 'trialing', e, NULL) "
        "FROM (SELECT ?1 k, ?2 c, ?3 s, ?4 p, ?5 m, ?6 q, ?7 t, ?8 e)",
        subscriptions,
    )
    conn.executemany(
        "INSERT INTO payments (stream_id, key, record_key, company_id, amount, currency, status, paid_at) "
        "SELECT 4, k, k, c, a, 'EUR', 'paid', t FROM (SELECT ?1 k, ?2 c, ?3 a, ?4 t)",
        payments,
    )


def _answers(conn: sqlite3.Connection, chance: random.Random, profiles: int, now: int) -> None:
    rows: list[tuple[object, ...]] = []
    for n in range(1, profiles + 1):
        if chance.random() < 0.3:
            rows.append(
                (
                    f"n{n}",
                    n,
                    "NPS",
                    "How likely are you to recommend us?",
                    "score",
                    None,
                    chance.randrange(11),
                    _ago(chance, now),
                )
            )
        if chance.random() < 0.5:
            rows.append(
                (f"o{n}", n, "Onboarding", "role", "choice", json.dumps([chance.choice(_ROLES)]), None, _ago(chance, now))
            )
    conn.executemany(
        "INSERT INTO answers (stream_id, key, record_key, profile_id, survey, question, kind, choice, number, answered_at) "
        "SELECT 5, k, k, p, s, q, kind, c, n, t FROM (SELECT ?1 k, ?2 p, ?3 s, ?4 q, ?5 kind, ?6 c, ?7 n, ?8 t)",
        rows,
    )


def _write_events(conn: sqlite3.Connection, chance: random.Random, profiles: int, events: int, now: int) -> None:
    """Write the events in the order in which they happened, and their indexes after them: twenty million take minutes."""
    indexes = conn.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'events' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        conn.execute(f"DROP INDEX {name}")
    conn.executemany(
        "INSERT INTO events (stream_id, key, name_id, time, profile_id, properties) VALUES (6, ?, ?, ?, ?, ?)",
        _events(chance, profiles, events, now),
    )
    for _, statement in indexes:
        conn.execute(statement)


def _events(chance: random.Random, profiles: int, events: int, now: int) -> Iterator[tuple[object, ...]]:
    step = DAYS * 86_400_000_000 / max(events, 1)
    kinds = properties_of_events()
    below = chance.random
    names = range(1, len(EVENTS) + 1)
    for start in range(0, events, CHUNK):
        chosen = chance.choices(names, WEIGHTS, k=min(CHUNK, events - start))
        for n, name in enumerate(chosen, start):
            some = kinds[name - 1]
            at = now - int((events - n - below()) * step)
            # a few people do most of what is done
            yield f"{n:09}", name, at, int(profiles * below() ** 2) + 1, some[int(below() * len(some))]


def properties_of_events() -> list[list[str]]:
    """Return what the events of each name can hold, as it is stored."""
    of = {
        "Page Viewed": [f'{{"path":"{path}","ms":{ms}}}' for path in PATHS for ms in range(0, 2000, 7)],
        "Order Completed": [f'{{"amount":{amount}.5}}' for amount in range(1, 500)],
        "Report Exported": [f'{{"format":"{kind}"}}' for kind in ("pdf", "csv")],
    }
    return [of.get(name, ["{}"]) for name in EVENTS]
