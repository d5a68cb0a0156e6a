"""Vanished rows: what a pull says is gone, the guard on losing too many at once, and its release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.pulled import CONTACT, NOON, World, contact, stream

from core.contract import Category, Deletions, Kind, Page
from core.errors import TransientError
from core.store.vanish import approve_stream


def people(*ids: int) -> list[dict[str, Any]]:
    return [contact(i, f"p{i}@example.com") for i in ids]


class Crm(World):
    """One stream of contacts that lists whoever is there, and says who was deleted."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.there: list[dict[str, Any]] = people(*range(300))
        self.told: list[str] = []

        def pull(api: object, cursor: object, resume: object) -> Iterator[Page]:
            yield Page(self.there if cursor is None else [], cursor=NOON, deleted=self.told)

        super().__init__(path, crm=(Category.CRM, [stream("contacts", (), pull=pull, **(dict(CONTACT) | options))]))
        self.everything()

    @property
    def live(self) -> int:
        live = self.one("SELECT count(*) FROM crm__contacts WHERE deleted_at IS NULL")
        assert live == self.one("SELECT live_count FROM streams")
        assert live == self.one("SELECT count(*) FROM profile_rows WHERE deleted_at IS NULL")
        return int(live)


@pytest.fixture
def crm(tmp_path: Path) -> Crm:
    return Crm(tmp_path / "store.db", deletions=Deletions.ABSENCE)


def test_a_few_unseen_rows_are_deleted(crm: Crm) -> None:
    """Thirty of three hundred are a tenth, and may go; their profiles are no longer live."""
    crm.there = people(*range(30, 300))
    report = crm.pull("crm", full=True).streams[0]
    assert (30, 0, 270) == (report.deleted, report.held, crm.live)
    crm.resolve()
    assert 270 == crm.one("SELECT count(*) FROM profiles WHERE live = 1")
    assert (270, None) == crm.one("SELECT accepted_count, held_since FROM streams")


def test_more_than_a_tenth_is_held_and_stays_live(crm: Crm) -> None:
    """Without the guard, a source that lost half its people would empty every list that rests on it."""
    crm.there = people(*range(31, 300))
    report = crm.pull("crm", full=True).streams[0]
    crm.resolve()
    assert (0, 31, 300) == (report.deleted, report.held, crm.live)
    assert 300 == crm.one("SELECT count(*) FROM profiles WHERE live = 1")
    assert (300, True) == crm.one("SELECT accepted_count, held_since IS NOT NULL FROM streams")


def test_a_small_stream_may_lose_twenty(tmp_path: Path) -> None:
    """A tenth of thirty is three, which is nothing; twenty-one is held."""
    crm = Crm(tmp_path / "store.db", deletions=Deletions.ABSENCE)
    crm.there = people(*range(300))[:50]
    crm.pull("crm", full=True)
    approve_stream(crm.store, "crm", "contacts", crm.at)
    crm.there = crm.there[:30]
    assert (20, 0) == (crm.pull("crm", full=True).streams[0].deleted, 30 - crm.live)
    crm.there = crm.there[:9]
    assert 21 == crm.pull("crm", full=True).streams[0].held


def test_approve_deletes_and_makes_the_new_count_the_accepted_one(crm: Crm) -> None:
    """From then on the guard measures from there."""
    crm.there = people(*range(150))
    crm.pull("crm", full=True)
    assert 150 == approve_stream(crm.store, "crm", "contacts", crm.at)
    crm.resolve()
    assert 150 == crm.live == crm.one("SELECT count(*) FROM profiles WHERE live = 1")
    assert (150, None) == crm.one("SELECT accepted_count, held_since FROM streams")
    assert 0 == crm.pull("crm", full=True).streams[0].held


