"""Dead letters: what the vendor said is kept, masked; a person has them tried again, or drops them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from support.story import Story, ids

from core.clock import to_us
from core.errors import RejectedError
from core.store.dead_letters import DeadLetter, dead_letters, resting
from core.store.letters import Chosen, Retried, drop, retry

WEEK = timedelta(days=8)
ALL = Chosen(everything=True)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Two members, of whom one is refused at every try."""
    made = Story(tmp_path)
    made.vendor.refuse.add("2")
    made.people(1, 2)
    made.sync()
    return made


def letters(story: Story, *, dropped: bool = False) -> list[DeadLetter]:
    with story.store() as store:
        return dead_letters(store.conn, dropped=dropped)


def have_retried(story: Story, chosen: Chosen = ALL) -> Retried:
    with story.store() as store, store.atomic() as conn:
        return retry(conn, chosen, at=to_us(story.now))


def have_dropped(story: Story, chosen: Chosen = ALL) -> list[DeadLetter]:
    with story.store() as store, store.atomic() as conn:
        return drop(conn, chosen, at=to_us(story.now))


def tried(story: Story) -> bool:
    """Run once; return whether anybody was sent."""
    before = story.vendor.writes
    story.sync()
    return story.vendor.writes > before


def give_up(story: Story) -> None:
    for after in (timedelta(), timedelta(days=2), WEEK):
        story.pass_time(after)
        story.sync()


def test_the_vendor_s_words_are_kept_and_tell_nobody(tmp_path: Path) -> None:
    """Its code, its sentence, and not the address, the member's own id or the key that stand in it."""
    story = Story(tmp_path)
    story.people(1, 2)

    def refuse(where: str) -> None:
        error = RejectedError("refused", status=400, code="INVALID_EMAIL")
        error.said = "p2@example.com (contact 2) is not valid, api_key=live-0123456789abcdef; write to ops@example.com"
        raise error

    story.vendor.fault = lambda where: refuse(where) if where == "before apply" else None
    story.sync()
    (first, *_) = letters(story)

    assert ("INVALID_EMAIL", "INVALID_EMAIL") == (first.code, first.reason)
    assert first.message is not None
    assert "is not valid" in first.message
    for gone in ("example.com", "0123456789", "p2"):
        assert gone not in first.message


def test_who_is_refused_once_more_is_no_news(story: Story) -> None:
    """A schedule that looks at the exit code would be called at each retry for what it was told at the first."""
    assert 1 == len(letters(story))
    assert 0 == story.sync().new_dead_letters
    assert 2 == letters(story)[0].attempts
    have_dropped(story)
    story.people(2, first_name="Bo")
    assert 1 == story.sync().new_dead_letters, "after a drop it begins anew"
    story.vendor.refuse.add("3")
    story.people(3)
    assert 1 == story.sync().new_dead_letters, "of two that are refused"
    assert 2 == len(letters(story))


def test_a_reason_of_ours_is_no_code_of_theirs() -> None:
    """`status 400` is what we say where the vendor gives nothing."""
    common = {"connection": "crm", "stream": None, "sync": None, "key": "k", "op": "add", "profile_id": 1, "attempts": 1}
    times = {"first_at": 1, "last_at": 1, "next_try_at": None, "given_up_at": None}

    codes = [
        DeadLetter(1, "member", reason=reason, **common, **times).code for reason in ("status 400", "refused", "bad_member")
    ]
    assert [None, None, "bad_member"] == codes


def test_what_was_given_up_is_tried_again_when_a_person_says_so(story: Story) -> None:
    """Once, with that day's wish; refused again it is given up again, and goes in as soon as the vendor takes it."""
    give_up(story)
    assert letters(story)[0].given_up_at is not None
    assert not tried(story)
    have_retried(story)
    assert tried(story)
    assert not tried(story)
    story.vendor.refuse.clear()
    assert not tried(story)
    have_retried(story)
    assert tried(story)
    assert (ids(1, 2), []) == (story.there(), letters(story))


def test_a_retry_is_of_the_wish_of_the_day(story: Story) -> None:
    """Who has left the segment since is not put in."""
    give_up(story)
    story.people(2, stage="lead")
    story.vendor.refuse.clear()
    have_retried(story)

    assert not tried(story)
    assert ids(1) == story.there()


