"""
What is held and why: pure functions, numbers in, a `Held` or None out.

A failed or partial source is the classic way to empty a list, and the classic way to fill one. The source guards hold a sync
whole; those that look at how much would move are in `core.planning.sizes`. Nothing here reads a store or a clock, and nothing
switches a guard off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from core.durations import spell_duration

QUIET_AFTER: Final = timedelta(hours=48)
QUIET_DAYS: Final = 5
"""Of the 7 days before its newest row, how many an event stream must have brought rows on to be missed when it is silent."""


class HeldKind(StrEnum):
    """What sort of thing is held; a key of the table `holds`."""

    SOURCE = "source"
    VANISHED = "vanished"
    UNSEEN = "unseen"
    RESTORED = "restored"
    RETARGET = "retarget"
    GONE = "gone"
    BASELINE = "baseline"
    REPLACE = "replace"
    UNREADABLE = "unreadable"
    REMOVALS = "removals"
    ADDS = "adds"
    MOVES = "moves"


class Holds(StrEnum):
    """Which way a guard holds."""

    BOTH = "both"
    ADDS = "adds"
    REMOVES = "removes"


@dataclass(frozen=True, slots=True)
class Held:
    """Something that is not sent, with the numbers behind it. A status, never an exception."""

    kind: HeldKind
    reason: str
    _: KW_ONLY
    holds: Holds = Holds.BOTH
    facts: Mapping[str, Any] = field(default_factory=dict)
    approve: str = ""
    """What `tagalong approve` is told to release it; empty where only time or a repair does."""


# --- the sources ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceState:
    """A stream as the store knows it, at one moment."""

    name: str
    """`connection.stream`."""
    _: KW_ONLY
    completed_at: datetime | None
    error: str | None = None
    half_read: bool = False
    """The last pull of its connection had stored something and broke off before this one's end; nobody is at it."""
    resume_at: datetime | None = None
    """Until when its connection waits for a quota."""
    stale_at: datetime | None = None
    """When it counts as stale: two due times missed plus the time that the last pull took."""
    accepted_count: int | None = None
    live_count: int = 0
    vanished: int = 0
    """Rows that wait for approve, still live."""
    vanished_held: bool = False
    removed: bool = False
    """Taken out of the config."""
    newest_at: datetime | None = None
    """Of an event stream that is no file, the newest row; else None."""
    busy_days: int = 0
    """Of the 7 days before that, on how many it brought rows."""
    approved_at: datetime | None = None
    """When a person last let syncs run on what is stored of it, if that is still good."""
    may_be_quiet: bool = False
    """A person let it be that it brings nothing, and that is still good."""


SourceGuard = Callable[[SourceState, datetime], Held | None]


def never_completed(source: SourceState, now: datetime) -> Held | None:
    """Nobody knows what a source holds of which only a part was ever read."""
    if source.completed_at is not None or source.removed:
        return None
    reason = f"{source.name} has never been pulled to its end; `tagalong pull {source.name.partition('.')[0]}` does so"
    return Held(HeldKind.SOURCE, reason, facts={"stream": source.name, "error": source.error})


def failed(source: SourceState, now: datetime) -> Held | None:
    """A pull that ended in an error may have left out anybody."""
    if source.error is None or source.completed_at is None or source.removed or _approved_since(source):
        return None
    facts = {"stream": source.name, "completed_at": source.completed_at, "error": source.error}
    return Held(HeldKind.SOURCE, f"the last pull of {source.name} failed", facts=facts, approve=source.name)


def broken_off(source: SourceState, now: datetime) -> Held | None:
    """What one stream tells of somebody by now, another does not yet: who came is there, and what they did is not."""
    if not _stands_half_read(source):
        return None
    waits = waits_until(source, now) is not None
    reason = f"the last pull of {source.name} {'waits on its way for its quota' if waits else 'was broken off'}"
    facts = {"stream": source.name, "completed_at": source.completed_at}
    return Held(HeldKind.SOURCE, reason, facts=facts, approve=source.name)


def waits_until(source: SourceState, now: datetime) -> datetime | None:
    """Return when a pull that stopped half-way for its quota goes on by itself; None where it did not, or the quota is back."""
    ahead = source.resume_at is not None and source.resume_at > now
    return source.resume_at if ahead and _stands_half_read(source) else None


def _stands_half_read(source: SourceState) -> bool:
    return source.half_read and source.completed_at is not None and not source.removed and not _approved_since(source)


def stale(source: SourceState, now: datetime) -> Held | None:
    """An old answer is a wrong one."""
    if (
        source.completed_at is None
        or source.removed
        or source.stale_at is None
        or now <= source.stale_at
        or _approved_since(source)
    ):
        return None
    reason = f"{source.name} was last complete {spell_duration(_whole_minutes(now - source.completed_at))} ago"
    facts = {"stream": source.name, "completed_at": source.completed_at, "stale_at": source.stale_at}
    return Held(HeldKind.SOURCE, reason, facts=facts, approve=source.name)


