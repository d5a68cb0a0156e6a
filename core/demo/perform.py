"""Performs the demo in a folder of its own, and with `--keep` stays there for whoever wants to look around."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import click

from core.demo.story import Story, heading, note


def perform(*, keep: bool, as_json: bool) -> int:
    """Tell the story and return the exit code; *keep* leaves everything running until Ctrl-C."""
    begun = time.monotonic()
    with ExitStack() as stack:
        if keep:
            folder = Path(tempfile.mkdtemp(prefix="tagalong-demo-"))
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tagalong-demo-")))
        story = Story(folder, as_json=as_json)
        story.tell(stack)
        heading(f"That was all of it, in {time.monotonic() - begun:.0f} s")
        note("`tagalong demo --keep` leaves it running, to look around; README.md goes on with your own keys")
        if keep:
            _stay(story)
    return 0


def _stay(story: Story) -> None:
    story.clock.offset = timedelta(0)
    command = [sys.executable, "-m", "core.cli", "--config", str(story.config)]
    heading("The sandboxes and the daemon go on until Ctrl-C")
    note("in another terminal:")
    for words in ("status", "segments", "person anna", "plan", "fields", "runs"):
        click.echo(f"    tagalong --config {story.config} {words}")
    daemon = subprocess.Popen([*command, "run"])
    try:
        daemon.wait()
    except KeyboardInterrupt:
        daemon.terminate()
        daemon.wait(timeout=30)