def test_rows_that_come_back_free_the_stream(crm: Crm) -> None:
    """A source that recovers needs no approval."""
    crm.there = people(*range(150))
    crm.pull("crm", full=True)
    crm.there = people(*range(300))
    report = crm.pull("crm", full=True).streams[0]
    assert (0, 0, 300) == (report.deleted, report.held, crm.live)
    assert (None,) == crm.rows("SELECT held_since FROM streams")[0]


def test_a_deleted_record_that_returns_lives_again(crm: Crm) -> None:
    """Under the profile that it had, though nothing in it changed."""
    profile = crm.one("SELECT profile_id FROM crm__contacts WHERE key = '7'")
    crm.there = people(*range(7), *range(8, 300))
    crm.pull("crm", full=True)
    crm.resolve()
    assert 0 == crm.one("SELECT live FROM profiles WHERE id = ?", profile)
    assert "p7@example.com" == crm.one("SELECT email FROM profiles WHERE id = ?", profile)
    crm.there = people(*range(300))
    crm.pull("crm", full=True)
    crm.resolve()
    assert (1, 300) == (crm.one("SELECT live FROM profiles WHERE id = ?", profile), crm.live)


@pytest.mark.parametrize("how", [Deletions.FEED, Deletions.FLAG])
def test_told_deletions_are_guarded_alike(tmp_path: Path, how: Deletions) -> None:
    """Keys that are not stored are nothing; a few go; many wait."""
    crm = Crm(tmp_path / "store.db", deletions=how)
    crm.told = ["1", "2", "unknown"]
    assert 2 == crm.pull("crm").streams[0].deleted
    crm.told = [str(i) for i in range(100)]
    report = crm.pull("crm").streams[0]
    assert (0, 98, 298) == (report.deleted, report.held, crm.live)
    assert 98 == approve_stream(crm.store, "crm", "contacts", crm.at)
    assert 200 == crm.live


def test_absence_means_nothing_where_the_vendor_deletes_nothing(tmp_path: Path) -> None:
    """`Deletions.NONE`: a full pull is only a repeat."""
    crm = Crm(tmp_path / "store.db", deletions=Deletions.NONE)
    crm.there = people(1)
    crm.pull("crm", full=True)
    assert 300 == crm.live


def test_an_incremental_pull_takes_nobody_for_gone_and_a_full_one_is_due_weekly(crm: Crm) -> None:
    """The cursor is given until seven days are over."""
    crm.there = people(*range(1, 300))
    crm.later(days=6)
    crm.pull("crm")
    assert 300 == crm.live
    crm.later(days=1)
    crm.pull("crm")
    assert 299 == crm.live


def test_a_full_pull_that_fails_takes_nobody_for_gone(tmp_path: Path) -> None:
    """Half a list is not a list."""
    there = people(*range(10))
    fail = False

    def pull(api: object, cursor: object, resume: object) -> Iterator[Page]:
        yield Page(there[:5])
        if fail:
            raise TransientError("gone")
        yield Page(there[5:])

    world = World(
        tmp_path / "store.db", crm=(Category.CRM, [stream("contacts", (), pull=pull, deletions=Deletions.ABSENCE, **CONTACT)])
    )
    world.pull("crm")
    fail = True
    assert not world.pull("crm", full=True).complete
    assert 0 == world.one("SELECT count(*) FROM vanished")


class Files(World):
    """A stream of files: each a slice, its content the cursor; an unchanged one is not read again."""

    def __init__(self, path: Path) -> None:
        self.files: dict[str, list[dict[str, Any]]] = {}
        self.read: list[str] = []

        def pull(api: object, cursor: object, resume: object, slice_: str) -> Iterator[Page]:
            content = str(self.files[slice_])
            if cursor != content:
                self.read.append(slice_)
                yield Page(self.files[slice_], cursor=content, whole=True)

        options = {**CONTACT, "fields": {"first_name": "name"}}
        made = stream("rows", (), pull=pull, slices=lambda api: list(self.files), deletions=Deletions.ABSENCE, **options)
        super().__init__(path, files=(Category.FILE, [made]))

    def live(self) -> list[str]:
        return [key for (key,) in self.rows("SELECT key FROM files__rows WHERE deleted_at IS NULL ORDER BY key")]


