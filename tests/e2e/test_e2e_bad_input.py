"""
What comes in broken: rows of a file, answers of a vendor, a disk that is full or not ours, a destination that half refuses.

The checkpoint stays right and nothing is lost: each test ends with a whole run that has everybody where they belong.
"""

from __future__ import annotations

import ctypes
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from house import VIP, VIPS_TO_MAIL, WORKSPACE, House, address
from support.acme.sandbox import TOKEN, AcmeSandbox

from core import registry
from core.clock import from_us, to_us
from core.contract import Fault
from core.sandbox import Spoiler, Truncated, serve
from core.store import Store
from core.store import db as store_db

ROOT = Path(__file__).parents[2]
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

FILES = """
[connections.exports]
connector = "files"
[connections.exports.streams.accounts]
path = "data/accounts.csv"
kind = "profile"
key = "account_id"
identifiers = { user_id = "account_id", email = "owner_email" }
fields = { country = "country" }
types = { seats = "integer" }
[connections.exports.streams.usage]
path = "data/usage.jsonl"
kind = "event"
key = "id"
identifiers = { user_id = "user" }
time = "at"
event_column = "event"
"""


def test_bad_rows_of_a_file_are_kept_with_their_reason_and_the_rest_goes_on(house: Callable[..., House]):
    h = house()
    good = [f"a{n},owner{n}@example.com,SE,{n}" for n in range(10)]
    bad = [",keyless@example.com,SE,1", "a90,owner90@example.com,SE,many"]
    h.write("data/accounts.csv", "\n".join(["account_id,owner_email,country,seats", *good[:5], *bad, *good[5:]]) + "\n")
    events = [json.dumps({"id": f"e{n}", "user": f"a{n}", "event": "Opened", "at": "2026-11-01T10:00:00Z"}) for n in range(6)]
    broken = [
        '{"id": "e7", "user": "a7", "event": "Ope',
        json.dumps({"id": "e8", "user": "a8", "event": "Opened", "at": "soon"}),
    ]
    h.write("data/usage.jsonl", "\n".join([*events[:3], *broken, *events[3:]]) + "\n")
    h.write_config(FILES)

    ran = h.run("pull", "--json", code=3).json

    streams = {stream["name"]: stream for stream in ran["pulls"][0]["streams"]}
    assert (2, 2) == (streams["accounts"]["bad"], streams["usage"]["bad"])
    assert streams["accounts"]["complete"] and streams["usage"]["complete"]
    letters = h.run("dead-letters", "--json").json["dead_letters"]
    assert {"accounts": 2, "usage": 2} == {s: sum(one["stream"] == s for one in letters) for s in ("accounts", "usage")}
    assert all(one["reason"] and one["what"] == "record" for one in letters)
    assert any("seats" in one["reason"] for one in letters)
    assert not any("@" in one["reason"] for one in letters)
    assert [(10,)] == h.ask("SELECT count(*) FROM exports__accounts WHERE deleted_at IS NULL AND account_id GLOB 'a[0-9]'")
    assert [(6,)] == h.ask("SELECT count(*) FROM events")

    h.write(
        "data/accounts.csv", "\n".join(["account_id,owner_email,country,seats", *good, "a90,owner90@example.com,SE,7"]) + "\n"
    )
    h.write("data/usage.jsonl", "\n".join(events) + "\n")
    assert {0} == {stream["bad"] for stream in h.run("pull", "--json").json["pulls"][0]["streams"]}
    assert [(11,)] == h.ask("SELECT count(*) FROM profiles WHERE live = 1")


# --- answers of a vendor --------------------------------------------------------------------------------------------


