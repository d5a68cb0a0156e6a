"""
What is held, written down: each reason with the members shown, which is what `status` tells and `approve` lets through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from pyroaring import BitMap

from core.clock import to_us
from core.planning.guards import Held, HeldKind
from core.planning.plan import Plan
from core.pushing import targets
from core.store import holds
from core.store.holds import Hold

ONLY_SYNC_SEES: Final = frozenset({HeldKind.BASELINE, HeldKind.GONE})
"""What a plan that somebody looks at cannot find, and so does not take back."""


def remember(conn: sqlite3.Connection, plan: Plan, *, definition: str, syncing: bool) -> None:
    """Write what a plan holds in place of what was held before; *syncing*: it is about to be sent, not only looked at."""
    keep = () if syncing else ONLY_SYNC_SEES if plan.draft.first_run else {HeldKind.GONE}
    holds.replace_holds(conn, plan.label, _holds(plan, definition), keep=keep)


def _holds(plan: Plan, definition: str) -> list[Hold]:
    """Return what `status` shows and `approve` lets through: each reason with the members shown."""
    baseline = plan.draft.baseline
    texts = {HeldKind.RETARGET: plan.target.target, HeldKind.UNSEEN: definition}
    texts |= {held.kind: str(held.facts["copied_at"]) for held in plan.held if held.kind is HeldKind.RESTORED}
    if baseline is not None and baseline.strangers:
        texts[HeldKind.REPLACE] = baseline.digest
    merged: dict[HeldKind, list[Held]] = {}
    for held in plan.held:
        merged.setdefault(held.kind, []).append(held)
    return [
        Hold(
            plan.label,
            kind,
            reason="; ".join(one.reason for one in several),
            facts={
                **several[0].facts,
                "streams": [name for one in several for name in _streams(one)],
                "approve": [one.approve for one in several if one.approve],
            },
            since=to_us(plan.as_of),
            adds=plan.held_adds,
            removes=plan.held_removes,
            definition=texts.get(kind),
        )
        for kind, several in merged.items()
    ]


def _streams(held: Held) -> Sequence[str]:
    """Return the streams that something is held for."""
    streams: Sequence[str] = held.facts.get("streams") or [held.facts[key] for key in ("stream",) if key in held.facts]
    return streams


def note_gone(conn: sqlite3.Connection, plan: Plan) -> None:
    """Hold a sync whose audience is no longer at the destination."""
    row = plan.draft.bound.row
    if row is None:
        return
    reason = f"{targets.spoken(plan.target.target, plan.target.name)} is no longer there; approve makes it anew"
    gone = Hold(
        plan.label,
        HeldKind.GONE,
        reason=reason,
        facts={"approve": [plan.target.sync.name]},
        since=to_us(plan.as_of),
        adds=BitMap(),
        removes=BitMap(),
        definition=row.remote_id,
    )
    holds.replace_holds(conn, plan.label, [gone])
