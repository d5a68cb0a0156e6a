"""`sync --plan`: carries out a plan that somebody kept, or says what has moved since and sends nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, NEWS, App
from core.errors import HubError, LeaseLost, QuotaExhausted, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.planning.apply import Moved


def apply_plan(app: App, path: Path) -> int:
    """Carry out the document in *path*, and return the exit code."""
    from core.alerts.watch import tell_after
    from core.cli.deliver import report_code, stopping, watching
    from core.cli.plans import describe_report
    from core.cli.tables import show_report
    from core.planning.apply import apply
    from core.planning.document import read_document
    from core.store.seal import seal_of

    with app.hub() as hub:
        with hub.store() as store, store.atomic() as conn:
            seal = seal_of(conn)
        document = read_document(path, seal)
        plan = {"file": str(path), "made_at": document.made_at, "as_of": document.as_of}
        with stopping(hub.stop), watching("Syncing", syncs=len(document.syncs)) as on_event:
            try:
                applied = apply(hub, document, on_event=on_event)
            except (LeaseLost, QuotaExhausted) as error:
                return _waiting(app, path, plan, error)
            tell_after(hub)
        stopped = hub.stop.is_set()
    if applied.report is None:
        return _refused(app, path, plan, applied.moved)
    code = FAILED if stopped else report_code(applied.report)
    described = describe_report(applied.report)
    if app.as_json:
        return app.answer({**described, "plan": plan, "moved": []}, code)
    show_report(described)
    return code


def _waiting(app: App, path: Path, plan: dict[str, Any], error: HubError) -> int:
    """Tell that another process is at one of the syncs, or a quota is used up: a script can try again."""
    if app.as_json:
        return app.answer({"status": "waiting", "plan": plan, "moved": [], "error": told(error)}, NEWS)
    app.say(f"{path}: {told(error)}; nothing was sent")
    return NEWS


def _refused(app: App, path: Path, plan: dict[str, Any], moved: Sequence[Moved]) -> int:
    found = [
        {"label": one.label, "op": one.way, "members": one.members, "of": one.of, "reason": one.reason, "message": str(one)}
        for one in moved
    ]
    if app.as_json:
        return app.answer({"status": "refused", "plan": plan, "moved": found}, FAILED)
    from core.cli.output import clean

    click.echo(clean(f"{path}: the world has moved since the plan was made; nothing was sent"))
    for one in found:
        click.echo(clean(f"  {one['message']}"))
    click.echo("`tagalong plan` shows what would be sent now.")
    return FAILED
