"""A handful of made-up people as plain Python values, and the same written into a store; what both evaluators are held to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.clock import to_us
from core.config.model import Config, Partition, Place, Segment, Trait, Workspace
from core.contract import Category, Kind
from core.errors import ConfigError, Problem
from core.segments.definitions import Definitions, define
from core.segments.vocabulary import Column, Seen, StreamWords, Vocabulary
from core.store import Store

AS_OF = datetime(2026, 3, 30, 9, 30, tzinfo=UTC)  # the day after Europe's clocks went forward
ZONE = ZoneInfo("Europe/Stockholm")
RATES = {
    date(2026, 1, 1): {"SEK": Decimal("0.09"), "USD": Decimal("0.9")},
    date(2026, 3, 1): {"SEK": Decimal("0.1")},
}
STREAMS = {
    "crm.contacts": (1, Kind.PROFILE, Category.CRM),
    "crm.companies": (2, Kind.COMPANY, Category.CRM),
    "billing.subscriptions": (3, Kind.SUBSCRIPTION, Category.BILLING),
    "billing.invoices": (4, Kind.PAYMENT, Category.BILLING),
    "survey.responses": (5, Kind.ANSWER, Category.SURVEY),
    "web.events": (6, Kind.EVENT, Category.ANALYTICS),
    "app.events": (7, Kind.EVENT, Category.ANALYTICS),
}
COLUMNS = {
    "stage": "text",
    "score": "integer",
    "vip": "boolean",
    "seen_at": "time",
    "tags": "json",
    "$city": "text",
    "iso": "text",
}
EVENTS = ("Page Viewed", "Signed Up", "Order", "Never Sent")


def ago(**span: float) -> int:
    """Return microseconds of a time before AS_OF."""
    return to_us(AS_OF - timedelta(**span))


@dataclass
class World:
    """Everything that is in the store, as dicts with the names of its columns."""

    profiles: list[dict[str, Any]] = field(default_factory=list)
    companies: list[dict[str, Any]] = field(default_factory=list)
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    payments: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    contacts: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    """name, time, profile_id, stream (`web.events`), properties (a dict)."""
    history: list[tuple[str, int, str, Any, int]] = field(default_factory=list)
    """(of, id, field, value, from when)."""

    def person(self, **values: Any) -> int:
        """Add a person; known by address unless said otherwise."""
        id_ = len(self.profiles) + 1
        self.profiles.append({"id": id_, "email": f"p{id_}@example.com", "live": 1, "changed_at": 0} | values)
        return id_

    def event(self, profile_id: int, name: str, at: int, stream: str = "web.events", /, **properties: Any) -> None:
        """Add an event."""
        self.events.append({"profile_id": profile_id, "name": name, "time": at, "stream": stream, "properties": properties})

    def write(self, store: Store, *, finished_at: datetime = AS_OF) -> None:
        """Make the store hold this and nothing else."""
        with store.atomic() as conn:
            tables = ("profiles", "companies", "subscriptions", "payments", "answers", "events", "event_names", "event_sources",
                      "field_history", "connections", "streams", "catalogue", "identifiers", "profile_aliases")  # fmt: skip
            for table in tables:
                conn.execute(f"DELETE FROM {table}")
            conn.execute("DROP TABLE IF EXISTS crm__contacts")
            conn.execute(
                "CREATE TABLE crm__contacts (key TEXT UNIQUE, profile_id INTEGER, deleted_at INTEGER, "
                'stage, score, vip, seen_at, tags, "$city", iso)'
            )
            for text, (number, kind, category) in STREAMS.items():
                connection, _, name = text.partition(".")
                conn.execute(
                    "INSERT OR IGNORE INTO connections (id, name, connector, category) VALUES (?, ?, 'files', ?)",
                    (number, connection, category.value),
                )
                conn.execute(
                    "INSERT INTO streams (id, connection_id, name, kind, trust, landing, finished_at, completed_at) "
                    "VALUES (?, (SELECT id FROM connections WHERE name = ?), ?, ?, 'key', ?, ?, ?)",
                    (number, connection, name, kind.value, f"{connection}__{name}", to_us(finished_at), to_us(finished_at)),
                )
            for name, type_ in COLUMNS.items():
                conn.execute("INSERT INTO catalogue VALUES (1, ?, ?, ?, 0, NULL, NULL)", (name, name, type_))
            for table, rows in (("profiles", self.profiles), ("companies", [{"changed_at": 0} | c for c in self.companies])):
                for row in rows:
                    _insert(conn, table, row)
            for table, number, rows in (("subscriptions", 3, self.subscriptions), ("payments", 4, self.payments),
                                        ("answers", 5, self.answers)):  # fmt: skip
                for at, row in enumerate(rows, 1):
                    _insert(conn, table, {"id": at, "stream_id": number, "key": str(at), "record_key": str(at)} | row)
            for at, row in enumerate(self.contacts, 1):
                tags = {"tags": json.dumps(row["tags"], ensure_ascii=False)} if row.get("tags") is not None else {}
                _insert(conn, "crm__contacts", {"key": str(at)} | row | tags)
            for number, name in enumerate(dict.fromkeys(e["name"] for e in self.events), 1):
                conn.execute("INSERT INTO event_names VALUES (?, ?)", (number, name))
            for at, event in enumerate(self.events, 1):
                stream = STREAMS[event["stream"]][0]
                conn.execute("INSERT OR IGNORE INTO event_sources VALUES (?, 'event', ?, 0)", (stream, event["name"]))
                conn.execute(
                    "INSERT INTO events (id, stream_id, key, name_id, time, profile_id, properties) "
                    "VALUES (?, ?, ?, (SELECT id FROM event_names WHERE name = ?), ?, ?, ?)",
                    (at, stream, str(at), event["name"], event["time"], event["profile_id"],
                     json.dumps(event["properties"], ensure_ascii=False)),
                )  # fmt: skip
            for of, of_id, name, value, from_at in self.history:
                conn.execute(
                    "INSERT INTO field_history (of, field, of_id, from_at, value) VALUES (?, ?, ?, ?, ?)",
                    (of, name, of_id, from_at, value),
                )


def _insert(conn: Any, table: str, row: Mapping[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    conn.execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(row))})', tuple(row.values()))


def vocabulary(**changes: Any) -> Vocabulary:
    """Return what the small world can speak of."""
    streams = []
    for text, (number, kind, category) in STREAMS.items():
        connection, _, name = text.partition(".")
        columns = {n: Column(n, t) for n, t in COLUMNS.items()} if text == "crm.contacts" else {}
        keys = category in (Category.CRM, Category.BILLING)
        streams.append(
            StreamWords(
                connection, name, kinds=frozenset({kind}), keys=keys, category=category, id=number,
                landing=f"{connection}__{name}", completed=True, columns=columns,
            )
        )  # fmt: skip
    both = Seen(frozenset({"web.events", "app.events"}), True)
    answers = Seen(frozenset({"survey.responses"}), True)
    known: dict[str, Any] = {
        "events": dict.fromkeys(("Page Viewed", "Signed Up", "Order"), both),
        "surveys": dict.fromkeys(("Onboarding", "NPS"), answers),
        "questions": dict.fromkeys((("Onboarding", "role"), ("Onboarding", "size"), ("NPS", "Score")), answers),
    }
    return Vocabulary(tuple(streams), **(known | changes))


def make_config(segments: Mapping[str, str | Segment], **options: Any) -> Config:
    """Return a config with these segments; *options*: partitions, and keys of the workspace."""
    partitions, traits = options.pop("partitions", {}), options.pop("traits", {})
    place = Place("tagalong.toml", 7, "segments")
    folder: Path = options.pop("folder", Path().absolute())
    workspace = {"timezone": ZONE, "currency": "EUR", "rates": RATES} | options
    return Config(
        folder / "tagalong.toml",
        Workspace(Path("tagalong.db").absolute(), **workspace),
        segments={
            n: s if isinstance(s, Segment) else Segment(n, s, place=Place("tagalong.toml", 7, f"segments.{n}"))
            for n, s in segments.items()
        },
        partitions={n: p if isinstance(p, Partition) else Partition(n, p, place=place) for n, p in partitions.items()},
        traits={
            n: t if isinstance(t, Trait) else Trait(n, t, place=Place("tagalong.toml", 9, f"traits.{n}"))
            for n, t in traits.items()
        },
    )


def definitions(segments: Mapping[str, str | Segment], *, words: Vocabulary | None = None, **options: Any) -> Definitions:
    """Return the definitions of these segments over the small world."""
    return define(make_config(segments, **options), words or vocabulary())


def problem_of(text: str, **options: Any) -> Problem:
    """Return what is wrong with a config whose segment `s` is *text*: one thing."""
    with pytest.raises(ConfigError) as caught:
        definitions({"s": text}, **options)
    (problem,) = caught.value.problems
    return problem
