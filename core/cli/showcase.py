"""`tagalong demo`."""

from __future__ import annotations

import click

from core.cli.app import App, verb


@verb("demo", "tagalong demo --keep")
@click.option("--keep", is_flag=True, help="Leave the sandboxes and the daemon running, and say how to look around.")
@click.pass_obj
def demo_command(app: App, keep: bool) -> int:
    """Show everything against built-in sandboxes with made-up people: pull, segments, plan, sync, a week later, a guard."""
    from core.demo import main

    return main(keep=keep, as_json=app.as_json)
