"""Forgetting one of two people who were told apart leaves the other as they were."""

from __future__ import annotations

from pathlib import Path

from forgetting import ANN, ANN_ID, ANN_USER, TELLING, ForgetStory, telling

from core.store import cuts
from core.unmerge import find_node, unmerge


def test_the_other_half_of_an_unmerge_stays_whole(tmp_path: Path) -> None:
    """Bo's record has Ann's user id by mistake; without the cut in mind it would go with hers, and never come back."""
    story = ForgetStory(tmp_path)
    story.people(1, 2)
    story.ann()
    story.people(1, user_id=ANN_USER)
    story.sync()
    hub = story.hub()
    with hub.store() as store:
        unmerge(hub, store, find_node(store, ANN), find_node(store, "p1@example.com"))
    story.sync()
    assert {ANN_ID, "1", "2"} == story.there()

    story.forget()
    assert {"1", "2"} == story.there()
    story.sync()
    story.sync()

    assert {"1", "2"} == story.there()
    with story.store() as store:
        assert [] == cuts.cuts(store.conn)
        (user,) = store.conn.execute("SELECT user_id FROM profiles WHERE email = 'p1@example.com'").fetchone()
    assert ANN_USER == user  # as their own record still says
    assert [] == telling(story.bytes_of_all_files(), *(text for text in TELLING if text.lower() not in ANN_USER))