@pytest.fixture
def acme(house: Callable[..., House], monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house whose only vendor is made up: 250 contacts, three pages, and a list to push to."""
    modules = dict(registry._modules())
    monkeypatch.setattr(registry, "_modules", lambda: {**modules, "acme": "support.acme"})
    h = house()
    box = AcmeSandbox(now=h.clock)
    box.load("people", (contact(n, BEGAN + timedelta(hours=n)) for n in range(250)))
    with serve({"acme": box}) as served:
        h.boxes, h.served = {"acme": box}, served
        config = f'[connections.acme]\nconnector = "acme"\nbase_url = "{served["acme"].base_url}"\ntoken = "{TOKEN}"\n'
        segment = "[segments.swedes]\nwhere = 'country == \"SE\"'\n"
        sync = '[[syncs]]\nname = "swedes"\nsegment = "swedes"\nto = "acme"\naudience = { list = "Swedes" }\n'
        h.path.write_text(WORKSPACE + config + segment + sync)
        h.path.chmod(0o600)
        yield h


def contact(number: int, at: datetime, country: str = "SE") -> dict[str, Any]:
    return {"id": f"c{number:03}", "email": address(number), "address": {"country": country}, "updated_at": at}


def at_page(which: int, spoiler: Spoiler | Callable[[], Spoiler]) -> Callable[[str, str, int], Spoiler | None]:
    """Spoil every request for contacts from the one numbered *which* on."""
    seen = 0

    def faults(_method: str, path: str, _number: int) -> Spoiler | None:
        nonlocal seen
        seen += path == "/contacts"
        return (spoiler() if callable(spoiler) else spoiler) if path == "/contacts" and seen >= which else None

    return faults


BROKEN: dict[str, Spoiler] = {
    "HTML for JSON": Fault(200, {"content-type": "text/html"}, b"<html><title>Sign in</title></html>"),
    "truncated JSON": Truncated(0.7),
    "JSON of another shape": Fault(200, {"content-type": "application/json"}, b'["contacts"]'),
    "a server error": Fault(500, {"content-type": "application/json"}, b"{}"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_answer_leaves_the_checkpoint_right_and_loses_nobody(acme: House, broken: str):
    acme.served["acme"].faults = at_page(2, BROKEN[broken])

    report = acme.sync(code=1).json

    (stream,) = report["pulls"][0]["streams"]
    assert not stream["complete"]
    assert stream["error"].startswith("acme/contacts: ")
    assert 100 == stream["records"]
    assert set() == acme.tagged("Swedes", "acme")
    assert not acme.boxes["acme"].writes
    assert [(100,)] == acme.ask("SELECT count(*) FROM acme__contacts")
    ((cursor,),) = acme.ask("SELECT cursor FROM checkpoints")
    assert str(to_us(BEGAN + timedelta(hours=99))) in cursor, "the checkpoint is that of the page that was stored"

    acme.served["acme"].faults = None
    assert "done" == acme.sync().json["status"]
    assert {f"c{n:03}" for n in range(250)} == acme.tagged("Swedes", "acme")


def test_a_page_that_repeats_is_an_error_and_not_for_ever(acme: House):
    rows = [{"id": f"c{n:03}", **_as_sent(acme, n)} for n in range(100)]
    same = Fault(200, {"content-type": "application/json"}, json.dumps({"contacts": rows, "next": "100"}).encode())
    acme.served["acme"].faults = at_page(2, same)

    (stream,) = acme.sync(code=1).json["pulls"][0]["streams"]

    assert "repeat" in stream["error"] or "again" in stream["error"] or "same" in stream["error"]
    assert acme.requests() < 10
    acme.served["acme"].faults = None
    acme.sync()
    assert 250 == len(acme.tagged("Swedes", "acme"))


def _as_sent(h: House, number: int) -> dict[str, Any]:
    sent: dict[str, Any] = h.boxes["acme"].contacts[f"c{number:03}"]
    return sent


def test_a_cursor_in_the_year_3000_is_clamped_and_what_changes_now_is_still_seen(acme: House):
    acme.boxes["acme"].load("people", [contact(999, datetime(3000, 1, 1, tzinfo=UTC))])
    acme.sync()
    assert 251 == len(acme.tagged("Swedes", "acme"))

    acme.clock.advance(hours=2)
    acme.boxes["acme"].load("people", [contact(300, acme.clock()), contact(7, acme.clock(), country="NO")])
    acme.sync()

    ((cursor,),) = acme.ask("SELECT cursor FROM checkpoints")
    assert from_us(json.loads(cursor)["t"]) <= acme.clock()
    assert {f"c{n:03}" for n in (*range(7), *range(8, 250), 300, 999)} == acme.tagged("Swedes", "acme")


def test_a_bad_record_of_a_page_is_kept_with_its_reason(acme: House):
    keyless = [{"email": address(401), "updated_at": "2026-01-01T00:00:00+00:00"}]
    page = Fault(200, {"content-type": "application/json"}, json.dumps({"contacts": keyless, "next": "0"}).encode())
    first = iter([page])
    acme.served["acme"].faults = lambda _m, path, _n: next(first, None) if path == "/contacts" else None

    report = acme.sync(code=3).json

    assert "done" == report["status"]
    assert 1 == report["pulls"][0]["streams"][0]["bad"]
    assert 250 == len(acme.tagged("Swedes", "acme"))
    (letter,) = acme.run("dead-letters", "--json").json["dead_letters"]
    assert ("record", "acme", "contacts") == (letter["what"], letter["connection"], letter["stream"])
    assert address(401) not in json.dumps(letter)


# --- the disk -------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_said_wherever_it_strikes_and_nothing_is_half_written(acme: House, monkeypatch: pytest.MonkeyPatch):
    """The disk has room for three pages more each time, so it is full somewhat later each time, until all fits."""
    acme.run("status")  # makes the file
    allowed = _pages(acme)
    opened = Store.__init__

    def with_little_room(store: Store, *args: Any, **options: Any) -> None:
        opened(store, *args, **options)
        store.conn.execute(f"PRAGMA max_page_count = {allowed}")

    sent_before_it_was_full = set()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "__init__", with_little_room)
        while (ran := acme.run("sync", "--json", code=(0, 1))).code:
            assert not ran.json["ok"]
            assert "disk is full" in ran.out
            assert "unexpected" not in ran.err
            sent_before_it_was_full.add(len(acme.boxes["acme"].change_log))
            acme.run("status")
            allowed += 3

    assert len(sent_before_it_was_full) > 1, "it was never full in the middle of a push"
    assert {f"c{n:03}" for n in range(250)} == acme.tagged("Swedes", "acme")
    assert 250 == len(acme.boxes["acme"].change_log), "somebody was added twice"
    assert [("ok",)] == acme.ask("PRAGMA integrity_check")
    assert [(0,)] == acme.ask("SELECT count(*) FROM leases")
    assert [(0,)] == acme.ask("SELECT count(*) FROM intents WHERE settled_at IS NULL")


def _pages(h: House) -> int:
    with sqlite3.connect(h.database) as conn:
        conn.execute("VACUUM")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages: int = conn.execute("PRAGMA page_count").fetchone()[0]
    conn.close()
    return pages


def test_a_locked_database_is_said_and_nothing_is_sent(acme: House, monkeypatch: pytest.MonkeyPatch):
    acme.sync()
    acme.boxes["acme"].load("people", [contact(n, acme.clock()) for n in range(300, 320)])
    monkeypatch.setattr(store_db, "BUSY_TIMEOUT_S", 0.2)
    writes, stored = acme.writes(), acme.ask("SELECT count(*) FROM acme__contacts")
    other = sqlite3.connect(acme.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        for verb in (("sync",), ("pull",), ("pause", "acme"), ("approve", "swedes")):
            ran = acme.run(*verb, code=1)
            assert "locked by another process" in ran.err
            assert "unexpected" not in ran.err
        assert "swedes" in acme.run("status").out, "looking needs no lock"
        assert acme.run("runs").out
    finally:
        other.execute("ROLLBACK")
        other.close()

    assert writes == acme.writes()
    assert stored == acme.ask("SELECT count(*) FROM acme__contacts")
    acme.sync()
    assert 270 == len(acme.tagged("Swedes", "acme"))


def _as_a_mortal() -> None:
    """Root may write everywhere: give that up, for the program that this process is about to become."""
    drop_from_bounding_set, may_override_permissions = 24, 1  # linux/prctl.h, linux/capability.h
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(drop_from_bounding_set, may_override_permissions, 0, 0, 0):
        os._exit(77)


@pytest.mark.skipif(sys.platform != "linux", reason="gives up root's rights the Linux way")
def test_files_that_may_not_be_written_are_said(house: Callable[..., House]):
    h = house()
    h.write("data/accounts.csv", "account_id,owner_email,country,seats\na1,owner1@example.com,SE,1\n")
    h.write("data/usage.jsonl", "")
    h.write_config(FILES)
    h.run("pull")
    before = h.database.read_bytes()
    for path in (h.database, h.folder):
        path.chmod(0o555)
    command = [sys.executable, "-m", "core.cli", "--config", str(h.path), "pull"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, preexec_fn=_as_a_mortal)
    finally:
        for path in (h.folder, h.database):
            path.chmod(0o755)
    if ran.returncode == 77:
        pytest.skip("root's rights could not be given up here")

    assert 1 == ran.returncode, ran.stderr
    assert "permissions" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert before == h.database.read_bytes()


def test_a_file_that_is_no_database_is_said(house: Callable[..., House]):
    h = house()
    h.write("data/accounts.csv", "account_id,owner_email,country,seats\n")
    h.write_config(FILES)
    h.write("tagalong.db", "this is somebody's letter, not a database\n" * 40)

    for verb in ("pull", "status", "sync", "runs"):
        assert "not a database" in h.run(verb, code=1).err
    assert h.database.read_text().startswith("this is somebody's letter")


# --- a destination that half refuses --------------------------------------------------------------------------------


def test_a_destination_that_answers_200_with_errors_inside_is_read_member_by_member(house: Callable[..., House]):
    h = house("crm", "mail")
    h.people(*range(20))
    h.write_config(VIP, VIPS_TO_MAIL)
    h.run("pull")
    h.boxes["mail"].delete("members", [address(3), address(11)])

    ran = h.run("sync", "--no-pull", "--json", code=(0, 3)).json

    ((plan,),) = [sync["plans"] for sync in ran["syncs"]]
    assert {"add.done": 18, "add.not_found": 2} == plan["verdicts"]
    assert {address(n) for n in range(20) if n not in (3, 11)} == h.tagged()
    assert {18} == {audience["ours"] for sync in h.run("status", "--json").json["syncs"] for audience in sync["audiences"]}


def test_one_member_that_sinks_a_batch_is_found_and_the_others_arrive(house: Callable[..., House]):
    h = house("crm", "mail")
    h.people(*range(20))
    h.write_config(VIP, VIPS_TO_MAIL)
    h.boxes["mail"].breaking.add(address(7))

    ran = h.sync(code=(1, 3))

    assert {address(n) for n in range(20) if n != 7} == h.tagged()
    h.boxes["mail"].breaking.clear()
    h.clock.advance(days=8)
    h.sync(code=(0, 3))
    assert {address(n) for n in range(20)} == h.tagged(), ran.out


UNREADABLE: dict[str, Spoiler] = {
    "HTML, carried out": Fault(200, {"content-type": "text/html"}, b"<html>Sign in</html>", act=True),
    "half of an answer": Truncated(0.5),
    "a server error, carried out": Fault(500, {"content-type": "application/json"}, b"{}", act=True),
    "an empty object": Fault(200, {"content-type": "application/json"}, b"{}"),
}


@pytest.mark.parametrize("answer", UNREADABLE)
def test_a_push_whose_answer_cannot_be_read_is_neither_believed_nor_forgotten(house: Callable[..., House], answer: str):
    h = house("crm", "mail")
    h.people(*range(20))
    h.write_config(VIP, VIPS_TO_MAIL)
    h.sync("--limit", "5")
    h.served["mail"].faults = lambda method, path, _n: UNREADABLE[answer] if method == "POST" and "segments/" in path else None

    h.sync(code=(0, 1, 3))
    ours = {audience["ours"] for sync in h.run("status", "--json").json["syncs"] for audience in sync["audiences"]}
    assert max(ours) <= len(h.tagged()), "somebody counts as ours who is not there"
    h.served["mail"].faults = None
    h.clock.advance(days=1)
    h.sync(code=(0, 3))

    assert {address(n) for n in range(20)} == h.tagged()
    assert 20 == len(h.boxes["mail"].change_log), "somebody was added twice"
    assert [(0,)] == h.ask("SELECT count(*) FROM intents WHERE settled_at IS NULL")
    h.people(*range(3), stage="lead")
    h.sync()
    assert {address(n) for n in range(3, 20)} == h.tagged(), "whoever was added in the confusion is ours, and can be removed"
