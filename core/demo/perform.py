"""Performs the demo in a folder of its own, and with `--keep` stays there for whoever wants to look around."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from core.cli.app import FAILED, App
from core.cli.deliver import stopping
from core.demo.story import Story, heading, note
from core.registry import Connector

DAEMON_ENDS_S: Final = 30.0


def perform(connectors: Mapping[str, Connector], *, keep: bool, as_json: bool) -> int:
    """Tell the story with *connectors* and return the exit code; *keep* leaves everything running until Ctrl-C."""
    with _ended_like_ctrl_c(), ExitStack() as stack:
        if keep:
            folder = Path(tempfile.mkdtemp(prefix="tagalong-demo-"))
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tagalong-demo-")))
        story = Story(folder, connectors=connectors)
        if as_json:
            with redirect_stdout(sys.stderr):
                answer = _told_in_json(story, stack)
            code = App().answer(answer, 0 if answer["error"] is None else FAILED)
            stack.enter_context(redirect_stdout(sys.stderr))
        else:
            _told(story, stack)
            code = 0
        return _stay(story) if keep and code == 0 else code


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the demo as Ctrl-C does, with its folder: by themselves they would leave it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _told(story: Story, stack: ExitStack) -> float:
    begun = time.monotonic()
    story.tell(stack)
    took_s = time.monotonic() - begun
    heading(f"That was all of it, in {took_s:.0f} s")
    return took_s


def _told_in_json(story: Story, stack: ExitStack) -> dict[str, Any]:
    """Tell the story, and return what came of it even if it failed."""
    error, took_s = None, None
    try:
        took_s = round(_told(story, stack), 1)
    except click.ClickException as caught:
        error = caught.format_message()
        click.echo(error)
    return {
        "error": error,
        "people": story.people,
        "lists": len(story.compared.members),
        "members": sum(story.compared.members.values()),
        "differences": story.compared.wrong,
        "requests": dict(story.requests),
        "took_s": took_s,
    }


def _stay(story: Story) -> int:
    """Run the daemon beside the sandboxes, both by the wall's clock, until told to stop."""
    story.clock.offset = timedelta(0)
    typed = f"{_command()} --config {story.config}"
    heading("The sandboxes and the daemon go on until Ctrl-C; in another terminal:")
    someone = next(person for person in story.world.people if person.contact_id and person.subscription)
    for words in ("status", "segments", f"person {someone.address}", "fields country", "runs", "plan --members"):
        note(f"{typed} {words}")
    stop = threading.Event()
    # -P: where it is typed there may be a package of theirs that is called core
    command = [sys.executable, "-P", "-m", "core.cli", "--config", str(story.config), "run"]
    hangup = getattr(signal, "SIGHUP", None)  # a closed terminal: the daemon takes it for "read the config", and would stay
    with stopping(stop, *([hangup] if hangup is not None else [])):
        daemon = subprocess.Popen(command)  # noqa: S603 - our own command
        while daemon.poll() is None and not stop.wait(0.2):
            pass
        if daemon.poll() is None:
            daemon.terminate()
        try:
            code = daemon.wait(timeout=DAEMON_ENDS_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            code = daemon.wait()
    note(f"what it left is in {story.folder}")
    return 0 if code == 0 else FAILED


def _command() -> str:
    """Return how the command is typed from anywhere: its name where the shell finds it, else where it is."""
    found, own = shutil.which("tagalong"), Path(sys.argv[0]).absolute()
    if own.name != "tagalong":
        own = Path(sys.executable).parent / "tagalong"
    return "tagalong" if found and Path(found).absolute() == own else str(own)
