"""
What segments can speak of: the streams that the config pulls, and what the store has seen of them so far.

A `Vocabulary` is a plain value. Whether a name is known, near to a known one, or cannot be fed by any stream is asked
here; what is done about it is in `words` and `definitions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Final

from core.contract import Category, Kind, Stream, Trust
from core.segments.tree_constants import Type
from core.store.schema import CANONICAL, TABLES

if TYPE_CHECKING:
    from core.config.model import Config, ConnectionConfig
    from core.registry import Connector
    from core.store import Store

_OF_SCHEMA: Final = {
    "text": Type.TEXT,
    "integer": Type.NUMBER,
    "number": Type.NUMBER,
    "money": Type.NUMBER,
    "boolean": Type.BOOLEAN,
    "time": Type.TIME,
    "country": Type.COUNTRY,
    "language": Type.LANGUAGE,
}
PROFILE_FIELDS: Final = {name: _OF_SCHEMA[kind] for name, kind in CANONICAL[Kind.PROFILE].items()} | {"user_id": Type.TEXT}
COMPANY_FIELDS: Final = {name: _OF_SCHEMA[kind] for name, kind in CANONICAL[Kind.COMPANY].items()}
BILLING_WORDS: Final = {
    "paying": Type.BOOLEAN,
    "plan": Type.TEXT,
    "plan_interval": Type.TEXT,
    "subscription_status": Type.TEXT,
    "mrr": Type.NUMBER,
    "arr": Type.NUMBER,
    "ltv": Type.NUMBER,
    "payments": Type.NUMBER,
    "first_paid_at": Type.TIME,
    "last_paid_at": Type.TIME,
    "trial_ends_at": Type.TIME,
    "canceled_at": Type.TIME,
    "past_due": Type.BOOLEAN,
    "seats": Type.NUMBER,
}
PAYMENT_WORDS: Final = frozenset({"ltv", "payments", "first_paid_at", "last_paid_at"})
"""Billing words that are made of payments; the others are of subscriptions."""
SCORE_WORDS: Final = ("nps", "csat")
_COMPANY_KINDS: Final = {"company_domain", "company_id", "company_name"}


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a landing table: its column, its type in the catalogue, and whether that changed or vanished since."""

    column: str
    type: str
    changed: bool = False
    missing: bool = False


@dataclass(frozen=True, slots=True)
class StreamWords:
    """One stream of one connection, as far as segments care."""

    connection: str
    name: str
    _: KW_ONLY
    kinds: frozenset[Kind]
    """What its records may become."""
    fields: frozenset[str] | None = None
    """The canonical names that it feeds (`company.name` and its like among them); None: any of its kinds."""
    keys: bool = False
    """Whether it gives identifiers that join people."""
    category: Category = Category.FILE
    id: int | None = None
    """Its row in the store; None before the first registration."""
    landing: str | None = None
    completed: bool = False
    columns: Mapping[str, Column] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return f"{self.connection}.{self.name}"

    def feeds(self, kind: Kind, name: str | None = None) -> bool:
        """Return whether it can give *kind*; for a canonical field, whether it can give that."""
        if kind is Kind.COMPANY and self.fields is not None and Kind.COMPANY not in self.kinds:
            return any(f.startswith("company.") if name is None else f == f"company.{name}" for f in self.fields)
        if kind not in self.kinds:
            return False
        spelled = {name, f"company.{name}"} if kind is Kind.COMPANY else {name}
        return name is None or self.fields is None or bool(spelled & self.fields)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a name: by which streams, and whether a complete pull of one of them has shown it."""

    streams: frozenset[str]
    complete: bool


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Everything that can be named."""

    streams: tuple[StreamWords, ...] = ()
    _: KW_ONLY
    events: Mapping[str, Seen] = field(default_factory=dict)
    properties: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    """Event name to property to the types it was seen with."""
    surveys: Mapping[str, Seen] = field(default_factory=dict)
    questions: Mapping[tuple[str, str], Seen] = field(default_factory=dict)

    def feeding(self, kind: Kind, name: str | None = None, *, source: str | None = None) -> frozenset[str]:
        """Return the streams (`connection.stream`) that can feed *kind*, or one canonical field of it."""
        return frozenset(s.text for s in self.streams if s.feeds(kind, name) and source in (None, s.connection))

    def of_connection(self, connection: str) -> tuple[StreamWords, ...]:
        """Return the streams of a connection."""
        return tuple(s for s in self.streams if s.connection == connection)

    def stream(self, connection: str, name: str) -> StreamWords | None:
        """Return one stream, or None."""
        return next((s for s in self.streams if (s.connection, s.name) == (connection, name)), None)

    @property
    def connections(self) -> frozenset[str]:
        return frozenset(s.connection for s in self.streams)

    @property
    def always(self) -> frozenset[str]:
        """What every segment rests on: the streams that join people, and those that tell of consent."""
        return frozenset(s.text for s in self.streams if s.keys or Kind.CONSENT in s.kinds)