def test_slices_have_checkpoints_of_their_own(tmp_path: Path) -> None:
    """An unchanged file counts as seen; a changed one that was read whole lost what it no longer has."""
    world = Files(tmp_path / "store.db")
    world.files = {"a": people(1, 2), "b": people(3, 4)}
    world.pull("files")
    world.pull("files")
    assert ["a", "b"] == world.read
    world.files["b"] = people(4, 5)
    assert 1 == world.pull("files").streams[0].deleted
    assert (["a", "b", "b"], ["1", "2", "4", "5"]) == (world.read, world.live())


def test_a_slice_that_is_gone_has_vanished(tmp_path: Path) -> None:
    """Its rows go, guarded like any others, and it starts anew when it comes back."""
    world = Files(tmp_path / "store.db")
    world.files = {"a": people(1, 2), "b": people(*range(10, 40))}
    world.pull("files")
    kept = world.files.pop("a")
    assert 2 == world.pull("files").streams[0].deleted
    world.files["a"] = kept
    world.pull("files")
    assert 32 == len(world.live())
    del world.files["b"]
    report = world.pull("files").streams[0]
    assert (30, 32) == (report.held, len(world.live()))


def test_a_key_that_moves_to_another_slice_stays(tmp_path: Path) -> None:
    """It was seen there."""
    world = Files(tmp_path / "store.db")
    world.files = {"a": people(1, 2), "b": people(3)}
    world.pull("files")
    world.files = {"a": people(1), "b": people(2, 3)}
    assert 0 == world.pull("files").streams[0].deleted
    assert ["1", "2", "3"] == world.live()


def shared(world: Files) -> list[tuple[Any, ...]]:
    return world.rows("SELECT p.key, p.first_name, p.deleted_at IS NULL, l.slice FROM profile_rows p JOIN files__rows l "
                      "ON l.key = p.key WHERE p.key = '1'")  # fmt: skip


def test_a_key_of_two_slices_stays_until_the_last_has_lost_it(tmp_path: Path) -> None:
    """An unchanged file still has it, though another gave its values; they are the unchanged file's again then."""
    world = Files(tmp_path / "store.db")
    world.files = {"a": [contact(1, name="In a")], "b": [contact(1, name="In b"), contact(2)]}
    world.pull("files")
    assert [("1", "In b", True, "b")] == shared(world)
    world.files["b"] = people(2)
    assert 0 == world.pull("files").streams[0].deleted
    assert [("1", "In a", True, "a")] == shared(world)
    assert ["a", "b", "b", "a"] == world.read
    world.files["a"] = people(3)
    assert 1 == world.pull("files").streams[0].deleted
    assert (["2", "3"], 0) == (world.live(), world.one("SELECT count(*) FROM record_slices"))


def test_a_slice_that_is_gone_leaves_what_another_has(tmp_path: Path) -> None:
    """The same where the whole file goes, and where what the other has is the same: that is not read again."""
    world = Files(tmp_path / "store.db")
    world.files = {"a": people(1, 2), "b": people(1, 3)}
    world.pull("files")
    del world.files["b"]
    assert 1 == world.pull("files").streams[0].deleted
    assert (["1", "2"], ["a", "b"]) == (world.live(), world.read)
    world.files = {"c": people(9)}
    assert 2 == world.pull("files").streams[0].deleted
    assert ["9"] == world.live()


