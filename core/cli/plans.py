"""Plans, pulls and syncs in JSON's words: what would be sent or was, what is held and why, what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from pyroaring import BitMap

from core.clock import iso
from core.errors import told
from core.planning.guards import Held
from core.planning.plan import Plan, Skip
from core.pulling import freshness
from core.pulling.fill import PullRun
from core.pushing.company_members import described
from core.pushing.delivery import SyncRun, told_delays
from core.run import SyncReport
from core.store import Store, ledger
from core.store.audiences import COMPANY
from core.store.ledger import State

CHUNK = 5_000
_NOBODY: Final[dict[str, str | None]] = {"email": None, "user_id": None}


def describe_plan(plan: Plan) -> dict[str, Any]:
    """Return a plan in JSON's words."""
    target, bound = plan.target, plan.draft.bound
    return {
        "sync": plan.target.sync.name,
        "label": plan.label,
        "set": target.set_name,
        "of": target.audience.of,
        "to": target.connection,
        "audience": {"kind": target.sync.audience_kind, "name": target.name, "exists": bound.row is not None},
        "mode": "add_only" if bound.add_only or target.sync.mode == "add_only" else "mirror",
        "wanted": len(plan.draft.wanted),
        "ours": len(plan.draft.standing.owned),
        "theirs": len(plan.draft.standing.theirs),
        "adds": len(plan.adds),
        "creates": len(plan.creates),
        "updates": len(plan.updates),
        "removes": len(plan.removes) + plan.strangers,
        "strangers": plan.strangers,
        "adopts": 0 if plan.draft.baseline is None else len(plan.draft.baseline.adopted),
        "moves": len(plan.moves),
        "skips": {str(skip): len(profiles) for skip, profiles in plan.skips.items() if profiles},
        "consent": {reason: len(who) for reason, who in sorted(plan.draft.consent.items())},
        "delayed": told_delays(plan),
        "held": [_held(held) for held in plan.held],
        "held_adds": len(plan.held_adds),
        "held_removes": len(plan.held_removes),
        "limited": plan.limited,
        "requests": plan.requests,
        "seconds": round(plan.seconds, 1),
        "notes": list(plan.notes),
    }


def _held(held: Held) -> dict[str, Any]:
    return {
        "kind": str(held.kind), "reason": held.reason, "holds": str(held.holds), "facts": dict(held.facts),
        "approve": held.approve or None,
    }  # fmt: skip


def describe_members(store: Store, plan: Plan) -> list[dict[str, Any]]:
    """Return who would be sent, skipped or held, one line a member."""
    groups: list[tuple[str, str, BitMap]] = [
        ("add", "", plan.adds),
        ("create", "", plan.creates),
        ("update", "", plan.updates),
        ("remove", "", plan.removes),
        ("move", "", BitMap([move.profile_id for move in plan.moves])),
        ("add", "held", plan.held_adds),
        ("remove", "held", plan.held_removes),
        *([("adopt", "", plan.draft.baseline.adopted)] if plan.draft.baseline is not None else []),
        *_skipped(plan),
    ]
    everybody = BitMap().union(*(profiles for _, _, profiles in groups))
    of_companies = plan.target.audience.of == COMPANY
    known = described(store.conn, everybody) if of_companies else _known(store, everybody)
    number, nobody = ("company_id", {"name": None, "domain": None}) if of_companies else ("profile_id", _NOBODY)
    lines: list[dict[str, Any]] = [
        {"op": op, "note": note, number: id_, **known.get(id_, nobody)} for op, note, ids in groups for id_ in ids
    ]
    return lines + [
        {"op": "remove", "note": f"{'' if goes else 'held: '}nobody we know: {member}", number: None, **nobody}
        for member, goes in _strangers(store, plan)
    ]


