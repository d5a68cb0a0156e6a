"""Plans and their outcomes, as JSON and as tables: what would be sent or was, what is held and why, what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import click
from pyroaring import BitMap

from core import freshness
from core.cli.output import clean, table
from core.deliver import SyncRun
from core.durations import spell_duration
from core.errors import HubError
from core.guards import Held
from core.plan import Plan
from core.run import PullRun, SyncReport
from core.store import Store

CHUNK = 5_000


def describe_plan(plan: Plan) -> dict[str, Any]:
    """Return a plan in JSON's words."""
    target, bound = plan.target, plan.draft.bound
    return {
        "sync": plan.target.sync.name,
        "label": plan.label,
        "set": target.set_name,
        "to": target.connection,
        "audience": {"kind": target.sync.audience_kind, "name": target.name, "exists": bound.row is not None},
        "mode": "add_only" if bound.add_only or target.sync.mode == "add_only" else "mirror",
        "wanted": len(plan.draft.wanted),
        "ours": len(plan.draft.standing.owned),
        "theirs": len(plan.draft.standing.theirs),
        "adds": len(plan.adds),
        "creates": len(plan.creates),
        "updates": len(plan.updates),
        "removes": len(plan.removes),
        "moves": len(plan.moves),
        "skips": {str(skip): len(profiles) for skip, profiles in plan.skips.items() if profiles},
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
        *(("add", f"skipped: {skip}", profiles) for skip, profiles in plan.skips.items()),
    ]
    everybody = BitMap().union(*(profiles for _, _, profiles in groups))
    known = _known(store, everybody)
    return [
        {"op": op, "note": note, "profile_id": profile_id, **known.get(profile_id, {"email": None, "user_id": None})}
        for op, note, profiles in groups
        for profile_id in profiles
    ]


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
                "deleted": s.deleted, "held": s.held, "bad": s.bad, "took_s": round(s.took_s, 3), "notes": list(s.notes),
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
    if error is None:
        return None
    # the text of an unforeseen error may hold anything: people, secrets
    return str(error) if isinstance(error, HubError) else f"unexpected {type(error).__name__}"


COLUMNS = ("sync", "audience", "wanted", "ours", "add", "remove")
"""Always shown; the others only where there is something in them, for a terminal is narrow."""


def show_plans(plans: Sequence[Mapping[str, Any]]) -> None:
    """Print plans for a person."""
    rows = [_plan_row(plan) for plan in plans]
    columns = [name for name in (rows[0] if rows else ()) if name in COLUMNS or any(row[name] for row in rows)]
    if rows:
        table(columns, [[row[name] for name in columns] for row in rows])
    for plan in plans:
        for skip, count in plan["skips"].items():
            click.echo(clean(f"{plan['label']}: {count:,} skipped: {skip.replace('_', ' ')}"))
        for note in plan["notes"]:
            click.echo(clean(f"{plan['label']}: {note}"))
    for plan in plans:
        for held in plan["held"]:
            click.echo(clean(f"held: {plan['label']}: {held['reason']}"))
            if held["approve"]:
                click.echo(clean(f"      `tagalong approve {held['approve']}` lets it go on"))


def _plan_row(plan: Mapping[str, Any]) -> dict[str, object]:
    audience = plan["audience"]
    return {
        "sync": plan["label"],
        "audience": f"{audience['kind']} {audience['name']!r} at {plan['to']}" + ("" if audience["exists"] else " (new)"),
        "wanted": plan["wanted"],
        "ours": plan["ours"],
        "add": plan["adds"] + plan["creates"],
        "remove": plan["removes"],
        "move": plan["moves"],
        "update": plan["updates"],
        "skip": sum(plan["skips"].values()),
        "held": plan["held_adds"] + plan["held_removes"],
        "requests": plan["requests"],
        "time": _time(plan["seconds"]),
    }


def _time(seconds: float) -> str:
    return "" if seconds < 1 else spell_duration(timedelta(seconds=round(seconds)))


def show_pulls(pulls: Sequence[Mapping[str, Any]]) -> None:
    """Print pulls for a person."""
    if not pulls:
        return
    rows: list[list[object]] = []
    for pull in pulls:
        if not pull["streams"]:
            rows.append([pull["connection"], None, pull["status"], None, None, None, None, pull["error"]])
        for s in pull["streams"]:
            status = "done" if s["complete"] else pull["status"]
            rows.append([pull["connection"], s["name"], status, s["records"], s["changed"], s["deleted"], s["bad"], s["error"]])
    table(("connection", "stream", "status", "records", "changed", "deleted", "bad", "error"), rows)
    for pull in pulls:
        for s in pull["streams"]:
            for note in s["notes"]:
                click.echo(clean(f"{pull['connection']}.{s['name']}: {note}"))
            if s["held"]:
                told = f"{s['held']:,} rows vanished, which is more than is let go unasked; they stay"
                click.echo(clean(f"held: {pull['connection']}.{s['name']}: {told}"))
                click.echo(clean(f"      `tagalong approve {pull['connection']}.{s['name']}` deletes them"))
        if pull["resume_at"]:
            click.echo(clean(f"{pull['connection']}: the quota is used up until {pull['resume_at']:%Y-%m-%d %H:%M}Z"))


def show_report(report: Mapping[str, Any]) -> None:
    """Print what a sync did, for a person."""
    show_pulls(report["pulls"])
    plans = [plan for sync in report["syncs"] for plan in sync["plans"]]
    if report["pulls"] and plans:
        click.echo()
    if plans:
        show_plans(plans)
    rows = [[sync["name"], sync["status"], _verdicts(sync), sync["requests"], sync["error"]] for sync in report["syncs"]]
    click.echo()
    table(("sync", "status", "outcomes", "requests", "error"), rows)
    for name, reason in report["failed_sets"].items():
        click.echo(clean(f"{name}: {reason}"), err=True)


def _verdicts(sync: Mapping[str, Any]) -> str:
    totals: dict[str, int] = {}
    for plan in sync["plans"]:
        for verdict, count in plan["verdicts"].items():
            totals[verdict] = totals.get(verdict, 0) + count
    return ", ".join(f"{count:,} {verdict.replace('.', ' ')}" for verdict, count in totals.items())
