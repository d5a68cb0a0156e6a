"""A push that meets a vendor which is left alone, or a quota that is used up half-way, loses nobody and claims nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from support.story import Story, ids

from core.errors import QuotaExhausted, TransientError, VendorAway
from core.store import intents
from core.store.runs import Status


def away(story: Story, kind: type[QuotaExhausted] = VendorAway) -> QuotaExhausted:
    return kind("no answer", resume_at=story.now + timedelta(minutes=1))


def test_a_run_that_meets_it_waits_and_the_next_goes_on(tmp_path: Path) -> None:
    """Nothing failed on our side, nobody is a dead letter, and no intent stays open: nothing was sent."""
    story = Story(tmp_path)
    story.people(1, 2)

    def refuse(where: str) -> None:
        if where == "before apply":
            raise away(story)

    story.vendor.fault = refuse
    report = story.sync()

    assert (Status.WAITING, 0) == (report.status, report.new_dead_letters)
    assert report.syncs[0].resume_at is not None
    with story.store() as store:
        assert [] == list(intents.open_intents(store.conn, 1))
    story.vendor.fault = None
    story.sync()
    assert ids(1, 2) == story.there()


@pytest.mark.parametrize("kind", [VendorAway, QuotaExhausted])
def test_who_may_have_been_added_before_it_opened_is_ours_to_remove(tmp_path: Path, kind: type[QuotaExhausted]) -> None:
    """The first try's answer was lost, the second was not sent: taken for never sent, they would pass for somebody else's."""
    story = Story(tmp_path)
    story.people(9)
    story.sync()
    story.people(1)
    tries = iter(["acted", "away"])
    now = ""

    def lose(where: str) -> None:
        nonlocal now
        if where == "before apply":
            now = next(tries, "")
            if now == "away":
                raise away(story, kind)
        if where == "after apply" and now == "acted":
            raise TransientError("no answer in time")

    story.vendor.fault = lose
    assert Status.WAITING is story.sync().status
    assert ids(1, 9) == story.there()
    story.vendor.fault = None
    story.sync()
    story.people(1, stage="lead")
    story.sync()
    assert ids(9) == story.there()
