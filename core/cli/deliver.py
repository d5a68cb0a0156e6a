"""Planning and sending: plan, sync once, and the daemon."""

from __future__ import annotations

import os
import signal
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import App, DurationText, as_of_option, known_names, verb

if TYPE_CHECKING:
    from core.config.model import Config
    from core.hub import Hub


@verb("plan", "tagalong plan regulars")
@click.argument("sync", nargs=-1)
@click.option("--fresh", type=DurationText(), help="First pull what is older than this.")
@click.option("--full", is_flag=True, help="First pull everything again.")
@as_of_option
@click.pass_obj
def plan_command(app: App, sync: tuple[str, ...], fresh: timedelta | None, full: bool, as_of: datetime | None) -> int:
    """Show exactly what sync would do; it sends nothing, and pulls nothing unless told to."""
    raise NotImplementedError


@verb("sync", "tagalong sync regulars --limit 5")
@click.argument("sync", nargs=-1)
@click.option("--limit", type=click.IntRange(1), help="Send no more than this many members of each audience.")
@click.option("--fresh", type=DurationText(), help="Pull what is older than this, whatever the schedules say.")
@click.option("--no-pull", is_flag=True, help="Rest on what is stored.")
@click.option("--full", is_flag=True, help="Pull everything again.")
@click.pass_obj
def sync_command(app: App, sync: tuple[str, ...], limit: int | None, fresh: timedelta | None, no_pull: bool, full: bool) -> int:
    """Pull what is stale, see who is in which segment, and push the difference; once, then exit."""
    raise NotImplementedError


@verb("run", "tagalong run")
@click.pass_obj
def run_command(app: App) -> int:
    """Run as a daemon: every schedule in the config, until it is told to stop."""
    raise NotImplementedError
