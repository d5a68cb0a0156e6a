"""What somebody was known by before, and by nothing but: gone with them, kept out with them, and swept out of a copy."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from forgetting import ANN, ANN_USER, TELLING, ForgetStory, telling

from core.errors import StoreError
from core.forget.certificate import lines
from core.forget.flow import forget_again
from core.store import backups
from core.store.runs import Status
from core.upkeep.backup import back_up, put_back

FORMER, FORMER_USER = "former-8841@example.com", "user-before-1199"


def moved(story: ForgetStory) -> Path:
    """Let Ann have another address and user id after a copy was made; return that copy."""
    story.can_erase = False
    story.people(1, 2)
    story.ann(email=FORMER, user_id=FORMER_USER)
    story.vendor.events.clear()
    story.sync()
    copy = story.folder / "copies" / "before.db"
    copy.parent.mkdir()
    back_up(story.folder / "tagalong.db", copy, clock=lambda: story.now)
    story.ann()
    story.sync()
    return copy


def left(story: ForgetStory) -> list[tuple[str, str]]:
    """Return what tells of Ann in the database's files; what was set aside is none of them."""
    files = {name: of for name, of in story.bytes_of_all_files().items() if not name.endswith(".replaced")}
    return telling(files, *TELLING, FORMER, FORMER_USER)


def test_what_they_had_before_is_gone_and_does_not_come_back(story: ForgetStory) -> None:
    """An address that no record has any more is a line of the store all the same, and an old file may bring it."""
    moved(story)
    story.forget()
    assert [] == left(story)
    story.vendor.people["8"] = {"email": FORMER, "stage": "vip", "first_name": "Annelise"}
    story.sync()
    assert {"1", "2"} == story.there()
    assert [] == left(story)


def test_no_vendor_is_asked_to_erase_whom_an_address_names_that_they_had(story: ForgetStory) -> None:
    """It may have been a slip of somebody's, and be a stranger's there; what is erased there is gone."""
    moved(story)
    story.can_erase = True
    story.forget()
    (sought,) = story.sought
    assert {"email": [ANN], "user_id": [ANN_USER]} == sought.identifiers


def test_what_somebody_else_has_by_now_is_theirs(story: ForgetStory) -> None:
    """An address that went on to another person is not taken from them."""
    moved(story)
    story.people(3, email=FORMER)
    story.sync()
    story.forget()
    story.sync()
    assert {"1", "2", "3"} == story.there()
    assert [] == telling(story.bytes_of_all_files(), *TELLING, FORMER_USER)


def test_the_certificate_says_which_copies_hold_them(story: ForgetStory) -> None:
    """Under another address as well; not those of before them, and of what is no longer there or broken nobody knows."""
    story.people(1)
    story.sync()
    copies = {name: story.folder / "copies" / f"{name}.db" for name in ("first", "before", "broken", "gone")}
    copies["first"].parent.mkdir()
    back_up(story.folder / "tagalong.db", copies["first"], clock=lambda: story.now)
    story.can_erase = False
    story.ann(email=FORMER, user_id=FORMER_USER)
    story.sync()
    for name in ("before", "broken", "gone"):
        back_up(story.folder / "tagalong.db", copies[name], clock=lambda: story.now)
    copies["broken"].write_bytes(b"SQLite format 3\x00, and nothing after it")
    copies["gone"].unlink()
    story.ann()
    story.sync()
    copies["raw"] = copies["first"].with_name("raw.db")
    copies["raw"].write_bytes((story.folder / "tagalong.db").read_bytes())
    with story.store() as store, store.atomic() as conn:
        backups.note(conn, copies["raw"], made_at=0, why=backups.COMMAND, version="")
    there = sorted(path.name for path in copies["first"].parent.iterdir())
    certificate = story.forget().certificate
    assert there == sorted(path.name for path in copies["first"].parent.iterdir()), "nothing is left beside them"
    assert {"raw": True, "first": False, "before": True, "broken": None, "gone": None} == {
        Path(one["path"]).stem: one["holds"] for one in certificate["backups"]
    }
    told = [line.rpartition(": ")[2] for line in lines(certificate)[-4:]]
    assert ["nothing of what was known of them is in it", "holds them", "cannot be looked into; may hold them"] == told[:3]


