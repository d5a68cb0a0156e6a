"""`tagalong demo`."""

from __future__ import annotations

import click

from core.cli.app import App, verb


@verb("demo", "tagalong demo --keep")
@click.option("--keep", is_flag=True, help="Leave the sandboxes and the daemon running, and say how to look around.")
@click.pass_obj
def demo_command(app: App, keep: bool) -> int:
    """Show everything with made-up people in built-in sandboxes."""
    from core.demo import main

    return main(keep=keep, as_json=app.as_json)
