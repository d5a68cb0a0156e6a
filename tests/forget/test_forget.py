"""Somebody is forgotten: out of every list, every table and every byte of the files, and does not come back."""

from __future__ import annotations

import json
import stat

import pytest
from forgetting import ANN, ANN_ID, ANN_USER, TELLING, ForgetStory, columns_in_file, telling
from pyroaring import BitMap

from core.contract import Verdict
from core.errors import ConfigError, TransientError
from core.store import runs
from core.store.checkpoints import encode
from core.store.holders import HOLDERS, LANDING, columns_of
from core.store.person_key import key_path
from core.store.runs import Status


def test_every_column_of_the_store_is_declared(story: ForgetStory) -> None:
    """A new table or column fails here until it is said whether it holds a person (`core.store.holders`)."""
    story.settled()
    there = columns_in_file(story.folder / "tagalong.db")
    landings = {table: columns for table, columns in there.items() if "__" in table}
    assert landings
    declared = columns_of(LANDING)
    for columns in landings.values():
        assert declared.keys() <= columns
    assert {table: set(columns_of(text)) for table, text in HOLDERS.items()} == {
        table: columns for table, columns in there.items() if table not in landings
    }


def test_nothing_of_a_forgotten_person_is_left_in_any_byte_of_any_file(story: ForgetStory) -> None:
    """Tables, free pages, the log: all are read as bytes."""
    story.settled()
    story.ann(first_name="Annelise-before")  # what is overwritten leaves its bytes behind as well
    story.sync()
    story.ann()
    story.sync()
    assert telling(story.bytes_of_all_files(), ANN)

    forgot = story.forget()

    assert Status.DONE is forgot.status
    assert [] == telling(story.bytes_of_all_files(), *TELLING)
    assert {"1", "2", "3", "4", "5"} == story.there()
    assert [] == telling({"certificate": json.dumps(forgot.certificate).encode()}, *TELLING)


def test_without_the_rewriting_the_bytes_stay(story: ForgetStory, monkeypatch: object) -> None:
    """The harm: a deleted row is still in the file."""
    story.settled()
    import core.forget.flow as flow

    monkeypatch.setattr(flow, "scrub", lambda *_: None)
    monkeypatch.setattr(flow, "overwrite_deleted", lambda conn: conn.execute("PRAGMA secure_delete = OFF"))
    story.forget()
    assert telling(story.bytes_of_all_files(), ANN)


def test_a_forgotten_person_does_not_come_back(story: ForgetStory) -> None:
    """The vendor still has them: as a contact, in an event, with a consent; none of it is stored, and it is counted."""
    story.can_erase = False
    story.settled()
    story.forget()
    story.ann(consent="granted")
    report = story.sync()

    streams = {stream.stream: stream for pull in report.pulls for stream in pull.report.streams}
    assert {"contacts": 1, "consents": 1, "events": 1} == {name: stream.forgotten for name, stream in streams.items()}
    assert {"1", "2", "3", "4", "5"} == story.there()
    assert [] == telling(story.bytes_of_all_files(), *TELLING)
    assert Status.DONE is report.status


def test_without_the_list_they_would_come_back(story: ForgetStory) -> None:
    """The harm: the next pull brings them, and the next sync adds them."""
    story.can_erase = False
    story.settled()
    story.forget()
    with story.store() as store, store.atomic() as conn:
        conn.execute("DELETE FROM forgotten")
    story.sync()
    assert ANN_ID in story.there()


def test_lifted_they_may_come_back(story: ForgetStory) -> None:
    """Somebody who was forgotten signs up anew."""
    from core.forget.flow import lift

    story.can_erase = False
    story.settled()
    story.forget()
    assert 1 == lift(story.hub(), ANN)
    story.sync()
    assert ANN_ID in story.there()
    assert 0 == lift(story.hub(), ANN)


def test_the_vendor_is_asked_with_all_that_is_known(story: ForgetStory) -> None:
    """Before the store is swept, for then nobody would know whom to ask for."""
    story.settled()
    forgot = story.forget()
    (sought,) = story.sought
    assert {"email": [ANN], "user_id": [ANN_USER]} == sought.identifiers
    assert [ANN_ID] == sought.records["contacts"]
    (connection,) = forgot.certificate["connections"]
    assert ("crm", "erased", {"done": 1}) == (
        connection["connection"], connection["erasure"]["did"], connection["erasure"]["verdicts"]
    )  # fmt: skip
    assert [("tag 'Vips'", "removed")] == [(one["audience"], one["did"]) for one in connection["audiences"]]
    assert [] == forgot.certificate["by_hand"]