def test_a_retry_chooses_by_id_sync_or_connection(tmp_path: Path) -> None:
    """And leaves the others alone."""
    story = Story(tmp_path)
    story.add_sync("more", audience_name="More")
    story.vendor.refuse.add("2")
    story.people(1, 2)
    story.sync()
    give_up(story)
    by_sync = {str(one.sync): one.id for one in letters(story)}

    assert [by_sync["more"]] == [one.id for one in have_retried(story, Chosen(sync="more")).members]
    assert [by_sync["vips"]] == [one.id for one in have_retried(story, Chosen((by_sync["vips"],))).members]
    assert 2 == len(have_retried(story, Chosen(connection="crm")).members)
    assert [] == have_retried(story, Chosen(connection="other")).members


def test_who_may_have_arrived_is_tried_again_only_by_name(tmp_path: Path) -> None:
    """Each add there starts a campaign: twenty thousand second mails are not what `retry --all` means."""
    story = Story(tmp_path, kind="list")
    story.vendor.readable = False
    story.vendor.make("Vips")

    def lose(where: str) -> None:
        if where == "after apply":
            raise ConnectionError("the process dies here")

    story.people(1)
    story.vendor.fault = lose
    story.sync()
    story.vendor.fault = None
    story.sync()
    (letter,) = letters(story)
    assert letter.may_have_arrived

    left = have_retried(story)
    assert ([], [letter.id]) == ([one.id for one in left.members], [one.id for one in left.left_out])
    assert [letter.id] == [one.id for one in have_retried(story, Chosen((letter.id,))).members]


def test_a_dropped_member_is_left_alone(story: Story) -> None:
    """Not after a day, nor after a week: without a drop it would be."""
    have_dropped(story)
    for after in (timedelta(), timedelta(days=2), WEEK):
        story.pass_time(after)
        assert not tried(story)
    assert ([], 1) == (letters(story), len(letters(story, dropped=True)))


def test_a_dropped_member_is_tried_anew_when_something_about_them_changes(story: Story) -> None:
    """The fix of what was wrong with them is a change; a new refusal is a new letter."""
    have_dropped(story)
    story.people(2, country="SE")
    assert tried(story)
    (letter,) = letters(story)
    assert (1, None) == (letter.attempts, letter.dropped_at)


def test_a_dropped_member_is_tried_anew_when_they_come_back(story: Story) -> None:
    """Who left the segment and is wanted again is another wish; the change of stage is not what counts here."""
    have_dropped(story)
    story.people(2, stage="lead")
    story.sync()
    assert [] == letters(story, dropped=True)
    story.people(2)

    assert tried(story)


def test_a_drop_can_be_taken_back(story: Story) -> None:
    """By the id that the drop told."""
    (letter,) = have_dropped(story)
    assert not tried(story)
    have_retried(story, Chosen((letter.id,)))
    assert tried(story)
    assert [letter.id] == [one.id for one in letters(story)]


def test_a_refused_removal_can_be_dropped_too(tmp_path: Path) -> None:
    """They stay where they are, until they are wanted again: then the removal is off."""
    story = Story(tmp_path)
    story.people(1, 2, 3)
    story.sync()
    story.vendor.refuse.add("2")
    story.people(2, stage="lead")
    story.sync()
    have_dropped(story)
    assert not tried(story)
    story.people(2)
    story.sync()
    assert [] == letters(story, dropped=True)
    story.vendor.refuse.clear()
    story.people(2, stage="lead")
    story.sync()
    assert ids(1, 3) == story.there()


def test_a_letter_follows_whom_its_person_was_joined_into(story: Story) -> None:
    """Else the survivor would be tried at every run, whatever the letter says."""
    (letter,) = letters(story)
    with story.store() as store, store.atomic() as conn:
        survivor = conn.execute("SELECT id FROM profiles WHERE id <> ?", (letter.profile_id,)).fetchone()[0]
        audience = conn.execute("SELECT audience_id FROM dead_letters").fetchone()[0]
        conn.execute("UPDATE dead_letters SET next_try_at = next_try_at + 60000000")
        before = resting(conn, audience, connection="crm", at=letter.last_at).adds
        conn.execute("INSERT INTO profile_aliases (old_id, new_id, at) VALUES (?, ?, 0)", (letter.profile_id, survivor))
        after = resting(conn, audience, connection="crm", at=letter.last_at).adds

    assert ([letter.profile_id], [survivor]) == (list(before), list(after))
