"""
Whether each audience is as the ledger says: its members are read at the destination, and every difference has a name.

*Missing*: ours, and no longer there; *extra*: somebody we know who is there by another's hand; *unknown*: there, and nobody we
know; *gone*: foreign, and no longer there; *settling*: on the way in or out, so a reading may show either. Nothing is changed
here: `core.live.repair` mends what is ours, when a person asks for it. What is wanted and not ours yet is a plan's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pyroaring import BitMap

from core.clock import MICROSECOND, to_us
from core.config.model import SyncConfig
from core.contract import Api, Ref, Unsupported
from core.errors import HubError, NotFoundError, Stopped, StoreError
from core.hub import Session
from core.log import log
from core.pushing import reach, targets
from core.pushing.foreign import without_forgotten
from core.pushing.targets import Target
from core.segments.definitions import Definitions
from core.segments.evaluate import Evaluation
from core.store import Store, audiences, ledger, live
from core.store.audiences import AudienceRow, Standing
from core.store.ledger import State
from core.store.live import Absent, Difference

SETTLES_WITHIN: Final = timedelta(minutes=10)
"""
How long a vendor may take to show what it has confirmed: lists and searches of CRMs lag behind writes by seconds to minutes, so
who was sent or taken out since then is neither missing nor extra.
"""
DOUBTED_FROM: Final = 10
"""Members in the ledger from which on a reading without most of them is doubted: it may be the reading that is wrong."""


class What(StrEnum):
    """How ledger and destination differ about a member."""

    MISSING = "missing"
    EXTRA = "extra"
    UNKNOWN = "unknown"
    GONE = "gone"
    SETTLING = "settling"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair wrote into the ledger of one audience; it sends nothing."""

    to_add: int = 0
    """Missing, and put in again by the next sync, as far as its guards allow."""
    forgotten: int = 0
    """Missing, and not wanted any more."""
    stored: int = 0
    """Found there, and foreign from now on."""
    dropped: int = 0
    """Foreign, and no longer there."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How one audience stands to its ledger."""

    target: Target
    row: AudienceRow | None
    _: KW_ONLY
    as_of: datetime
    there: int = 0
    """Members whom the destination shows."""
    ours: int = 0
    """Of those in the ledger as ours, how many it shows."""
    foreign: int = 0
    counts: dict[tuple[str, bool], int] = field(default_factory=dict)
    untold: str | None = None
    """Why nobody can tell who is wanted."""
    note: str | None = None
    """Why its members could not be compared, where that is no error."""
    error: Exception | None = None
    repaired: Repaired | None = None

    @property
    def label(self) -> str:
        return self.target.label

    def count(self, what: What, *, wanted: bool | None = None) -> int:
        """Return how many differ so; only those known to be wanted or the others, where *wanted* says which."""
        return sum(n for (name, is_wanted), n in self.counts.items() if name == what and wanted in (None, is_wanted))

    @property
    def drifted(self) -> bool:
        """Whether there is anything that a repair would mend."""
        return any(self.count(what) for what in What if what is not What.SETTLING)

    @property
    def doubtful(self) -> bool:
        """Whether most of the ledger's members were not shown: a list that was emptied, or a reading that is wrong."""
        absent = self.count(What.MISSING) + self.count(What.GONE)
        known = absent + self.ours + self.foreign
        return known >= DOUBTED_FROM and absent * 2 > known


@dataclass(frozen=True, slots=True)
class Comparing:
    """What the readings of one command share."""

    session: Session
    store: Store
    definitions: Definitions
    evaluation: Evaluation
    _: KW_ONLY
    on_page: Callable[[str, int], None] | None = None
    """Told the label and how many members were read of it so far."""


def compare(comparing: Comparing, sync: SyncConfig) -> list[Drift]:
    """
    Read every audience of *sync* and return how each stands; who differs is kept in the store's connection (`core.store.live`).

    A reading that fails tells of its error and of nothing else.
    """
    hub = comparing.session.hub
    found = []
    for target in targets.targets_of(sync, comparing.definitions.config, hub.connector(sync.to)):
        if hub.stop.is_set():
            raise Stopped("told to stop")
        found.append(_compare_one(comparing, target))
    return found


def _compare_one(comparing: Comparing, target: Target) -> Drift:
    as_of = comparing.session.hub.clock()
    row = None
    try:
        api = comparing.session.api(target.connection)  # tells another account before its members are taken for ours
        row = _row(comparing.store, target)
        drift = Drift(target, row, as_of=as_of)
        if row is None:
            return replace(drift, note="there is no audience yet: nothing was ever sent")
        if row.kind != target.sync.audience_kind or not targets.same_target(row.target, row.name, target):
            named, filled = f"the {target.sync.audience_kind} {target.name!r}", f"the {row.kind} {row.name!r}"
            return replace(drift, note=f"the sync names {named} now and fills {filled}: see its plan")
        return _read(comparing, drift, row, api)
    except (Stopped, StoreError):
        raise
    except Exception as error:
        if not isinstance(error, HubError):
            log.exception("reading_broke", label=target.label)
        live.begin(comparing.store.conn)
        if row is not None:
            live.forget(comparing.store.conn, row.id)
        return Drift(target, row, as_of=as_of, error=_spoken(error, target))


def _spoken(error: Exception, target: Target) -> Exception:
    if isinstance(error, NotFoundError):
        there = targets.spoken(target.target, target.name)
        return NotFoundError(f"{there} is no longer there; the next sync holds until somebody says what to do", status=404)
    return error


