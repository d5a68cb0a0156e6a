"""`tagalong demo`."""

from __future__ import annotations

import click

from core.cli.app import App, verb


@verb("demo", "tagalong demo --keep")
@click.option("--crm", metavar="CONNECTOR", help="Which CRM's sandbox plays.")
@click.option("--billing", metavar="CONNECTOR", help="Which billing tool's sandbox plays.")
@click.option("--email", metavar="CONNECTOR", help="Which e-mail tool's sandbox plays.")
@click.option("--survey", metavar="CONNECTOR", help="Take survey answers from this tool's sandbox instead of a file.")
@click.option("--analytics", metavar="CONNECTOR", help="Take events from this tool's sandbox instead of a file.")
@click.option("--keep", is_flag=True, help="Leave the sandboxes and the daemon running, and say how to look around.")
@click.pass_obj
def demo_command(app: App, /, keep: bool, **chosen: str | None) -> int:
    """Show everything with made-up people in built-in sandboxes."""
    from core.demo import main
    from core.demo.cast import Miscast, cast

    try:
        connectors = cast(chosen)
    except Miscast as error:
        raise click.UsageError(str(error)) from error
    return main(connectors, keep=keep, as_json=app.as_json)
