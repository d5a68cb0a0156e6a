"""
Made-up vendors whose people change: pulled and resolved by the code that a run has, edited at random, and read back as plain
Python. What a log of changes could miss shows here, for nothing is written by hand into the store.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from smallworld import AS_OF, World, definitions, vocabulary
from support import pulled

from core.clock import from_us
from core.config.model import Segment
from core.contract import Category, Deletions, Kind, Merge, Page, Row, Stream
from core.segments.definitions import Definitions
from core.segments.vocabulary import StreamWords
from core.store import Store
from core.store.vanish import approve_stream

TEXTS: Final = ("pro", "Pro", "Ängel", "ängel", "a", "lead", "customer", "/pricing", "/docs/x")
EVENTS: Final = ("Page Viewed", "Signed Up", "Order")
QUESTIONS: Final = (("Onboarding", "role"), ("Onboarding", "size"), ("NPS", "Score"), ("Feedback", "CSAT of support"))
DOMAINS: Final = ("one.example.com", "two.example.com", None)
PEOPLE: Final = 6
MS: Final = (0, 1, 5, 9.7, 37 / 3)
"""Of fractions a sum of floating-point numbers hangs on their order."""
_FIRST: Final = "2026-01-01T00:00:00+00:00"


MAIL: Final = StreamWords(
    "mail", "members", kinds=frozenset({Kind.PROFILE, Kind.EVENT}), keys=True, category=Category.EMAIL, id=8,
    landing="mail__members", completed=True,
)  # fmt: skip


def living_definitions(segments: Mapping[str, str | Segment], **options: Any) -> Definitions:
    """Return the definitions of these segments over a living world."""
    known = vocabulary()
    return definitions(segments, words=replace(known, streams=(*known.streams, MAIL)), **options)


def _member_rows(record: Mapping[str, Any]) -> Iterator[Row]:
    """A member is a person, and what was done with the letters that they got."""
    yield Row(Kind.PROFILE, record["id"], {"country": record["country"]})
    for key, name, time in record["opened"]:
        yield Row(Kind.EVENT, key, {"name": name, "time": time, "properties": {}})


class LivingWorld:
    """Seven vendors, a clock, and a store that has pulled from them."""

    page: int | None = None
    """Records that a vendor gives at once; None: all."""

    def __init__(self, path: Path, seed: int, template: Path | None = None) -> None:
        self.chance = random.Random(seed)
        self.records: dict[str, dict[str, dict[str, Any]]] = {
            name: {} for name in ("contacts", "companies", "subscriptions", "invoices", "responses", "web", "app", "members")
        }
        self.told: dict[str, list[str]] = {}
        self.merged: list[Merge] = []
        self.made = 0
        self._sentinel()
        if template is not None:
            shutil.copyfile(template, path)
        self.hub = pulled.World(path, **self._connections())  # type: ignore[arg-type]
        self.hub.at = AS_OF
        self.store: Store = self.hub.store
        self.store.conn.execute("PRAGMA synchronous = OFF")

    def _connections(self) -> dict[str, tuple[Category, tuple[Stream, ...]]]:
        contact = {"contact_id": "id", "email": "email", "user_id": "uid", "company_domain": "domain"}
        by_mail = {"email": "email"}
        person = {
            "country": "country",
            "language": "language",
            "lifecycle_stage": "stage",
            "timezone": "tz",
            "created_at": "made",
            "job_title": "job",
        } | {name: name for name in ("first_name", "last_name", "phone", "owner")}
        money = (
            "status",
            "plan",
            "currency",
            "quantity",
            "mrr",
            "started_at",
            "trial_ends_at",
            "cancel_requested_at",
            "ended_at",
        )
        absent = {"deletions": Deletions.ABSENCE}
        return {
            "crm": (
                Category.CRM,
                (
                    self._stream("contacts", Kind.PROFILE, "contacts", identifiers=contact, fields=person, **absent),
                    self._stream("companies", Kind.COMPANY, "companies", identifiers={"company_domain": "domain"},
                        fields={name: name for name in ("domain", "employees", "country")}, **absent,
                    ),
                ),
            ),
            "billing": (
                Category.BILLING,
                (
                    self._stream("subscriptions", Kind.SUBSCRIPTION, "subscriptions", identifiers=by_mail,
                        fields={name: name for name in money if name != "currency"} | {"interval": "every"}, **absent,
                    ),
                    self._stream("invoices", Kind.PAYMENT, "invoices", identifiers=by_mail,
                        fields={name: name for name in ("amount", "refunded", "status", "paid_at")}, **absent,
                    ),
                ),
            ),
            "survey": (
                Category.SURVEY,
                (
                    self._stream("responses", Kind.ANSWER, "responses", identifiers=by_mail,
                        fields={n: n for n in ("survey", "question", "kind", "choice", "text", "number", "answered_at")},
                        **absent,
                    ),
                ),
            ),
            "web": (Category.ANALYTICS, (self._events("web"),)),
            "app": (Category.ANALYTICS, (self._events("app"),)),
            "mail": (
                Category.EMAIL,
                (self._stream("members", Kind.PROFILE, "members", rows=_member_rows, identifiers=by_mail, **absent),),
            ),
        }  # fmt: skip

    def _events(self, name: str) -> Stream:
        fields = {"name": "name", "time": "time", "properties": "properties"}
        identifiers = {"user_id": "uid", "email": "email", "visitor": "visitor"}
        return self._stream("events", Kind.EVENT, name, identifiers=identifiers, fields=fields)

    def _stream(self, name: str, kind: Kind, records: str, **options: Any) -> Stream:
        def pull(api: object, cursor: object, resume: str | None) -> Iterator[Page]:
            yield from self._pages(records, 0 if resume is None else int(resume))

        return Stream(name, kind, key="id", pull=pull, **options)

    def _pages(self, name: str, after: int) -> Iterator[Page]:
        """Give what a vendor has after a record's number, page by page: that is the token by which a broken pull goes on."""
        left = [record for record in self.records[name].values() if after == 0 or int(record["id"]) > after]
        told: dict[str, Any] = {"deleted": self.told.get(name, ()), "merged": self.merged if name == "contacts" else ()}
        while True:
            size = self.page or len(left)
            part, left = left[:size], left[size:]
            yield Page(part, resume=str(part[-1]["id"]) if left else None, **told)
            told = {}
            if not left:
                break
        self.told.pop(name, None)  # not before it is stored
        if name == "contacts":
            self.merged = []

    # --- what the vendors have -----------------------------------------------------------------------------------------

    def _sentinel(self) -> None:
        """One record each that has all fields, so that no column is ever missing."""
        when = datetime.fromisoformat(_FIRST)
        self.records["contacts"]["0"] = {
            "id": "0", "email": "zero@example.com", "uid": "u0", "domain": None, "country": "DE", "language": "de",
            "stage": "x", "tz": "UTC", "made": when, "score": 1, "vip": False, "seen_at": when, "tags": ["x"],
            "$city": "x", "iso": "x", "first_name": "x", "last_name": "x", "phone": "1", "job": "x", "owner": "x",
        }  # fmt: skip

    def _time(self) -> datetime:
        """Return some time up to 70 days ago, or a little ahead; often just on the edge of a window."""
        chance = self.chance
        if chance.random() < 0.4:
            days = chance.choice((1, 2, 7, 14, 30, 60))
            return self.hub.at - timedelta(days=days) + timedelta(hours=chance.choice((-1, 0, 0, 1, 5, 30)))
        ahead = chance.random() < 0.2  # else nothing would ever be within the next days
        return self.hub.at + timedelta(hours=chance.randrange(40) if ahead else chance.randrange(-70 * 24, 1))

    def _maybe(self, value: object) -> Any:
        return value if self.chance.random() < 0.75 else None

    def _email(self) -> str:
        return f"p{self.chance.randrange(PEOPLE)}@example.com"

    def _contact(self, id_: str) -> dict[str, Any]:
        chance = self.chance
        return {
            "id": id_, "email": self._maybe(self._email()), "uid": self._maybe(f"u{chance.randrange(PEOPLE)}"),
            "domain": chance.choice(DOMAINS), "country": chance.choice(("SE", "NO", None)),
            "language": chance.choice(("sv", "en", None)), "stage": self._maybe(chance.choice(TEXTS)),
            "tz": chance.choice((None, "Asia/Tokyo", "America/New_York", "nowhere")),
            "made": self._maybe(self._time()), "score": self._maybe(chance.randrange(13)),
            "vip": self._maybe(chance.random() < 0.5), "seen_at": self._maybe(self._time()),
            "tags": self._maybe([chance.choice((*TEXTS, 5)) for _ in range(chance.randrange(3))]),
            "$city": self._maybe(chance.choice(TEXTS)),
            "iso": chance.choice(("2026-03-29T10:00:00Z", "2026-02-01", "soon", None)),
            "first_name": chance.choice(("Ann", "Bo", None)), "last_name": chance.choice(("Berg", None)),
            "phone": chance.choice(("+46 8 123", None)), "job": chance.choice(("Head of marketing", "Chef", None)),
            "owner": chance.choice(("Eva", None)),
        }  # fmt: skip

    def _company(self, id_: str) -> dict[str, Any]:
        chance = self.chance
        return {"id": id_, "domain": chance.choice(DOMAINS[:2]), "employees": self._maybe(chance.randrange(13)),
                "country": chance.choice(("SE", "NO", None))}  # fmt: skip

    def _money(self, minor: int) -> Any:
        from core.contract import Money

        return Money(minor, self.chance.choice(("EUR", "EUR", "SEK", "USD", "GBP")))

    def _subscription(self, id_: str) -> dict[str, Any]:
        chance = self.chance
        return {
            "id": id_, "email": self._email(),
            "status": chance.choice(("active", "active", "past_due", "trialing", "canceled")),
            "plan": self._maybe(chance.choice(TEXTS)), "every": chance.choice(("month", "year", None)),
            "quantity": self._maybe(chance.randrange(11)),
            "mrr": self._maybe(self._money(chance.choice((0, 900, 1000, 99_999)))),
            "started_at": self._maybe(self._time()), "trial_ends_at": self._maybe(self._time()),
            "cancel_requested_at": self._maybe(self._time()), "ended_at": self._maybe(self._time()),
        }  # fmt: skip

    def _invoice(self, id_: str) -> dict[str, Any]:
        return {"id": id_, "email": self._email(), "amount": self._money(self.chance.choice((100, 1000, 12_345))),
                "status": self.chance.choice(("paid", "open", None)), "paid_at": self._maybe(self._time())}  # fmt: skip

    def _response(self, id_: str) -> dict[str, Any]:
        chance = self.chance
        survey, question = chance.choice((*QUESTIONS, QUESTIONS[-1]))  # of that one only scores count
        often = ("score",) * 4 if question not in ("role", "size") else ()  # as surveys have it; another kind is nobody's score
        kind = chance.choice(("score", "choice", "text", "boolean", *often))
        number = chance.randrange(11) if kind == "score" else chance.randrange(2) if kind == "boolean" else None
        choice = [chance.choice(TEXTS) for _ in range(chance.randrange(3))] if kind == "choice" else None
        return {
            "id": id_, "email": self._email(), "survey": survey, "question": question, "kind": kind, "choice": choice,
            "text": chance.choice(TEXTS) if kind == "text" else None, "number": number,
            "answered_at": self._maybe(self._time()),
        }  # fmt: skip

    def _event(self, id_: str) -> dict[str, Any]:
        chance = self.chance
        values = ("path", chance.choice(TEXTS)), ("ms", chance.choice(MS)), ("trial", chance.random() < 0.5)
        properties = {name: value for name, value in values if chance.random() < 0.6}
        who = chance.choice(("uid", "email", "visitor", "both"))
        number = min(chance.randrange(PEOPLE), chance.randrange(PEOPLE))
        return {
            "id": id_, "name": chance.choice(EVENTS), "time": self._time(), "properties": properties,
            "uid": f"u{number}" if who in ("uid", "both") else None,
            "email": f"p{number}@example.com" if who == "email" else None,
            "visitor": f"v{number}" if who in ("visitor", "both") else None,
        }  # fmt: skip

    def _member(self, id_: str) -> dict[str, Any]:
        chance = self.chance
        opened = [(f"{id_}-{n}", chance.choice(EVENTS), self._time()) for n in range(chance.randrange(3))]
        return {"id": id_, "email": self._email(), "country": chance.choice(("SE", "NO", None)), "opened": opened}

    # --- what becomes of it --------------------------------------------------------------------------------------------

    def grow(self, many: int) -> None:
        """Give the vendors new records."""
        for _ in range(many):
            self._add(
                self.chance.choice(
                    ("contacts", "companies", "subscriptions", "invoices", "responses", "web", "web", "app", "members")
                )
            )

    def _add(self, name: str, id_: str | None = None) -> None:
        if id_ is None:
            self.made += 1
            id_ = str(self.made)
        make = {"contacts": self._contact, "companies": self._company, "subscriptions": self._subscription,
                "invoices": self._invoice, "responses": self._response, "members": self._member}  # fmt: skip
        self.records[name][id_] = make.get(name, self._event)(id_)

    def edit(self) -> None:
        """Have something happen: a record comes, changes or goes, two contacts become one, a stream is taken out."""
        chance = self.chance
        name = chance.choice(list(self.records))
        there = [id_ for id_ in self.records[name] if id_ != "0"]
        what = chance.choice(("add", "add", "change", "change", "go", "merge"))
        if what == "add" or not there:
            self._add(name)
        elif what == "change":
            self._change(name, chance.choice(there))
        elif what == "go":
            id_ = chance.choice(there)
            del self.records[name][id_]
            if name in ("web", "app"):
                self.told.setdefault(name, []).append(id_)
        elif len(contacts := [id_ for id_ in self.records["contacts"] if id_ != "0"]) > 1:
            loser, winner = chance.sample(contacts, 2)
            del self.records["contacts"][loser]
            self.merged.append(Merge(loser, winner))

    def _change(self, name: str, id_: str) -> None:
        """Change one field, or make another record of it altogether: also its identifiers."""
        old = dict(self.records[name][id_])
        self._add(name, id_)
        if self.chance.random() < 0.5:
            new = self.records[name][id_]
            field = self.chance.choice([key for key in old if key != "id"])
            self.records[name][id_] = old | {field: new[field]}

    def pull(self, *, resolve: bool = True) -> None:
        """Pull all that changed and, unless told otherwise, find out who is who."""
        for name in self.hub.connections:
            for stream in self.hub.pull(name, full=True).streams:
                assert stream.error is None, stream.error
                assert not stream.bad, stream
                if stream.held:
                    approve_stream(self.store, name, stream.stream, self.hub.at)
        if resolve:
            self.hub.resolve()

    def close(self) -> None:
        self.store.close()

    # --- what the store has of it --------------------------------------------------------------------------------------

    def read_back(self) -> World:
        """Return all that segments can see, as plain values."""
        world = World()
        world.profiles = self._dicts("SELECT * FROM profiles")
        world.companies = self._dicts("SELECT * FROM companies")
        world.subscriptions = self._dicts("SELECT * FROM subscriptions ORDER BY id")
        world.payments = self._dicts("SELECT * FROM payments ORDER BY id")
        world.answers = self._dicts("SELECT * FROM answers ORDER BY id")
        world.contacts = [
            row | {"tags": json.loads(row["tags"]) if row["tags"] is not None else None}
            for row in self._dicts("SELECT * FROM crm__contacts")
        ]
        of = "SELECT e.*, n.name, c.name || '.' || s.name AS stream FROM events e JOIN event_names n ON n.id = e.name_id "
        streams = "JOIN streams s ON s.id = e.stream_id JOIN connections c ON c.id = s.connection_id ORDER BY e.id"
        world.events = [row | {"properties": json.loads(row["properties"])} for row in self._dicts(of + streams)]
        history = self.store.conn.execute("SELECT of, of_id, field, value, from_at FROM field_history")
        world.history = [tuple(row) for row in history]
        return world

    def names(self) -> dict[int, dict[str, set[str]]]:
        """Return by what each person can be named in a list: addresses, user ids, profile ids that they have or once had."""
        found: dict[int, dict[str, set[str]]] = {}
        for id_, email, user_id in self.store.conn.execute("SELECT id, email, user_id FROM profiles"):
            found[id_] = {"profile_id": {str(id_)}, "email": {email}, "user_id": {user_id}}
        for id_, kind, value in self.store.conn.execute(
            "SELECT profile_id, kind, value FROM identifiers WHERE kind IN ('email', 'user_id') "
            "UNION ALL SELECT new_id, 'profile_id', CAST(old_id AS TEXT) FROM profile_aliases"
        ):
            if id_ in found:
                found[id_][kind].add(value)
        return found

    def _dicts(self, sql: str) -> list[dict[str, Any]]:
        cursor = self.store.conn.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def finished(world: LivingWorld) -> datetime:
    """Return when the last pull ended."""
    (at,) = world.store.conn.execute("SELECT max(finished_at) FROM streams").fetchone()
    return from_us(at)


def make_template(path: Path) -> Path:
    """Write an empty store with all vendors registered and pulled once."""
    world = LivingWorld(path, 0)
    world.pull()
    world.store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    world.close()
    return path
