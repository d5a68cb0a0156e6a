"""
What would be sent, exactly, before a request is: adds, removes, moves, skips with reasons, what is held and what it costs.

The sets are roaring bitmaps of profile ids and the decisions pure functions of them; `core.planning.draft` fills them from the
store and the destination's reads, `core.planning.gate` applies the guards, and `core.pushing.push` carries it out. A plan
never sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from pyroaring import BitMap

from core.contract import Category, Ref
from core.live.baseline import Baseline
from core.planning.delay import NOBODY, Stays
from core.planning.guards import Held
from core.pushing.bind import Bound
from core.pushing.targets import Target, Turnover
from core.store.audiences import Churn, Standing
from core.store.holds import Approved
from core.store.ledger import Entry


class Skip(StrEnum):
    """Why somebody who is wanted is not added, or somebody who is not stays."""

    NO_IDENTIFIER = "no_identifier"
    CONSENT = "consent"
    NOT_FOUND = "not_found"
    SUPPRESSED = "suppressed"
    DUPLICATE = "duplicate"
    EXCLUDED = "excluded"
    REJECTED = "rejected"
    """A dead letter that is not due."""
    WAITING = "waiting"
    """An intent or a job is not settled yet."""
    FOREIGN = "foreign"
    """There already, and not by us."""
    GRACE = "grace"
    """No longer wanted, for less long than the sync's `grace`: stays (see `core.planning.delay`)."""
    MIN_STAY = "min_stay"
    """No longer wanted, and put in less long ago than the sync's `min_stay`: stays."""
    CHANGED = "changed"
    """Another process learnt something of them after it was found out who is wanted: left to the next run."""


@dataclass(frozen=True, slots=True)
class Move:
    """A listed member who goes by another key now: out under the old one, in under the new, as one thing."""

    profile_id: int
    old: tuple[Entry, ...]
    new: tuple[str, Ref] | None
    """Key and ref to add; None where the new key is there already or its add is skipped."""


@dataclass(frozen=True, slots=True)
class Rekey:
    """A change of the ledger alone: nothing moves at the destination."""

    old_key: str
    new: Entry | None
    """None: the row goes, another one stands for the same object."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan before the guards: what the sets and the destination say."""

    target: Target
    bound: Bound
    _: KW_ONLY
    as_of: datetime
    wanted: BitMap
    standing: Standing
    adds: BitMap = field(default_factory=BitMap)
    creates: BitMap = field(default_factory=BitMap)
    """Unknown there; created, never as subscribed, and then added."""
    updates: BitMap = field(default_factory=BitMap)
    """Ours, with other values by now, or never confirmed; sent again."""
    removes: BitMap = field(default_factory=BitMap)
    moves: tuple[Move, ...] = ()
    rekeys: tuple[Rekey, ...] = ()
    skips: Mapping[Skip, BitMap] = field(default_factory=dict)
    consent: Mapping[str, BitMap] = field(default_factory=dict)
    """Those of them who are skipped for want of consent, by reason (`core.planning.permission`)."""
    stays: Stays = NOBODY
    category: Category = Category.CRM
    """Of the destination: e-mail tools do not get people who said no, also while the plan is carried out."""
    definition: str = ""
    """Hash of the set's text, and of all that it names."""
    found: Mapping[int, Ref] = field(default_factory=dict)
    """Refs that the vendor was asked for; all others are in the store."""
    unknown: Mapping[int, str] = field(default_factory=dict)
    """Profiles that the vendor was asked for and does not know, by the key asked with."""
    churn: Churn = field(default_factory=lambda: Churn(0, 0, 0, 0))
    turnover: Turnover = field(default_factory=Turnover)
    first_run: bool = False
    approved: Approved = field(default_factory=lambda: Approved(BitMap(), BitMap()))
    held: tuple[Held, ...] = ()
    """Reasons to hold all of it: its sources, its words, its audience."""
    baseline: Baseline | None = None
    """What becomes of who was there before us, where that is yet to be done."""
    nameless: int = 0
    """Members of ours whom nobody knows, to be removed."""
    notes: tuple[str, ...] = ()

    @property
    def entering(self) -> BitMap:
        return self.adds | self.creates

    @property
    def movers(self) -> BitMap:
        return BitMap([move.profile_id for move in self.moves])

    @property
    def leaving(self) -> BitMap:
        """Whose rows would be removed: no longer wanted, or gone by another key."""
        return self.removes | self.movers


@dataclass(frozen=True, slots=True)
class Plan:
    """What one audience of a sync will be sent, and what is held back."""

    draft: Draft
    """As the sets have it; the fields below are what is let through of it."""
    _: KW_ONLY
    adds: BitMap
    creates: BitMap
    updates: BitMap
    removes: BitMap
    moves: tuple[Move, ...]
    held: tuple[Held, ...]
    held_adds: BitMap
    held_removes: BitMap
    """Moves held are in here."""
    strangers: int = 0
    """Members to be removed whom nobody knows: there before us, and adopted by a `replace`."""
    limited: bool = False
    """Cut short by `--limit`."""
    requests: int = 0
    seconds: float = 0.0
    """At the pace that the vendor permits."""
    asked: int = 0
    """Requests that it took to find out who is there and who is known; of a sync's plans the first has them all."""

    @property
    def label(self) -> str:
        return self.draft.target.label

    @property
    def target(self) -> Target:
        return self.draft.target

    @property
    def as_of(self) -> datetime:
        return self.draft.as_of

    @property
    def skips(self) -> Mapping[Skip, BitMap]:
        return self.draft.skips

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.draft.bound.notes, *self.draft.notes)

    @property
    def whole_held(self) -> bool:
        """Held both ways by its sources, its words or its audience."""
        return bool(self.draft.held)

    @property
    def size(self) -> int:
        """Members that will be sent."""
        sent = len(self.adds) + len(self.creates) + len(self.updates) + len(self.removes) + len(self.moves)
        return sent + self.strangers


def difference(wanted: BitMap, standing: Standing, *, add_only: bool) -> tuple[BitMap, BitMap]:
    """Return who is to be added and who removed; who is theirs stays, and who is on the way is left until it is settled."""
    adds = wanted - standing.owned - standing.theirs - standing.waiting
    removes = BitMap() if add_only else standing.owned - wanted - standing.waiting
    return adds, removes


def limit(plans: Iterable[Plan], members: int | None) -> list[Plan]:
    """Return the plans cut to *members* in all: moves first, then removes, adds, creations and new values."""
    if members is None:
        return list(plans)
    cut, left = [], members
    for plan in plans:
        moves = plan.moves[:left]
        left -= len(moves)
        parts = []
        for part in (plan.removes, plan.adds, plan.creates, plan.updates):
            parts.append(part if len(part) <= left else BitMap(part[:left]))
            left -= len(parts[-1])
        removes, adds, creates, updates = parts
        strangers = min(plan.strangers, left)
        left -= strangers
        less = plan.size > len(moves) + sum(map(len, parts)) + strangers
        cut.append(
            replace(
                plan,
                moves=moves,
                removes=removes,
                adds=adds,
                creates=creates,
                updates=updates,
                strangers=strangers,
                limited=plan.limited or less,
            )
        )
    return cut


def after(plan: Plan) -> BitMap:
    """Return who is ours when everything in the plan is done: owned, less the removals let through, plus the adds."""
    return (plan.draft.standing.owned - plan.removes) | plan.adds | plan.creates