def _row(store: Store, target: Target) -> AudienceRow | None:
    """Return what the target is bound to, under the account that the connection has now."""
    account = store.conn.execute("SELECT account FROM connections WHERE name = ?", (target.connection,)).fetchone()
    bound = audiences.bound_to(store.conn, target.label)
    return next(
        (r for r in bound if account is not None and (r.connection, r.account) == (target.connection, account[0])), None
    )


def _read(comparing: Comparing, drift: Drift, row: AudienceRow, api: Api) -> Drift:
    conn, stop = comparing.store.conn, comparing.session.hub.stop
    pages = drift.target.audience.members(api, row.remote_id)
    if isinstance(pages, Unsupported):
        return replace(drift, note="its members cannot be read there; what the ledger says is what was confirmed")
    live.begin(conn)
    live.forget(conn, row.id)
    read = 0
    for page in pages:
        if stop.is_set():
            raise Stopped("told to stop")
        live.add_page(conn, page)
        read += len(page)
        if comparing.on_page is not None:
            comparing.on_page(drift.label, read)
    there = live.count(conn)
    absent = _Sorting(comparing, drift, row).sort()
    stands = conn.execute(
        "SELECT sum(state IN ('ours', 'unsure')), sum(state = 'foreign') FROM ledger WHERE audience_id = ?", (row.id,)
    ).fetchone()
    ours, foreign = (total or 0 for total in stands)
    counts = live.counts(conn, row.id)
    return replace(
        drift, there=there, ours=ours - absent[State.OURS], foreign=foreign - absent[State.FOREIGN], counts=counts,
        untold=comparing.evaluation.failed.get(drift.target.set_name),
    )  # fmt: skip


class _Sorting:
    """Gives every difference of one audience its name."""

    def __init__(self, comparing: Comparing, drift: Drift, row: AudienceRow) -> None:
        self.store, self.conn = comparing.store, comparing.store.conn
        self.target, self.row = drift.target, row
        self.since = to_us(drift.as_of) - SETTLES_WITHIN // MICROSECOND
        # who is wanted is not known where the set cannot be told: nobody is taken for unwanted then
        self.wanted: BitMap | None = comparing.evaluation.sets.get(drift.target.set_name)
        if drift.target.set_name in comparing.evaluation.failed:
            self.wanted = None
        self.stands: Standing = audiences.standing(self.conn, row.id)
        self.stream_id = reach.own_stream(self.conn, drift.target.audience, row.connection)
        self.kind = reach.identifier_kind(drift.target.audience, row.connection)

    def sort(self) -> dict[State, int]:
        """Note all differences; return how many rows of ours and how many foreign ones the reading did not show."""
        live.note_moving(self.conn, self.row.id, since=self.since)
        absent = {State.OURS: 0, State.FOREIGN: 0}
        for rows in live.absent(self.conn, self.row.id):
            gone = self._absent(rows)
            live.note(self.conn, self.row.id, gone.values())
            for one in rows:
                state = State.FOREIGN if one.entry.state is State.FOREIGN else State.OURS
                absent[state] += one.entry.member_key in gone
        for some in live.unheard_of(self.conn, self.row.id):
            profiles = reach.profiles_of_refs(self.conn, self.stream_id, [ref.remote_id for ref, _ in some], self.kind)
            # who was forgotten is not to be known again by way of a list that they are still in
            tellable = {ref.remote_id for ref in without_forgotten(self.store, self.target, [ref for ref, _ in some])}
            found = [self._unheard_of(ref, moving, profiles.get(ref.remote_id)) for ref, moving in some]
            live.note(self.conn, self.row.id, [one for one in found if one.remote_id in tellable])
        return absent

    def _absent(self, rows: Iterable[Absent]) -> dict[str, Difference]:
        """Return the differences by key; who lives on as the object that theirs was merged into is there all the same."""
        rows = list(rows)
        winners = reach.merged_into(self.conn, self.stream_id, [str(r.entry.remote_id) for r in rows if r.entry.remote_id])
        lives_on = live.seen(self.conn, winners.values()) if winners else frozenset()
        found = {}
        for row in rows:
            entry = row.entry
            if winners.get(str(entry.remote_id)) in lives_on:
                continue
            found[entry.member_key] = Difference(
                self._why_absent(row),
                entry.member_key,
                profile_id=entry.profile_id,
                remote_id=entry.ref.remote_id,
                wanted=self._is_wanted(entry.profile_id),
            )
        if lives_on:
            live.set_aside(self.conn, lives_on)
        return found

    def _why_absent(self, row: Absent) -> What:
        # an add that was never answered is a question, and no member until it is
        if row.moving or row.at > self.since or row.entry.state is State.UNSURE or self._is_waiting(row.entry.profile_id):
            return What.SETTLING
        return What.GONE if row.entry.state is State.FOREIGN else What.MISSING

    def _unheard_of(self, ref: Ref, moving: bool, profile_id: int | None) -> Difference:
        what = What.UNKNOWN if profile_id is None else What.EXTRA
        if moving or self._is_waiting(profile_id):
            what = What.SETTLING
        return Difference(
            what,
            f"{ledger.REMOTE_PREFIX}{ref.remote_id}",
            profile_id=profile_id,
            remote_id=ref.remote_id,
            wanted=self._is_wanted(profile_id),
            handle=ref.handle,
            object=ref.object,
        )

    def _is_waiting(self, profile_id: int | None) -> bool:
        return profile_id is not None and profile_id in self.stands.waiting

    def _is_wanted(self, profile_id: int | None) -> bool | None:
        if self.wanted is None:
            return None
        return profile_id is not None and profile_id in self.wanted
