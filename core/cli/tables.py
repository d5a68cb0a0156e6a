"""Plans, pulls and syncs for a person, from what `core.cli.plans` describes: one table each, each reason to hold told once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import click

from core.cli.held import Waiting, show_held
from core.cli.output import age, clean, table

Described = Mapping[str, Any]

SPOKEN: Final = {"consent": "no consent", "grace": "in grace", "min_stay": "to stay on"}
CONSENT: Final = {
    "said_no": "said no", "no_yes": "no yes where their country needs one", "country_unknown": "no yes and no country",
    "being_forgotten": "being forgotten",
}  # fmt: skip
"""Reasons to skip whose name in JSON says too little to a person."""
VERDICTS: Final = {
    "add.noop": "there already", "remove.noop": "gone already", "add.pending": "on their way", "remove.pending": "on their way",
    "add.retry": "to be tried again", "remove.retry": "to be tried again", "add.not_found": "not found",
    "remove.not_found": "not found", "add.suppressed": "suppressed", "remove.suppressed": "suppressed",
    "add.rejected": "rejected", "remove.rejected": "rejected",
}  # fmt: skip
CONFIRMED: Final = ("done", "sent")


def show_plans(plans: Sequence[Described]) -> None:
    """Print plans."""
    _table([_plan_row(plan) for plan in plans], always=("sync", "audience", "wanted", "ours", "add", "remove"))
    _show_notes(plans)
    show_held(_waiting(plans))


def show_report(report: Described) -> None:
    """Print what a sync did."""
    show_pulls(report["pulls"])
    if report["pulls"]:
        click.echo()
    rows = [row for sync in report["syncs"] for row in _sync_rows(sync)]
    _table(rows, always=("sync", "status", "wanted", "added", "removed", "requests"))
    plans = [plan for sync in report["syncs"] for plan in sync["plans"]]
    _show_notes(plans)
    show_held(_waiting(plans))
    for sync in report["syncs"]:
        if sync["resume_at"]:
            click.echo(clean(_waits(sync["name"], sync["error"], sync["resume_at"])))
    for name, reason in report["failed_sets"].items():
        click.echo(clean(f"{name}: {reason}"), err=True)


def _table(rows: Sequence[Mapping[str, object]], *, always: Sequence[str]) -> None:
    """Print rows; a column that is not in *always* only where there is something in it, for a terminal is narrow."""
    columns = [name for name in (rows[0] if rows else ()) if name in always or any(row[name] for row in rows)]
    if rows:
        table(columns, [[row[name] for name in columns] for row in rows])


def _plan_row(plan: Described) -> dict[str, object]:
    return {
        "sync": plan["label"],
        "audience": _audience(plan),
        "wanted": plan["wanted"],
        "ours": plan["ours"],
        "add": plan["adds"] + plan["creates"],
        "remove": plan["removes"],
        "move": plan["moves"],
        "update": plan["updates"],
        "adopt": plan["adopts"],
        "held": plan["held_adds"] + plan["held_removes"] + _held_strangers(plan),
        "requests": plan["requests"],
        "time": "" if plan["seconds"] < 1 else age(plan["seconds"]),
        "skipped": _skipped(plan),
    }


def _held_strangers(plan: Described) -> int:
    return sum(held["facts"].get("strangers", 0) for held in plan["held"])


def _audience(plan: Described) -> str:
    audience = plan["audience"]
    return f"{plan['to']} {audience['kind']} {audience['name']!r}" + ("" if audience["exists"] else " (new)")


def _skipped(plan: Described) -> str:
    told = (f"{count:,} {SPOKEN.get(skip, skip.replace('_', ' '))}" for skip, count in sorted(plan["skips"].items()))
    why = ", ".join(f"{count:,} {CONSENT.get(reason, reason)}" for reason, count in plan["consent"].items())
    return ", ".join(told) + (f" ({why})" if why and list(plan["consent"]) != ["said_no"] else "")


def _sync_rows(sync: Described) -> list[dict[str, object]]:
    """Return one row an audience; what belongs to the whole sync stands in the first."""
    if not sync["plans"]:
        return [_row(sync["name"], sync) | {"requests": sync["requests"], "error": sync["error"]}]
    rows = [_row(plan["label"], sync, plan) for plan in sync["plans"]]
    rows[0] |= {"requests": sync["requests"], "error": sync["error"]}
    return rows


def _row(label: str, sync: Described, plan: Described | None = None) -> dict[str, object]:
    verdicts = {} if plan is None else plan["verdicts"]
    others: dict[str, int] = {}
    for verdict, count in verdicts.items():
        if verdict in VERDICTS:
            others[VERDICTS[verdict]] = others.get(VERDICTS[verdict], 0) + count
    return {
        "sync": label,
        "audience": None if plan is None else plan["audience"]["name"],
        "status": sync["status"],
        "wanted": None if plan is None else plan["wanted"],
        "added": _confirmed(verdicts, "add"),
        "removed": _confirmed(verdicts, "remove"),
        "moved": plan["moves"] if plan is not None and verdicts else 0,
        "held": 0 if plan is None else plan["held_adds"] + plan["held_removes"] + _held_strangers(plan),
        "requests": None,
        "skipped": "" if plan is None else _skipped(plan),
        "others": ", ".join(f"{count:,} {what}" for what, count in others.items()),
        "error": None,
    }


def _confirmed(verdicts: Mapping[str, int], op: str) -> int:
    return sum(verdicts.get(f"{op}.{verdict}", 0) for verdict in CONFIRMED)


def _show_notes(plans: Iterable[Described]) -> None:
    for plan in plans:
        for note in plan["notes"]:
            click.echo(clean(f"{plan['label']}: {note}"))


def _waiting(plans: Iterable[Described]) -> Iterable[Waiting]:
    for plan in plans:
        for held in plan["held"]:
            yield Waiting(plan["label"], held["reason"], (held["approve"],) if held["approve"] else ())


def _waits(name: str, error: str | None, until: datetime) -> str:
    """Return what a run waits for: a quota, its part that is kept for people, or a vendor that is away."""
    return f"{name}: waits until {until:%Y-%m-%d %H:%M}Z ({error or 'the quota is used up'})"


def show_pulls(pulls: Sequence[Described]) -> None:
    """Print pulls: a row for each stream that brought something or failed, one line for all others."""
    rows, unchanged = [], []
    for pull in pulls:
        if not pull["streams"]:
            rows.append(_pull_row(pull, None, pull["status"], pull["error"]))
        for stream in pull["streams"]:
            if stream["complete"] and not any(stream[key] for key in ("changed", "deleted", "held", "bad", "error")):
                unchanged.append(f"{pull['connection']}.{stream['name']}")
            else:
                rows.append(_pull_row(pull, stream, "done" if stream["complete"] else pull["status"], stream["error"]))
    _table(rows, always=("connection", "stream", "status", "records", "changed"))
    if unchanged:
        click.echo(clean(f"nothing new: {', '.join(unchanged)}"))
    for pull in pulls:
        for stream in pull["streams"]:
            for note in stream["notes"]:
                click.echo(clean(f"{pull['connection']}.{stream['name']}: {note}"))
        if pull["resume_at"]:
            click.echo(clean(_waits(pull["connection"], pull["error"], pull["resume_at"])))
    show_held(_vanished(pulls))


def _pull_row(pull: Described, stream: Described | None, status: str, error: str | None) -> dict[str, object]:
    counts = {name: stream[name] if stream else None for name in ("records", "changed", "deleted", "bad")}
    known = {"bad before": stream["known_bad"] if stream else None}
    named = {"connection": pull["connection"], "stream": stream and stream["name"], "status": status}
    return {**named, **counts, **known, "error": error and error.replace("\n  ", "; ")}


def _vanished(pulls: Iterable[Described]) -> Iterable[Waiting]:
    for pull in pulls:
        for stream in pull["streams"]:
            if stream["held"]:
                name = f"{pull['connection']}.{stream['name']}"
                yield Waiting(
                    name, f"{stream['held']:,} rows vanished; they stay until somebody says that they are gone", (name,)
                )
