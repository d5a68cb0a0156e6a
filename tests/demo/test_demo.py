"""The demo, with few people and the first day only: it is right when all is right, and fails loudly when a list is not."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from demo_stories import PEOPLE, FirstDay

import core.demo.perform
from core.cli import main
from core.demo.people.loss import lose_half_of_the_crm
from core.demo.people.make import make_world
from core.demo.people.truth import truth
from core.demo.story import Lists
from core.store import Store


class Tampered(FirstDay):
    """Somebody takes one person's tag away between the sync and the comparison."""

    def _compare(self, before: Lists) -> None:
        box = self.stage.sandboxes["mail"]
        tag = next(tag for tag in box.list.segments.values() if tag.name == "Stuck in setup")
        assert box.list.untag(tag.id, box.list.tagged(tag.id)[0].address)
        super()._compare(before)


def test_json_is_one_object_and_the_story_goes_to_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what came of it."""
    monkeypatch.setattr(core.demo.perform, "Story", FirstDay)

    result = CliRunner().invoke(main, ["demo", "--json"])

    answer = json.loads(result.stdout)
    assert 0 == result.exit_code
    assert (True, None, 13, []) == tuple(answer[key] for key in ("ok", "error", "lists", "differences"))
    assert PEOPLE <= answer["people"] < PEOPLE + 10  # the last shop is let in whole
    assert 0 < answer["members"]
    assert answer["requests"].keys() <= {"crm", "billing", "mail"}
    assert "$ tagalong sync" in result.stderr
    assert "all 13 lists hold exactly whom they should" in result.stderr


def test_a_list_that_is_not_right_ends_it_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says which, and how far."""
    monkeypatch.setattr(core.demo.perform, "Story", Tampered)

    result = CliRunner().invoke(main, ["demo"])

    assert 1 == result.exit_code
    assert "wrong: mail 'Stuck in setup': 1 missing, 0 too many" in result.stderr
    assert "the lists are not as the people are" in result.stderr
    assert "That was all of it" not in result.stdout


def test_in_json_the_differences_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One object, whatever came of it."""
    monkeypatch.setattr(core.demo.perform, "Story", Tampered)

    result = CliRunner().invoke(main, ["demo", "--json"])

    answer = json.loads(result.stdout)
    assert (1, False) == (result.exit_code, answer["ok"])
    assert ["mail 'Stuck in setup': 1 missing, 0 too many"] == answer["differences"]
    assert "(1 wrong)" in answer["error"]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP], ids=lambda ending: ending.name)
def test_ended_between_two_commands_it_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: signal.Signals
) -> None:
    """A service that is stopped, a terminal that is closed: what these do by themselves would leave the folder."""

    class Ended(FirstDay):
        def tell(self, stack: object) -> None:
            assert self.folder.is_dir()
            signal.raise_signal(ending)
            pytest.fail("it went on")

    monkeypatch.setattr(core.demo.perform, "Story", Ended)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = signal.signal(ending, lambda *_: None)  # so that a demo that does not heed it does not end the tests
    try:
        result = CliRunner().invoke(main, ["demo"])
    finally:
        signal.signal(ending, before)

    assert 1 == result.exit_code
    assert [] == [*tmp_path.iterdir()]


KEPT = """
import core.demo.perform
from core.demo.story import Story
class Pulled(Story):
    def tell(self, stack):
        self.size = 40
        self._set_the_stage(stack)
        self.run("pull")
core.demo.perform.Story = Pulled
from core.cli import main
main(["demo", "--keep"])
"""


@pytest.mark.parametrize(
    ("ending", "tried"), [(signal.SIGINT, slice(1, None)), (signal.SIGHUP, slice(0))], ids=["ctrl_c", "terminal_closed"]
)
def test_kept_it_stays_until_it_is_told_to_stop(tmp_path: Path, ending: signal.Signals, tried: slice) -> None:
    """The daemon runs, whatever lies in the folder; the commands that it names work, and one signal ends all of it cleanly."""
    theirs = tmp_path / "project"
    (theirs / "core").mkdir(parents=True)
    (theirs / "core/__init__.py").write_text("raise SystemExit('a package of somebody else')\n")
    environ = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    demo = subprocess.Popen(
        [sys.executable, "-P", "-c", KEPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ, cwd=theirs,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert demo.stdout is not None
        named = [line.strip() for line in _until(demo.stdout, "plan --members") if "tagalong --config" in line]
        assert ["status", "segments", "person", "fields", "runs", "plan"] == [line.split()[3] for line in named]
        (status,) = (line for line in named if line.endswith(" status"))
        database = next(tmp_path.glob("tagalong-demo-*")) / "tagalong.db"
        until = time.monotonic() + 120
        while not _leased(database):
            assert time.monotonic() < until
            time.sleep(0.05)
        said = subprocess.run(shlex.split(status), check=True, capture_output=True, text=True).stdout
        assert "The daemon is running." in said
        typed = [subprocess.Popen(shlex.split(line), stdout=subprocess.DEVNULL) for line in named[tried]]
        assert not [one.args for one in typed if one.wait(120)]
        demo.send_signal(ending)
        out, err = demo.communicate(timeout=120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)  # its daemon too
        demo.communicate()

    assert 0 == demo.returncode
    assert "what it left is in" in out
    assert '"event": "daemon_stopped"' in err
    assert not _leased(database)


def _until(lines: Iterable[str], end: str) -> Iterator[str]:
    for line in lines:
        yield line
        if end in line:
            return


def _leased(database: Path) -> bool:
    with Store(database, read_only=True) as store:
        return bool(store.conn.execute("SELECT 1 FROM leases WHERE name = 'daemon'").fetchall())


def test_half_of_the_contacts_are_lost_and_nobody_else() -> None:
    """Whom other tools know stay who they are; whom only the CRM knew are nobody any more."""
    world = make_world(datetime(2026, 6, 1, 12, tzinfo=UTC))
    contacts = sum(person.contact_id is not None for person in world.people)
    before = truth(world, world.now).sets

    assert contacts // 2 == lose_half_of_the_crm(world)
    assert contacts - contacts // 2 == sum(person.contact_id is not None for person in world.people)
    after = truth(world, world.now).sets
    assert len(before["partition.nps.promoter"]) == len(after["partition.nps.promoter"])
    assert 0 < len(after["segment.paying_nordics"]) < len(before["segment.paying_nordics"])