def _skipped(plan: Plan) -> Iterator[tuple[str, str, BitMap]]:
    """Yield who is skipped and why; of those who stay also until when."""
    for skip, profiles in plan.skips.items():
        if skip not in (Skip.GRACE, Skip.MIN_STAY):
            yield "add", f"skipped: {skip}", profiles
    stays = plan.draft.stays
    for op, several in (("remove", stays.stays), ("add", stays.elsewhere)):
        for one in several:
            yield op, f"skipped: {one.reason} until {iso(one.until)}", one.who & plan.skips.get(Skip(one.reason), BitMap())


def _strangers(store: Store, plan: Plan) -> Iterator[tuple[str, bool]]:
    """Yield the remote ids of members whom nobody knows and who are to be removed, each with whether they are let through."""
    row, found = plan.draft.bound.row, plan.draft.baseline
    if row is None or not (plan.draft.nameless or (found is not None and found.strangers)):
        return
    claimed = {rekey.old_key for rekey in plan.draft.rekeys}
    for entry in ledger.strangers(store.conn, row.id):
        if entry.state is State.FOREIGN and (found is None or not found.strangers or entry.member_key in claimed):
            continue
        yield entry.ref.remote_id, entry.state is not State.FOREIGN or (found is not None and found.goes)


def _known(store: Store, profiles: BitMap) -> dict[int, dict[str, str | None]]:
    found = {}
    for start in range(0, len(profiles), CHUNK):
        chunk = list(profiles[start : start + CHUNK])
        marks = ", ".join("?" * len(chunk))
        for id_, email, user_id in store.conn.execute(f"SELECT id, email, user_id FROM profiles WHERE id IN ({marks})", chunk):
            found[id_] = {"email": email, "user_id": user_id}
    return found


def describe_sources(store: Store, names: Iterable[str], now: datetime) -> list[dict[str, Any]]:
    """Return how old each source is that plans rest on."""
    found = []
    for name in sorted(names):
        done = freshness.last_complete(store.conn, name)
        found.append(
            {"connection": name, "completed_at": done, "age_s": None if done is None else (now - done).total_seconds()}
        )
    return found


def describe_pull(run: PullRun) -> dict[str, Any]:
    """Return what a pull did."""
    streams = [] if run.report is None else run.report.streams
    return {
        "connection": run.connection,
        "status": str(run.status),
        "run": run.run_id,
        "requests": run.requests,
        "resume_at": run.resume_at,
        "error": _error(run.error),
        "streams": [
            {
                "name": s.stream, "complete": s.complete, "records": s.records, "changed": s.changed, "pages": s.pages,
                "deleted": s.deleted, "held": s.held, "bad": s.bad, "known_bad": s.known_bad,
                "forgotten": s.forgotten, "took_s": round(s.took_s, 3), "notes": list(s.notes),
                "error": _error(s.error),
            }
            for s in streams
        ],
    }  # fmt: skip


def describe_sync(run: SyncRun) -> dict[str, Any]:
    """Return what a sync did."""
    verdicts = {
        label: {f"{op}.{verdict}": n for (op, verdict), n in sorted(report.verdicts.items())}
        for label, report in run.reports.items()
    }
    return {
        "name": run.name,
        "status": str(run.status),
        "run": run.run_id,
        "requests": run.requests,
        "resume_at": run.resume_at,
        "error": _error(run.error),
        "plans": [{**describe_plan(plan), "verdicts": verdicts.get(plan.label, {})} for plan in run.plans],
    }


def describe_report(report: SyncReport) -> dict[str, Any]:
    """Return what one `tagalong sync` did."""
    return {
        "as_of": report.as_of,
        "status": str(report.status),
        "pulls": [describe_pull(run) for run in report.pulls],
        "syncs": [describe_sync(run) for run in report.syncs],
        "sets": {name: {"entered": entered, "left": left} for name, (entered, left) in report.sets.items()},
        "failed_sets": dict(report.evaluation.failed),
    }


def _error(error: Exception | None) -> str | None:
    return None if error is None else told(error)