@pytest.mark.parametrize("table", ["refusals", "dead_letters", "intent_members"])
def test_a_copy_that_knows_them_by_what_was_never_a_record_holds_them(story: ForgetStory, table: str) -> None:
    """A no that was entered by hand, a member who was refused, a batch: each has the address, and no identifier does."""
    story.people(1)
    story.sync()
    said = {
        "refusals": "INSERT INTO refusals (kind, value, channel, source, record_key, since)"
        " VALUES ('email', ?, 'email', 'hand', '', 1)",
        "dead_letters": "INSERT INTO dead_letters (what, connection, key, reason, first_at, last_at)"
        " VALUES ('member', 'crm', ?, '', 1, 1)",
        "intent_members": "INSERT INTO intent_members (intent_id, op, member_key) SELECT max(id), 'add', ? FROM intents",
    }
    with story.store() as store, store.atomic() as conn:
        conn.execute(said[table], (ANN,))
    copy = story.folder / "copies" / "said.db"
    copy.parent.mkdir()
    back_up(story.folder / "tagalong.db", copy, clock=lambda: story.now)
    story.ann()
    story.sync()
    assert [True] == [one["holds"] for one in story.forget().certificate["backups"]]


def test_whoever_had_the_address_that_is_forgotten_is_told_of(story: ForgetStory) -> None:
    """Nobody has it now; that they are meant is for a person to say."""
    moved(story)
    told = [one["what"] for one in story.forget(FORMER).certificate["by_hand"] if one["connection"] is None]
    assert ["profile:3 had this address before; `tagalong forget profile:3`, if they are meant"] == told
    assert Status.DONE is story.forget("profile:3").status
    assert [] == left(story)


def test_without_room_to_write_the_file_anew_it_says_what_to_do(story: ForgetStory, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are out of every table by then, and the same command goes on."""
    moved(story)
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorname = "SQLITE_FULL"

    class Full(sqlite3.Connection):
        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
            if sql == "VACUUM":
                raise full
            return super().execute(sql, *values)

    with monkeypatch.context() as patched:
        connect = sqlite3.connect
        patched.setattr("core.store.db.sqlite3.connect", lambda *a, **o: connect(*a, **o, factory=Full))
        with pytest.raises(StoreError, match=r"the disk is full.*give the same command again"):
            story.forget()
    assert Status.DONE is story.forget().status
    assert [] == left(story)


@pytest.mark.parametrize("history", [True, False], ids=["by_address", "by_record"])
def test_a_copy_of_before_brings_nobody_back(story: ForgetStory, history: bool) -> None:
    """There they have another address; the vendor's object is the same, also where no history tells of the address."""
    copy = moved(story)
    if not history:
        with story.store() as store, store.atomic() as conn:
            conn.execute("DELETE FROM field_history")
    story.forget()
    put_back(story.folder / "tagalong.db", copy, clock=lambda: story.now)
    assert left(story)
    assert 1 == forget_again(story.hub())
    assert [] == left(story)


def test_a_copy_brings_back_nobody_who_was_a_stranger_in_a_list(tmp_path: Path) -> None:
    """Known to us by nothing but being in a list before us; asked for by address."""
    story = ForgetStory(tmp_path, kind="mail", can_erase=False)
    story.vendor.make("Vips", [ANN])
    story.people(1)
    story.sync()
    copy = story.folder / "copies" / "before.db"
    copy.parent.mkdir()
    back_up(story.folder / "tagalong.db", copy, clock=lambda: story.now)
    story.forget()
    assert [] == left(story)
    put_back(story.folder / "tagalong.db", copy, clock=lambda: story.now)
    assert left(story)
    assert 1 == forget_again(story.hub())
    assert [] == left(story)