def quiet(source: SourceState, now: datetime) -> Held | None:
    """A busy event stream that says nothing for two days is broken somewhere before us."""
    if source.newest_at is None or source.busy_days < QUIET_DAYS or source.removed or source.may_be_quiet:
        return None
    if now - source.newest_at <= QUIET_AFTER:
        return None
    silent = spell_duration(_whole_hours(now - source.newest_at))
    reason = f"{source.name} has brought nothing for {silent}, and did nearly every day before"
    facts = {"stream": source.name, "newest_at": source.newest_at, "busy_days": source.busy_days}
    return Held(HeldKind.SOURCE, reason, facts=facts, approve=source.name)


def lost(source: SourceState, now: datetime) -> Held | None:
    """Rows that vanished, too many to believe without asking."""
    accepted = source.accepted_count or 0
    gone = max(source.vanished, accepted - source.live_count)
    if source.removed or not (source.vanished_held or (accepted and gone * 2 > accepted)):
        return None
    how = "more than half" if gone * 2 > accepted else str(gone)
    facts = {"stream": source.name, "gone": gone, "of": accepted}
    return Held(HeldKind.VANISHED, f"{source.name} lost {how} of its {accepted} rows", facts=facts, approve=source.name)


def taken_out(source: SourceState, now: datetime) -> Held | None:
    """A connection or stream taken out of the config keeps its rows, unseen: the same as if they had vanished."""
    if not (source.removed and source.vanished_held):
        return None
    reason = f"{source.name} was taken out of the config; its {source.live_count} rows are no longer seen"
    return Held(HeldKind.VANISHED, reason, facts={"stream": source.name, "gone": source.live_count}, approve=source.name)


SOURCE_GUARDS: Final[tuple[SourceGuard, ...]] = (never_completed, failed, broken_off, stale, quiet, lost, taken_out)


STORED_GUARDS: Final[tuple[SourceGuard, ...]] = (failed, broken_off, stale)
"""Those that a person lets be by going on with what is stored."""


def _approved_since(source: SourceState) -> bool:
    # an approval is of what was stored then: a pull that completed since has made it another story
    return source.approved_at is not None and (source.completed_at is None or source.completed_at <= source.approved_at)


def sources_held(sources: Sequence[SourceState], now: datetime, *, guards: Sequence[SourceGuard] = SOURCE_GUARDS) -> list[Held]:
    """Return every reason to hold a sync that rests on *sources*: one a source, but what one pull mends is one."""
    found: list[Held] = []
    by_pull: dict[tuple[SourceGuard, str], list[Held]] = {}
    for source in sources:
        for guard in guards:
            held = guard(source, now)
            if held is not None:
                mended = guard in (never_completed, broken_off)
                (by_pull.setdefault((guard, source.name.partition(".")[0]), []) if mended else found).append(held)
                break
    return [*(_together(guard, connection, several) for (guard, connection), several in by_pull.items()), *found]


def _together(guard: SourceGuard, connection: str, several: Sequence[Held]) -> Held:
    if len(several) == 1:
        return several[0]
    names = [str(held.facts["stream"]) for held in several]
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    if guard is never_completed:
        reason = f"{listed} have never been pulled to their end; `tagalong pull {connection}` does so"
    else:
        reason = f"{several[0].reason.replace(names[0], listed)}; `tagalong pull {connection}` goes on with it"
    return Held(HeldKind.SOURCE, reason, facts={**several[0].facts, "streams": names})


# --- the text ------------------------------------------------------------------------------------------------------


def unseen(names: Sequence[str], *, sync: str, approved: bool) -> Held | None:
    """A name that no complete pull has shown may be a slip of the pen, and `not did(...)` of it adds everybody."""
    if not names or approved:
        return None
    listed = ", ".join(sorted(names))
    reason = f"no complete pull has shown {listed}; is it spelled as the source spells it?"
    return Held(HeldKind.UNSEEN, reason, facts={"names": sorted(names)}, approve=sync)


def retarget(before: str, now: str, *, sync: str, approved: bool) -> Held | None:
    """The sync now names another audience than the one it is bound to."""
    if before == now or approved:
        return None
    reason = f"the audience was {before} and is now {now}; the members of the old one stay there"
    return Held(HeldKind.RETARGET, reason, facts={"before": before, "now": now}, approve=sync)


# --- who was there before us ---------------------------------------------------------------------------------------


def replaces(known: int, strangers: int, *, sync: str) -> Held:
    """`baseline = "replace"` takes out people whom we did not put there: never without a person who saw how many."""
    total = known + strangers
    reason = f"baseline = replace would remove {total} who were there before us and are not wanted"
    if strangers:
        reason += f"; {strangers} of them are nobody we know"
    facts = {"removals": total, "strangers": strangers}
    return Held(HeldKind.REPLACE, reason, holds=Holds.REMOVES, facts=facts, approve=sync)


def unreadable(baseline: str, *, sync: str) -> Held:
    """Who was there before us is to be ours, and nobody can say who that is."""
    reason = (
        f"baseline = {baseline} cannot be kept: the destination does not tell who is there;"
        f' write baseline = "ignore" in the sync {sync}'
    )
    return Held(HeldKind.UNREADABLE, reason, facts={"baseline": baseline})


def _whole_minutes(duration: timedelta) -> timedelta:
    return timedelta(minutes=duration // timedelta(minutes=1))


def _whole_hours(duration: timedelta) -> timedelta:
    return timedelta(hours=duration // timedelta(hours=1))