def test_another_line_of_a_file_changes_no_value_of_a_shared_key(tmp_path: Path) -> None:
    """What a file said before, and another has said otherwise since, is no news; nor is it in a full pull."""
    world = Files(tmp_path / "store.db")
    world.files = {"a": [contact(1, name="In a"), contact(2)], "b": [contact(1, name="In b")]}
    world.pull("files")
    world.files["a"] = [contact(1, name="In a"), contact(2), contact(3)]
    assert 1 == world.pull("files").streams[0].changed
    assert [("1", "In b", True, "b")] == shared(world)
    assert (0, 0) == (world.pull("files", full=True).streams[0].changed, world.one("SELECT count(*) FROM vanished"))
    world.files["a"] = [contact(1, name="New in a"), contact(2), contact(3)]
    world.pull("files")
    assert [("1", "New in a", True, "a")] == shared(world)
    world.files["a"] = people(2, 3)
    assert 0 == world.pull("files").streams[0].deleted
    assert [("1", "In b", True, "b")] == shared(world)


def test_a_held_record_is_in_no_slice_that_lost_it(tmp_path: Path) -> None:
    """It lives on until approved; a slice that brings it, and loses it again, leaves it to nobody."""
    world = Files(tmp_path / "store.db")
    world.files = {"a": people(*range(30)), "b": people(100)}
    world.pull("files")
    world.files["a"] = people(200)
    assert 30 == world.pull("files").streams[0].held
    world.files["b"] = people(*range(20), 100)
    assert 10 == world.pull("files").streams[0].deleted
    world.files["b"] = people(*range(1, 20), 100)
    assert 1 == world.pull("files").streams[0].deleted
    assert "0" not in world.live()


def test_slices_broken_off_go_on_where_they_were(tmp_path: Path) -> None:
    """Those that completed their full pull are not asked for everything again."""
    asked: list[tuple[str, object]] = []
    fail = True

    def pull(api: object, cursor: object, resume: object, slice_: str) -> Iterator[Page]:
        asked.append((slice_, cursor))
        if slice_ == "b" and fail:
            raise TransientError("gone")
        yield Page([contact(slice_)], cursor=f"end of {slice_}")

    made = stream("rows", (), pull=pull, slices=lambda api: ["a", "b"], deletions=Deletions.ABSENCE, **CONTACT)
    world = World(tmp_path / "store.db", files=(Category.FILE, [made]))
    world.pull("files")
    fail = False
    world.pull("files")
    assert [("a", None), ("b", None), ("a", "end of a"), ("b", None)] == asked


def test_events_never_vanish_by_absence(tmp_path: Path) -> None:
    """Neither when a slice is gone nor after a full pull."""
    slices = ["a", "b"]

    def pull(api: object, cursor: object, resume: object, slice_: str) -> Iterator[Page]:
        yield Page([{"id": slice_, "n": "Seen", "t": "2026-01-01"}])

    made = stream(
        "log",
        (),
        Kind.EVENT,
        pull=pull,
        slices=lambda api: slices,
        deletions=Deletions.ABSENCE,
        fields={"name": "n", "time": "t"},
    )
    world = World(tmp_path / "store.db", web=(Category.ANALYTICS, [made]))
    world.pull("web")
    del slices[0]
    world.pull("web", full=True)
    assert 2 == world.one("SELECT count(*) FROM events")


def test_a_stream_taken_out_is_held_when_it_had_many_rows(crm: Crm) -> None:
    """Its rows still say who is who until approved; then its people are no longer live, and a return brings them back."""
    del crm.connections["crm"]
    crm.register()
    crm.resolve()
    assert (True, True) == crm.one("SELECT removed_at IS NOT NULL, held_since IS NOT NULL FROM streams")
    assert 300 == crm.one("SELECT count(*) FROM profiles WHERE live = 1")
    approve_stream(crm.store, "crm", "contacts", crm.at)
    crm.resolve()
    assert 0 == crm.one("SELECT count(*) FROM profiles WHERE live = 1")
    connector = crm.connectors["crm"]
    crm.connect("crm", Category.CRM, list(connector.module.STREAMS.values()))
    crm.resolve()
    assert 300 == crm.one("SELECT count(*) FROM profiles WHERE live = 1")
