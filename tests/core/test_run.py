"""The line from end to end, against a made-up vendor in memory."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from support.story import Story, held, ids

from core.config.model import Every
from core.store.runs import Status


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A world with one sync of vips."""
    return Story(tmp_path)


def test_puts_in_who_is_wanted_and_takes_out_who_is_not(story: Story) -> None:
    """The audience equals the segment after each sync."""
    story.people(1, 2, 3)
    story.people(4, stage="lead")
    first = story.sync()
    story.people(2, stage="lead")
    story.people(4)
    second = story.sync()

    assert (Status.DONE, Status.DONE) == (first.status, second.status), [r.error for r in second.syncs]
    assert ids(1, 3, 4) == story.there()
    assert {} == held(second)


def test_a_second_sync_sends_no_write(story: Story) -> None:
    """With nothing changed nothing is written at the vendor, and nothing is looked up."""
    story.people(*range(1, 8))
    story.sync()
    writes, reads = story.vendor.writes, story.vendor.reads
    report = story.sync()

    assert Status.DONE == report.status
    assert (writes, reads) == (story.vendor.writes, story.vendor.reads)
    assert ids(*range(1, 8)) == story.there()


def test_a_clock_that_was_ahead_leaves_nobody_unpulled(story: Story) -> None:
    """What is fresh by a clock of tomorrow would be so until tomorrow, and everybody who left would stay."""
    story.schedule = Every(timedelta(minutes=15))
    story.people(1, 2, 3)
    story.pass_time(timedelta(days=1))
    story.sync()
    story.pass_time(-timedelta(days=1))
    story.people(2, stage="lead")
    story.sync()

    assert ids(1, 3) == story.there()
