"""`sync SYNC --only WHO`: one person is sent, and what the vendor answered is shown, masked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, App, known_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from core.planning.only import Answers
    from core.run import SyncReport


def sync_only(app: App, sync: str, who: str, *, fresh: timedelta | None, pull: bool, full: bool, probe: bool) -> int:
    """Send one person, show the vendor's answer, and return the exit code."""
    from core.alerts.watch import tell_after
    from core.cli.deliver import report_code, stopping, watching
    from core.cli.plans import describe_report
    from core.planning.only import Answers
    from core.run import sync as run_sync

    answers = Answers()
    with app.hub(probe=probe) as hub:
        known_names((sync,), hub.config.syncs, "sync")
        with stopping(hub.stop), watching("Syncing", syncs=1) as on_event:
            report = run_sync(
                hub, names=(sync,), fresh=fresh, pull=pull, full=full, on_event=on_event, only=who, answers=answers
            )
            tell_after(hub)
        code = FAILED if hub.stop.is_set() else report_code(report)
        with hub.store() as store:
            told = {
                "profile_id": report.only,
                "done": list(_done(report)),
                "why_not": _why_not(report),
                "answers": _answers(answers, _known(store, report.only)),
                "answers_left_out": answers.left_out,
            }
    described = describe_report(report)
    if app.as_json:
        return app.answer({**described, "only": told}, code)
    _show(told, list(_errors(described)))
    return code


def _errors(described: Mapping[str, Any]) -> Iterator[str]:
    for pull in described["pulls"]:
        told = [one["error"] for one in (pull, *pull["streams"]) if one["error"] is not None]
        yield from (f"pull of {pull['connection']}: {error}" for error in told)
    yield from (run["error"] for run in described["syncs"] if run["error"] is not None)


def _done(report: SyncReport) -> Iterator[dict[str, Any]]:
    for run in report.syncs:
        for label, pushed in run.reports.items():
            for (op, verdict), count in sorted(pushed.verdicts.items()):
                yield {"label": label, "op": op, "verdict": verdict, "times": count}


def _why_not(report: SyncReport) -> dict[str, str]:
    """Return why nothing was sent, by audience; of a partition only where there is something to be said."""
    from core.planning.only import why_not

    plans, person = [plan for run in report.syncs for plan in run.plans], report.only or 0
    reasons = {plan.label: why_not(plan, person) for plan in plans}
    sent = any(reason is None for reason in reasons.values())
    about = {plan.label for plan in plans if person in plan.draft.wanted | plan.draft.standing.owned}
    told = {label: reason for label, reason in reasons.items() if reason is not None}
    return {label: reason for label, reason in told.items() if label in about} or ({} if sent else told)


def _known(store: Any, profile_id: int | None) -> list[str]:
    """Return by what the person is known, for an answer may repeat it."""
    rows = store.conn.execute(
        "SELECT value FROM identifiers WHERE profile_id = ? AND kind IN ('email', 'user_id')", (profile_id,)
    )
    return [value for (value,) in rows]


def _answers(answers: Answers, known: list[str]) -> list[dict[str, Any]]:
    from core.pushing.answered import shown_body, shown_path

    return [
        {
            "method": seen.method, "path": shown_path(seen.path, known=known), "status": seen.status,
            "body": shown_body(seen.body, known=known),
        }
        for seen in answers.seen
    ]  # fmt: skip


def _show(told: dict[str, Any], errors: Sequence[str]) -> None:
    from core.cli.output import clean

    click.echo(f"profile {told['profile_id']}")
    for one in told["done"]:
        click.echo(clean(f"{one['label']}: {one['op']}: {one['verdict']}"))
    for label, reason in told["why_not"].items():
        click.echo(clean(f"{label}: {reason}; nothing was sent"))
    for one in told["answers"]:
        click.echo()
        click.echo(clean(f"{one['method']} {one['path']} was answered {one['status']}:"))
        click.echo(clean(one["body"]) or "(an empty body)")
    if told["answers_left_out"]:
        click.echo(f"... and {told['answers_left_out']} answers more")
    for error in errors:
        click.echo(clean(f"error: {error}"), err=True)