def test_a_job_of_the_vendor_is_in_the_certificate(story: ForgetStory) -> None:
    """It was asked, and will do it."""
    story.verdict = Verdict.PENDING
    forgot = story.settled().forget()
    assert ("asked", ["job-17"]) == tuple(forgot.certificate["connections"][0]["erasure"][key] for key in ("did", "jobs"))


def test_the_key_is_a_file_of_its_own_for_its_owner_alone(story: ForgetStory) -> None:
    """And the database has neither it nor a digest that could be made without it."""
    from hashlib import md5, sha256

    story.settled().forget()
    path = key_path(story.folder / "tagalong.db")
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    database = (story.folder / "tagalong.db").read_bytes()
    key = bytes.fromhex(path.read_text())
    assert key not in database
    assert path.read_text().strip().encode() not in database
    for plain in (sha256(ANN.encode()), md5(ANN.encode())):
        assert plain.digest() not in database
        assert plain.hexdigest().encode() not in database


def test_nobodys_number_is_left_in_a_bitmap(story: ForgetStory) -> None:
    """Sets, their history, what is ours, what was approved."""
    story.settled()
    with story.store() as store:
        ((ann,),) = store.conn.execute("SELECT id FROM profiles WHERE email = ?", (ANN,)).fetchall()
    story.forget()
    with story.store() as store:
        for table, text in HOLDERS.items():
            for column, holds in columns_of(text).items():
                if holds == "people":
                    for (blob,) in store.conn.execute(f'SELECT "{column}" FROM {table} WHERE "{column}" IS NOT NULL'):
                        assert ann not in BitMap.deserialize(blob), (table, column)
        assert [(5,)] == store.conn.execute("SELECT live_count FROM streams WHERE name = 'contacts'").fetchall()


def test_a_copy_that_is_put_back_brings_nobody_back(story: ForgetStory) -> None:
    """What was forgotten after the copy was made is carried over, and swept out of the copy."""
    from core.forget.flow import forget_again
    from core.upkeep.backup import back_up, put_back

    story.can_erase = False
    story.settled()
    copy = story.folder / "copies" / "before.db"
    copy.parent.mkdir()
    back_up(story.folder / "tagalong.db", copy, clock=lambda: story.now)
    forgot = story.forget()
    assert [str(copy)] == [one["path"] for one in forgot.certificate["backups"]]

    put_back(story.folder / "tagalong.db", copy, clock=lambda: story.now)
    assert telling(story.bytes_of_all_files(), ANN)
    assert 1 == forget_again(story.hub())
    replaced = [name for name in story.bytes_of_all_files() if name.endswith(".replaced")]
    assert [] == telling({name: of for name, of in story.bytes_of_all_files().items() if name not in replaced}, *TELLING)
    assert 0 == forget_again(story.hub())
    story.sync()
    with story.store() as store:
        assert [] == store.conn.execute("SELECT 1 FROM profiles WHERE email = ?", (ANN,)).fetchall()


def test_a_copy_from_the_middle_of_a_forgetting_brings_nobody_back(story: ForgetStory) -> None:
    """Made while a destination was still to be asked: the forgetting has ended since, and one that has not hides nobody."""
    from core.forget.flow import forget_again
    from core.upkeep.backup import back_up, put_back

    story.can_erase = True
    story.settled()

    def away() -> None:
        raise TransientError("away")

    story.erase_fault = away
    assert Status.FAILED is story.forget().status
    copy = story.folder / "copies" / "middle.db"
    copy.parent.mkdir()
    back_up(story.folder / "tagalong.db", copy, clock=lambda: story.now)
    story.erase_fault = None
    assert Status.DONE is story.forget().status
    story.erase_fault = away
    assert Status.FAILED is story.forget("p1@example.com").status

    put_back(story.folder / "tagalong.db", copy, clock=lambda: story.now)
    assert 1 == forget_again(story.hub())
    with story.store() as store:
        assert [] == store.conn.execute("SELECT 1 FROM profiles WHERE email = ?", (ANN,)).fetchall()
        assert [(1,)] == store.conn.execute("SELECT count(*) FROM profiles WHERE email = 'p1@example.com'").fetchall()


