"""
How much may move: the size guards, pure functions that hold one direction of a plan.

They count over 24 rolling hours, what was sent and what would be, against what was there; the counting is the callers'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Final

from core.config.model import Guard
from core.planning.guards import Held, HeldKind, Holds

REMOVALS_SHARE: Final = 0.05
REMOVALS_COUNT: Final = 50
HALF: Final = 0.5
HALF_FROM: Final = 10
"""Members from which on losing more than half is looked at."""
EMPTIED_FROM: Final = 3
"""Members from which on "nobody wanted" is looked at."""
MOVING_SHARE: Final = 0.20
"""Of a set that a window of a day exchanges whole, how many more may leave than come: days are not alike."""
ADDS_SHARE: Final = 0.20
ADDS_COUNT: Final = 100
ADDS_DAYS_FACTOR: Final = 3
BASELINE: Final = 100
"""Members that a first run may move with nobody looking on."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a plan would do to one audience, and what was done to it lately; approved members are in no number."""

    owned: int
    wanted: int
    _: KW_ONLY
    adds: int
    removes: int
    adds_24h: int = 0
    removes_24h: int = 0
    most_owned_24h: int = 0
    """The most that were ours in those 24 hours; at least *owned*."""
    largest_adds_day: int = 0
    """Of the last 30 days, without the one that ends now."""
    largest_growth_day: int = 0
    """The same of adds less removals."""
    turnover: float = 0.0
    """Which share of it windows exchange by themselves in 24 hours: see `core.pushing.targets.Turnover.most`."""
    all_moving: float = 0.0
    """See `core.pushing.targets.Turnover.least`: 0 where some members may be in for another reason than a window."""
    first_run: bool = False
    """The sync has no completed run."""
    attended: bool = True
    """A person looks on: `tagalong sync`, not `tagalong run`."""
    limits: Guard = field(default_factory=Guard)


SizeGuard = Callable[[Sizes], Held | None]


def exchanged(sizes: Sizes) -> int:
    """
    Return how many of those who leave are made up for by others who come, as a moving window has it every day.

    One for one, and no more than the window turns over in 24 hours. A source that silently stops has people leave whom nobody
    follows (or, under a `not`, come with nobody leaving), so it exchanges nobody.
    """
    most = max(sizes.most_owned_24h, sizes.owned, 1)
    return int(min(sizes.adds_24h + sizes.adds, sizes.removes_24h + sizes.removes, sizes.turnover * most))


def removals(sizes: Sizes) -> Held | None:
    """Too many leave within 24 hours; of a set with a moving window, more than come in their place."""
    if sizes.first_run or not sizes.removes:
        return None
    most = max(sizes.most_owned_24h, sizes.owned)
    total = sizes.removes_24h + sizes.removes
    counted = total - exchanged(sizes)
    share = REMOVALS_SHARE + sizes.all_moving * (MOVING_SHARE - REMOVALS_SHARE)
    if sizes.limits.removals_share is not None:
        share = sizes.limits.removals_share
    count = REMOVALS_COUNT if sizes.limits.removals_count is None else sizes.limits.removals_count
    limit = max(share * most, count)
    half = max(HALF, share) * most
    if counted <= limit and not (most >= HALF_FROM and counted > half):
        return None
    reason = f"{total} removals within 24 hours, of {most} members"
    facts = {"removals": total, "of": most, "limit": int(min(limit, half) if most >= HALF_FROM else limit)}
    if total != counted:
        reason += f"; {_others(total - counted)} came in their place"
        facts["exchanged"] = total - counted
    return Held(HeldKind.REMOVALS, reason, holds=Holds.REMOVES, facts=facts)


def emptied(sizes: Sizes) -> Held | None:
    """Nobody is wanted any more."""
    if sizes.first_run or sizes.wanted or not sizes.removes or sizes.owned < EMPTIED_FROM:
        return None
    reason = f"nobody is wanted, and {sizes.owned} members are ours"
    return Held(HeldKind.REMOVALS, reason, holds=Holds.REMOVES, facts={"removals": sizes.removes, "of": sizes.owned})


def additions(sizes: Sizes) -> Held | None:
    """Many more come within 24 hours than on any day of the last 30."""
    if sizes.first_run or not sizes.adds:
        return None
    most = max(sizes.most_owned_24h, sizes.owned)
    total = sizes.adds_24h + sizes.adds
    counted = total - exchanged(sizes)
    share = ADDS_SHARE if sizes.limits.adds_share is None else sizes.limits.adds_share
    count = ADDS_COUNT if sizes.limits.adds_count is None else sizes.limits.adds_count
    limit = max(share * most, count)
    # the busiest day is counted as this one is: less whom it exchanged
    busiest = int(max(sizes.largest_growth_day, sizes.largest_adds_day - sizes.turnover * max(most, 1), 0))
    if counted <= limit or counted <= ADDS_DAYS_FACTOR * busiest:
        return None
    reason = f"{total} adds within 24 hours, to {most} members; the busiest of the last 30 days had {busiest}"
    facts = {"adds": total, "of": most, "limit": int(limit), "busiest_day": busiest}
    if total != counted:
        reason += f"; {_others(total - counted)} went in their place"
        facts["exchanged"] = total - counted
    return Held(HeldKind.ADDS, reason, holds=Holds.ADDS, facts=facts)


def _others(number: int) -> str:
    return "1 other" if number == 1 else f"{number} others"


def baseline(sizes: Sizes) -> Held | None:
    """The first run of a sync, with nobody looking on, is to move more than a few."""
    moved = sizes.adds + sizes.removes
    if not sizes.first_run or sizes.attended or moved <= BASELINE:
        return None
    reason = f"the first run of this sync would move {moved} members, and nobody looks on; run `tagalong sync` or approve it"
    return Held(HeldKind.BASELINE, reason, facts={"adds": sizes.adds, "removals": sizes.removes, "limit": BASELINE})


SIZE_GUARDS: Final[tuple[SizeGuard, ...]] = (baseline, emptied, removals, additions)


def sizes_held(sizes: Sizes, *, guards: Sequence[SizeGuard] = SIZE_GUARDS) -> list[Held]:
    """Return what is held for size, at most one of a kind."""
    found: dict[HeldKind, Held] = {}
    for guard in guards:
        held = guard(sizes)
        if held is not None:
            found.setdefault(held.kind, held)
    return list(found.values())
