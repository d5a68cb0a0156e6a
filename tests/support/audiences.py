"""
A made-up vendor in memory, for tests of delivery: a source of people and events, and six kinds of audience.

`tag` (harmless to repeat), `mail` (addresses), `list` (side effects and handles), `job` (settles later), `file` (whole) and
`field` (values). Everything that really moves is in `Vendor.log`; `Vendor.fault` is asked before and after each write.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from types import ModuleType
from typing import Any, ClassVar

from core.contract import (
    UNSUPPORTED,
    Audience,
    AudienceSet,
    Carrying,
    Category,
    Change,
    Deletions,
    Kind,
    Limit,
    Manifest,
    Op,
    Outcome,
    Page,
    Params,
    Person,
    Ref,
    Settings,
    Stream,
    Trust,
    Verdict,
)
from core.errors import NotFoundError, RejectedError
from core.http.meanwhile import Meanwhile
from core.registry import Connector


@dataclass
class Vendor:
    """The vendor's side: people by id, audiences by id, and a log of what moved."""

    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """Audience name to id."""
    audiences: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Audience id to remote id to values or handle."""
    log: list[tuple[str, str, str]] = field(default_factory=list)
    """(audience name, op, remote id), of what really changed."""
    writes: int = 0
    reads: int = 0
    finds: list[str] = field(default_factory=list)
    cleared: list[tuple[str, list[str]]] = field(default_factory=list)
    """Who left an audience that carries values, and which of them were taken away."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """Adds and removes of each call."""
    refuse: set[str] = field(default_factory=set)
    """Remote ids that sink a batch."""
    refuse_in: tuple[str, str] | None = None
    """Audience id and remote id of somebody who sinks a batch there and nowhere else."""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    """Remote id to a verdict of its own."""
    readable: bool = True
    clock: datetime | None = None
    """What time it says it is; None: it does not say."""
    fault: Callable[[str], None] | None = None
    """Called with `before apply`, `after apply`, ...; may raise."""
    pull_fault: Callable[[int], None] | None = None
    jobs: dict[str, list[tuple[Op, str]]] = field(default_factory=dict)
    jobs_done: bool = False
    account: str = "acc-1"
    unknown: set[str] = field(default_factory=set)
    """Addresses that the `mail` audience does not know."""

    def audience(self, name: str) -> set[str]:
        """Return the remote ids in an audience."""
        return set(self.audiences.get(self.names.get(name, ""), {}))

    def make(self, name: str, members: Iterable[str] = ()) -> str:
        """Make an audience by hand."""
        id_ = f"a{len(self.names) + 1}"
        self.names[name] = id_
        self.audiences[id_] = {member: {} for member in members}
        return id_

    def moved(self, op: str | None = None) -> list[str]:
        """Return the remote ids that moved, in order."""
        return [member for _, did, member in self.log if op in (None, did)]

    def _fault(self, where: str) -> None:
        if self.fault is not None:
            self.fault(where)

    def change(self, id_: str, op: Op, remote_id: str, values: Any = None) -> bool:
        """Carry out one change; True where something really moved."""
        name = next(n for n, i in self.names.items() if i == id_)
        there = self.audiences[id_]
        if op is Op.ADD:
            new = remote_id not in there
            there[remote_id] = values if values is not None else {}
            if new:
                self.log.append((name, "add", remote_id))
            return new
        if remote_id in there:
            del there[remote_id]
            self.log.append((name, "remove", remote_id))
            return True
        return False


class VendorApi:
    """What the connector's code is handed: the vendor itself."""

    def __init__(self, vendor: Vendor, now: Callable[[], datetime]) -> None:
        self.vendor = vendor
        self._now = now
        self.settings = Settings()
        self.requests: Counter[str] = Counter()
        self.meanwhile = Meanwhile()

    @property
    def now(self) -> datetime:
        return self._now()

    @property
    def clock_ahead(self) -> timedelta | None:
        return None if self.vendor.clock is None else self._now() - self.vendor.clock

    def __enter__(self) -> VendorApi:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class _Base(Audience):
    """What all kinds share."""

    max_batch: ClassVar[int] = 3
    find_batch: ClassVar[int] = 50

    def lookup(self, api: Any, name: str) -> str | None:
        api.requests["GET"] += 1
        api.vendor.reads += 1
        id_ = next((i for n, i in api.vendor.names.items() if n.casefold() == name.casefold()), None)
        return id_ if id_ in api.vendor.audiences else None

    def create(self, api: Any, name: str, seed: Sequence[Ref]) -> str:
        api.vendor._fault("before create")
        api.requests["POST"] += 1
        api.vendor.writes += 1
        id_: str = api.vendor.make(name)
        api.vendor._fault("after create")
        return id_

    def find(self, api: Any, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        api.requests["GET"] += 1
        api.vendor.reads += 1
        api.vendor.finds += keys
        found: dict[str, list[Ref]] = {}
        for key in keys:
            ids = [id_ for id_, person in api.vendor.people.items() if key in (person.get("email"), *person.get("also", ()))]
            found[key] = [Ref(id_) for id_ in ids]
        return found

    def apply(self, api: Any, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        vendor: Vendor = api.vendor
        vendor._fault("before apply")
        api.requests["POST"] += 1
        vendor.writes += 1
        vendor.sizes.append((len(adds), len(removes)))
        if audience_id not in vendor.audiences:
            raise NotFoundError("no such audience", status=404)
        refs = [change.ref for change in adds] + list(removes)
        if any(ref.remote_id in vendor.refuse or (audience_id, ref.remote_id) == vendor.refuse_in for ref in refs):
            raise RejectedError("somebody in it is bad", status=400, code="bad_member")
        outcomes = [self._one(vendor, audience_id, Op.ADD, change.ref, change.values) for change in adds]
        outcomes += [self._one(vendor, audience_id, Op.REMOVE, ref, None) for ref in removes]
        vendor._fault("after apply")
        return outcomes

    def _one(self, vendor: Vendor, id_: str, op: Op, ref: Ref, values: Any) -> Outcome:
        if ref.remote_id in vendor.verdicts:
            return Outcome(ref, vendor.verdicts[ref.remote_id])
        moved = vendor.change(id_, op, ref.remote_id, dict(values) if values is not None else None)
        return Outcome(ref, Verdict.DONE if moved else Verdict.NOOP)

    def members(self, api: Any, audience_id: str) -> Any:
        api.requests["GET"] += 1
        api.vendor.reads += 1
        if not api.vendor.readable:
            return UNSUPPORTED
        if audience_id not in api.vendor.audiences:
            raise NotFoundError("no such audience", status=404)
        there = sorted(api.vendor.audiences[audience_id])
        return iter([[Ref(member) for member in there[i : i + 2]] for i in range(0, len(there), 2)])


AUDIENCES = AudienceSet()


@AUDIENCES.add("tag")
class Tag(_Base):
    """Adding twice is adding once; people are known by the ids of this connection's own stream."""

    ids_from: ClassVar[str | None] = "contacts"

    def create_people(self, api: Any, people: Sequence[Person]) -> Sequence[Outcome]:
        api.requests["POST"] += 1
        api.vendor.writes += 1
        outcomes = []
        for person in people:
            id_ = f"new-{person.key}"
            api.vendor.people[id_] = {"email": person.key, **person.values}
            outcomes.append(Outcome(Ref(id_), Verdict.DONE))
        return outcomes


@AUDIENCES.add("mail")
class MailTag(Tag):
    """People are their addresses."""

    ids_from = None

    def find(self, api: Any, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        api.requests["GET"] += 1
        api.vendor.reads += 1
        api.vendor.finds += keys
        return {key: [Ref(key)] for key in keys if key not in api.vendor.unknown}


@AUDIENCES.add("list")
class SideEffectList(_Base):
    """Each add starts a campaign; a member is removed by its handle."""

    repeat = "side_effects"
    handles: ClassVar[itertools.count[int]] = itertools.count(1)

    def _one(self, vendor: Vendor, id_: str, op: Op, ref: Ref, values: Any) -> Outcome:
        if op is Op.REMOVE and ref.handle is None:
            return Outcome(ref, Verdict.REJECTED, reason="no handle")
        done = super()._one(vendor, id_, op, ref, values)
        if op is Op.ADD and done.verdict is Verdict.DONE:
            return Outcome(Ref(ref.remote_id, handle=f"h{next(self.handles)}"), Verdict.DONE)
        return done

    def members(self, api: Any, audience_id: str) -> Any:
        pages = super().members(api, audience_id)
        if pages is UNSUPPORTED:
            return pages
        return [[Ref(ref.remote_id, handle=f"read-{ref.remote_id}") for ref in page] for page in pages]


@AUDIENCES.add("job")
class JobList(_Base):
    """Takes a batch and says later what became of it."""

    def apply(self, api: Any, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        api.vendor._fault("before apply")
        api.requests["POST"] += 1
        api.vendor.writes += 1
        job = f"job{len(api.vendor.jobs) + 1}"
        api.vendor.jobs[job] = [(Op.ADD, c.ref.remote_id) for c in adds] + [(Op.REMOVE, r.remote_id) for r in removes]
        api.vendor._fault("after apply")
        return [Outcome(ref, Verdict.PENDING, job=job) for ref in [*(c.ref for c in adds), *removes]]

    def settle(self, api: Any, audience_id: str, job: str) -> Mapping[str, Outcome] | None:
        api.requests["GET"] += 1
        if not api.vendor.jobs_done:
            return None
        done = {}
        for op, member in api.vendor.jobs.get(job, []):
            api.vendor.change(audience_id, op, member)
            done[member] = Outcome(Ref(member), Verdict.DONE)
        return done


@AUDIENCES.add("file")
class WholeFile(_Base):
    """Written all at once."""

    whole = True
    key_kind = "profile_id"
    find = Audience.find

    def wanted_fields(self) -> Sequence[str]:
        return ("profile_id", "email")

    def replace(self, api: Any, audience_id: str, members: Iterator[Change]) -> None:
        rows = {change.ref.remote_id: dict(change.values) for change in members}
        api.vendor._fault("before apply")
        api.vendor.writes += 1
        api.vendor.audiences[audience_id] = rows
        api.vendor._fault("after apply")


@AUDIENCES.add("campaign")
class SeededList(_Base):
    """Cannot be made without somebody in it, and sends several batches at once."""

    seeded = True
    concurrency = 3

    def create(self, api: Any, name: str, seed: Sequence[Ref]) -> str:
        api.vendor._fault("before create")
        (first,) = seed
        id_: str = api.vendor.make(name)
        api.vendor.change(id_, Op.ADD, first.remote_id)
        api.vendor._fault("after create")
        return id_


class FieldParams(Params):
    """What a sync with a `field` says."""

    carry: tuple[str, ...] = ("country",)


@AUDIENCES.add("field")
class Field(_Base):
    """Carries values."""

    Params = FieldParams

    def wanted_fields(self) -> Sequence[str]:
        assert isinstance(self.params, FieldParams)
        return self.params.carry


@AUDIENCES.add("carrying")
class Carried(Carrying, _Base):
    """Carries traits and fields under names of its own."""

    def apply(self, api: Any, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        renamed = [Change(change.ref, self.carried(change)) for change in adds]
        api.vendor.cleared += [(ref.remote_id, sorted(self.cleared())) for ref in removes]
        return super().apply(api, audience_id, renamed, removes)


def contacts(api: Any, cursor: Any, resume: str | None) -> Iterator[Page]:
    """Everybody, five a page."""
    vendor: Vendor = api.vendor
    rows = [{"id": id_, **person} for id_, person in vendor.people.items()]
    for number, start in enumerate(range(0, len(rows), 5)):
        if vendor.pull_fault is not None:
            vendor.pull_fault(number)
        yield Page(rows[start : start + 5])
    if not rows:
        yield Page([])


def events(api: Any, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """What people did."""
    rows = [e for e in api.vendor.events if cursor is None or e["at"] >= cursor]
    yield Page(rows, cursor=max((e["at"] for e in rows), default=None))


def connector(category: Category = Category.CRM, *, name: str = "acme", with_events: bool = False) -> Connector:
    """Return the made-up vendor as a connector."""
    module = ModuleType(f"made_up_{name}")
    streams = [
        Stream(
            "contacts",
            Kind.PROFILE,
            pull=contacts,
            key="id",
            identifiers={"email": lambda r: [r.get("email"), *r.get("also", ())], "user_id": "user_id"},
            fields={"email": "email", "country": "country", "lifecycle_stage": "stage", "first_name": "first_name"},
            deletions=Deletions.ABSENCE,
            full_every=timedelta(0),
        ),
        Stream(
            "consents",
            Kind.CONSENT,
            pull=consents,
            key="id",
            identifiers={"email": "email"},
            fields={"channel": "channel", "state": "state"},
        ),
    ]
    if with_events:
        streams.append(
            Stream(
                "events",
                Kind.EVENT,
                pull=events,
                key="id",
                identifiers={"email": "email"},
                trust=Trust.CLAIM,
                fields={"name": "name", "time": "at"},
            )
        )
    manifest = Manifest(
        name,
        "Made up",
        category=category,
        base_url="https://api.example.com",
        hosts=("example.com",),
        docs_url="https://docs.example.com",
        api_version="1",
        limits=[Limit(10, per_s=1)],
        checked_on=date(2026, 1, 1),
    )
    vars(module).update(
        MANIFEST=manifest, Settings=Settings, AUDIENCES=AUDIENCES, streams=lambda settings: streams,
        auth=lambda settings: None, account=lambda api: api.vendor.account,
    )  # fmt: skip
    return Connector(module)


def consents(api: Any, cursor: Any, resume: str | None) -> Iterator[Page]:
    """Who said no; of somebody `archived` only that their record is gone."""
    asked = {id_: p for id_, p in api.vendor.people.items() if "consent" in p}
    yield Page(
        [
            {"id": f"c-{id_}", "email": p["email"], "channel": "email", "state": p["consent"]}
            for id_, p in asked.items()
            if not p.get("archived")
        ],
        deleted=[f"c-{id_}" for id_, p in asked.items() if p.get("archived")],
    )
