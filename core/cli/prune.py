"""Letting go of history for its age."""

from __future__ import annotations

import click

from core.cli.app import App, verb


@verb("prune", "tagalong prune --dry-run")
@click.option("--dry-run", is_flag=True, help="Say what would go, and let go of nothing.")
@click.pass_obj
def prune_command(app: App, dry_run: bool) -> int:
    """
    Let go of history that is kept no longer.

    [workspace.retention] says how long, and the daemon does so once a day. What is now stays, and so does all that a question
    about a time since then needs.
    """
    from core.cli.deliver import stopping
    from core.cli.output import cell, counted, progress
    from core.upkeep.prune import prune_now

    with app.hub() as hub, stopping(hub.stop), progress("Pruning"):
        found = prune_now(hub, dry_run=dry_run)
    if app.as_json:
        return app.answer({"dry_run": dry_run, "pruned": found})
    if not found:
        click.echo("Everything is kept for ever.")
    for one in found:
        did = "would go" if dry_run else "went"
        click.echo(f"{one.what.replace('_', ' ')}: {counted(one.rows, 'row')} of before {cell(one.before)} {did}")
    return 0
