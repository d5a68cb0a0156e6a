"""
What of a sync's drafts is let through, and what is held: the guards applied, to each draft by its own size and to moves as one.

Pure functions; what is held is written down by `core.planning.holding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyroaring import BitMap

from core.planning.guards import Held, HeldKind, Holds
from core.planning.plan import Draft, Plan
from core.planning.sizes import SIZE_GUARDS, SizeGuard, Sizes, sizes_held


def hold(drafts: Sequence[Draft], *, attended: bool, size_guards: Sequence[SizeGuard] = SIZE_GUARDS) -> list[Plan]:
    """
    Return the plans of one sync, guards applied.

    The groups of a partition are judged each by its own size, then joined: who leaves one for another is one move, held or
    sent whole.
    """
    verdicts = [_judge(draft, attended, size_guards) for draft in drafts]
    held_adds = [verdict[1] for verdict in verdicts]
    held_removes = [verdict[2] for verdict in verdicts]
    linked = _link(drafts, held_adds, held_removes)
    plans = []
    for i, draft in enumerate(drafts):
        held = verdicts[i][0]
        if linked[i]:
            reason = f"{len(linked[i])} of its members move between groups of which one is held"
            held = (*held, Held(HeldKind.MOVES, reason, facts={"members": len(linked[i])}, approve=draft.target.sync.name))
        plans.append(_let_through(draft, held, held_adds[i], held_removes[i]))
    return plans


def _judge(draft: Draft, attended: bool, size_guards: Sequence[SizeGuard]) -> tuple[tuple[Held, ...], BitMap, BitMap]:
    """Return what is held of one draft, and whose adds and removals."""
    if draft.held:
        return draft.held, draft.entering, draft.leaving
    adds, removes = draft.entering - draft.approved.adds, draft.leaving - draft.approved.removes
    sizes = Sizes(
        len(draft.standing.owned),
        len(draft.wanted),
        adds=len(adds),
        removes=len(removes),
        adds_24h=draft.churn.adds_24h,
        removes_24h=draft.churn.removes_24h,
        most_owned_24h=draft.churn.most_owned_24h,
        largest_adds_day=draft.churn.largest_adds_day,
        largest_growth_day=draft.churn.largest_growth_day,
        turnover=draft.turnover.most,
        all_moving=draft.turnover.least,
        first_run=draft.first_run,
        attended=attended,
        limits=draft.target.sync.guard,
    )
    held = [_asked(one, draft) for one in sizes_held(sizes, guards=size_guards)]
    holds_adds = any(one.holds in (Holds.ADDS, Holds.BOTH) for one in held)
    holds_removes = any(one.holds in (Holds.REMOVES, Holds.BOTH) for one in held)
    held_removes = removes if holds_removes else BitMap()
    if draft.baseline is not None and (waiting := draft.baseline.hold(draft.target.sync.name)) is not None:
        held.append(waiting)
        held_removes = held_removes | draft.baseline.waiting
    return tuple(held), adds if holds_adds else BitMap(), held_removes


def _asked(held: Held, draft: Draft) -> Held:
    """Return *held* as a person is asked about it: what they let through before is not meant, and goes."""
    let = {Holds.REMOVES: draft.leaving & draft.approved.removes, Holds.ADDS: draft.entering & draft.approved.adds}
    through = len(let.get(held.holds, ()))
    beyond = f"; {through} more were let through, and these came since" if through else ""
    return replace(held, reason=held.reason + beyond, approve=draft.target.sync.name)


def _link(drafts: Sequence[Draft], held_adds: list[BitMap], held_removes: list[BitMap]) -> list[BitMap]:
    """Hold both ends of a move between groups where one end is; return who was held for that reason alone, by draft."""
    before = [held_adds[i] | held_removes[i] for i in range(len(drafts))]
    moving = True
    while moving:
        moving = False
        for i, leaves in enumerate(drafts):
            for j, enters in enumerate(drafts):
                movers = leaves.removes & enters.entering if i != j else BitMap()
                stuck = movers & (held_removes[i] | held_adds[j])
                if stuck - held_removes[i] or stuck - held_adds[j]:
                    held_removes[i] = held_removes[i] | stuck
                    held_adds[j] = held_adds[j] | stuck
                    moving = True
    return [(held_adds[i] | held_removes[i]) - before[i] for i in range(len(drafts))]


def _let_through(draft: Draft, held: tuple[Held, ...], held_adds: BitMap, held_removes: BitMap) -> Plan:
    return Plan(
        draft,
        adds=draft.adds - held_adds,
        creates=draft.creates - held_adds,
        updates=BitMap() if draft.held else draft.updates,
        removes=draft.removes - held_removes,
        moves=tuple(move for move in draft.moves if move.profile_id not in held_removes),
        held=held,
        held_adds=held_adds,
        held_removes=held_removes,
        strangers=0 if draft.held else draft.nameless + (draft.baseline.taken_out if draft.baseline is not None else 0),
    )
