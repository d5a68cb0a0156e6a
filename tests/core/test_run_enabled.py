"""What is not enabled is neither pulled nor pushed to, not even when it is asked for by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.story import Story, ids

from core.errors import ConfigError
from core.pulling.fill import pull
from core.run import plan, sync


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A world whose one connection was put out of service after a first run."""
    story = Story(tmp_path)
    story.people(1)
    story.sync()
    story.people(2)
    story.enabled = False
    story.vendor.writes = story.vendor.reads = 0
    return story


def test_a_sync_to_a_connection_that_is_not_enabled_is_refused(story: Story) -> None:
    """Nothing is asked and nothing sent; of all syncs it is simply left out."""
    for verb in (sync, plan):
        with pytest.raises(ConfigError, match="the connection crm is not enabled"):
            verb(story.hub(), names=["vips"])
    assert [] == story.sync().syncs
    assert (0, 0) == (story.vendor.writes, story.vendor.reads)
    assert ids(1) == story.there()


def test_a_connection_that_is_not_enabled_is_not_pulled(story: Story) -> None:
    """By name it is refused; of all connections it is left out."""

    def fault(page: int) -> None:
        raise AssertionError("it was asked")

    story.vendor.pull_fault = fault
    with pytest.raises(ConfigError, match="the connection crm is not enabled"):
        pull(story.hub(), names=["crm"])
    assert [] == pull(story.hub())
    assert [] == story.sync().pulls


def test_a_sync_that_is_not_enabled_runs_when_a_person_names_it(story: Story) -> None:
    """Its switch is for what runs by itself; the connection's is for everything."""
    story.enabled = True
    story.syncs["vips"] = replace(story.syncs["vips"], enabled=False)
    assert [] == story.sync().syncs
    story.sync(names=["vips"])
    assert ids(1, 2) == story.there()