def read_vocabulary(config: Config, connectors: Mapping[str, Connector], store: Store | None) -> Vocabulary:
    """Return what *config* can speak of; *connectors* is by connector name. Without a store nothing was seen yet."""
    streams = tuple(words for c in config.connections.values() for words in _configured(c, connectors[c.connector]))
    if store is None:
        return Vocabulary(streams)
    streams = tuple(_with_store(streams, store))
    return Vocabulary(
        streams,
        events=_seen(store, streams, "event"),
        properties=_properties(store),
        surveys=_seen(store, streams, "survey"),
        questions={
            (survey, question): seen
            for name, seen in _seen(store, streams, "question").items()
            for survey, _, question in [name.partition("\x1f")]
        },
    )


def _configured(connection: ConnectionConfig, connector: Connector) -> Iterator[StreamWords]:
    from core.config.secrets import provisional_settings  # not needed to parse a segment

    settings = provisional_settings(connector.settings_model, connection.settings)
    for name, stream in connector.streams(settings).items():
        if connection.streams is None or name in connection.streams:
            yield _words(connection.name, stream, connector.manifest.category)


def _words(connection: str, stream: Stream, category: Category) -> StreamWords:
    from core.store.sources import default_trust  # nor is this

    trust = default_trust(category, stream)
    names = set(stream.fields)
    kinds = {stream.kind}
    if stream.kind is Kind.PROFILE and set(stream.identifiers) & _COMPANY_KINDS:
        names |= {"company." + kind.removeprefix("company_") for kind in set(stream.identifiers) & _COMPANY_KINDS}
    if stream.kind is Kind.PROFILE and stream.rows is not None:
        kinds |= {Kind.COMPANY}  # a function: it may tell of the company as well
    return StreamWords(
        connection,
        stream.name,
        kinds=frozenset(kinds),
        fields=None if stream.rows is not None else frozenset(names | {"email", "user_id"} & set(stream.identifiers)),
        keys=trust is Trust.KEY and bool(set(stream.identifiers) - _COMPANY_KINDS),
        category=category,
    )


def _with_store(streams: tuple[StreamWords, ...], store: Store) -> Iterator[StreamWords]:
    rows = {
        (connection, name): (id_, landing, completed_at)
        for connection, name, id_, landing, completed_at in store.conn.execute(
            "SELECT c.name, s.name, s.id, s.landing, s.completed_at FROM streams s JOIN connections c ON c.id = s.connection_id"
        )
    }
    catalogue = read_catalogue(store)
    shown: dict[int, set[Kind]] = {}
    for kind, table in TABLES.items():
        if kind is not Kind.EVENT:  # one index probe a stream; events name their streams in event_sources
            for (id_,) in store.conn.execute(
                f"SELECT id FROM streams s WHERE EXISTS (SELECT 1 FROM {table} WHERE stream_id = s.id)"
            ):
                shown.setdefault(id_, set()).add(kind)
    for (id_,) in store.conn.execute("SELECT DISTINCT stream_id FROM event_sources WHERE what = 'event'"):
        shown.setdefault(id_, set()).add(Kind.EVENT)
    for words in streams:
        id_, landing, completed_at = rows.get((words.connection, words.name), (None, None, None))
        yield StreamWords(
            words.connection,
            words.name,
            kinds=words.kinds | (shown.get(id_, set()) if id_ is not None else set()),
            fields=words.fields,
            keys=words.keys,
            category=words.category,
            id=id_,
            landing=landing,
            completed=completed_at is not None,
            columns=catalogue.get(id_, {}) if id_ is not None else {},
        )


def read_catalogue(store: Store) -> dict[int, dict[str, Column]]:
    """Return, by stream, the fields of its landing table."""
    found: dict[int, dict[str, Column]] = {}
    for stream_id, name, column, type_, changed_at, missing_since in store.conn.execute(
        "SELECT stream_id, field, column_name, type, changed_at, missing_since FROM catalogue"
    ):
        found.setdefault(stream_id, {})[name] = Column(column, type_, changed_at is not None, missing_since is not None)
    return found


def _seen(store: Store, streams: tuple[StreamWords, ...], what: str) -> dict[str, Seen]:
    by_id = {s.id: s for s in streams if s.id is not None}
    found: dict[str, list[StreamWords]] = {}
    for stream_id, name in store.conn.execute("SELECT stream_id, name FROM event_sources WHERE what = ?", (what,)):
        if stream_id in by_id:
            found.setdefault(name, []).append(by_id[stream_id])
    return {name: Seen(frozenset(s.text for s in of), any(s.completed for s in of)) for name, of in found.items()}


def _properties(store: Store) -> dict[str, dict[str, frozenset[str]]]:
    found: dict[str, dict[str, frozenset[str]]] = {}
    for name, property_, type_ in store.conn.execute(
        "SELECT n.name, p.property, p.type FROM event_properties p JOIN event_names n ON n.id = p.name_id"
    ):
        known = found.setdefault(name, {})
        known[property_] = known.get(property_, frozenset()) | {type_}
    return found