def test_in_a_list_of_others_they_are_unknown_there(story: ForgetStory) -> None:
    """Whoever was in an audience before us is read and kept as foreign; a forgotten person is not, by whatever name."""
    story.can_erase = False
    story.settled().forget()
    story.vendor.make("Partners", [ANN_ID, "1", "99"])
    story.add_sync("partners", audience_name="Partners")
    story.sync()
    assert {ANN_ID, "1", "2", "3", "4", "5", "99"} == story.there("Partners")
    with story.store() as store:
        foreign = store.conn.execute("SELECT remote_id FROM ledger WHERE state = 'foreign' ORDER BY 1").fetchall()
    assert [("1",), ("99",)] == foreign
    assert [] == telling(story.bytes_of_all_files(), *TELLING)


def test_files_that_name_them_are_told_of(story: ForgetStory) -> None:
    """A list that a segment reads, the config itself; what is hidden, or no text, is left alone."""
    (story.folder / "lists").mkdir()
    (story.folder / "lists" / "vips.csv").write_text(f"email\n{ANN.upper()}\n")
    (story.folder / "lists" / "big.csv").write_bytes(b"x" * (1024 * 1024 - 5) + ANN.encode())
    (story.folder / "others.csv").write_text("email\nbo@example.com\n")
    (story.folder / ".hidden.csv").write_text(ANN)
    (story.folder / "image.png").write_bytes(ANN.encode())
    forgot = story.settled().forget()
    (left,) = forgot.certificate["by_hand"]
    assert "files in the config's folder name them: lists/big.csv, lists/vips.csv" == left["what"]


def test_what_runs_counted_is_no_quotation(story: ForgetStory) -> None:
    """A telephone of a digit or two, a user id that is as long as a number: what is kept as JSON is JSON still."""
    story.settled()
    story.ann(phone="0", user_id="1772453700")
    story.sync()
    with story.store() as store, store.atomic() as conn:
        conn.execute("UPDATE runs SET error = '1772453700 of 0' WHERE id = 1")
        conn.execute(
            "UPDATE runs SET summary = ? WHERE id = 1", (json.dumps({"sizes": {"a": 1772453700}, "said": "\u00e5sa"}),)
        )
    story.forget()
    with story.store() as store:
        first = runs.runs(store.conn)[-1]
    assert {"sizes": {"a": 1772453700}, "said": "\u00e5sa"} == first.summary
    assert "[forgotten] of 0" == first.error


def test_a_place_in_a_list_that_names_them_is_let_go_of(story: ForgetStory) -> None:
    """A pull that broke off at her record starts over, and asks no vendor for what is not there."""
    story.settled()
    with story.store() as store, store.atomic() as conn:
        row = (encode(f"after {ANN_ID}"), ANN_ID, encode(story.now))
        conn.execute("UPDATE checkpoints SET cursor = ?, resume = ?, began = ?", row)
    story.forget()
    with story.store() as store:
        assert {(None, None, row[2])} == set(store.conn.execute("SELECT cursor, resume, began FROM checkpoints"))


def test_of_several_people_none_is_taken(story: ForgetStory) -> None:
    """A number that is one's profile and another's user id; each can be named by itself."""
    story.settled()
    story.people(9, user_id="1")
    story.sync()
    with pytest.raises(ConfigError, match="several people are known by that: profile:1, profile:"):
        story.forget("1")
    assert Status.DONE is story.forget("profile:1").status
    with story.store() as store:
        assert [] == store.conn.execute("SELECT 1 FROM profiles WHERE id = 1").fetchall()
        assert [("1",)] == store.conn.execute("SELECT user_id FROM profiles WHERE email = 'p9@example.com'").fetchall()


def test_who_is_forgotten_after_their_sync_was_retired_loses_the_values_that_it_wrote(story: ForgetStory) -> None:
    """The config no longer says which fields those were; the store does."""
    story.add_sync("vips", params={"fields": {"COUNTRY": "country"}}, audience_kind="carrying")
    story.settled()
    story.syncs.clear()
    story.forget()

    assert [(ANN_ID, ["COUNTRY"])] == story.vendor.cleared
