"""A plan kept and carried out, one person sent alone, delays and who flaps: as a person types it, against the sandboxes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from house import MAIL_KEY, VIP, VIPS_TO_MAIL, House, address

from core.clock import to_us
from core.contract import Fault
from core.store import leases

PARTITION = "\n[partitions.life]\ngroups = { vip = 'lifecycle_stage == \"customer\"', lead = 'lifecycle_stage == \"lead\"' }\n"
LIFE_TO_MAIL = '[[syncs]]\nname = "life"\npartition = "life"\nto = "mail"\naudience = { tag = "Life: {group}" }\n'


@pytest.fixture
def settled(house: Callable[..., House]) -> House:
    """A house whose list is as it should be."""
    h = house("crm", "mail")
    h.people(*range(5))
    h.write_config(VIP, VIPS_TO_MAIL)
    h.sync()
    return h


def keep(h: House) -> Path:
    path = h.folder / "plan.json"
    path.write_text(h.run("plan", "--json", "--fresh", "1s", code=(0, 4)).out, encoding="utf-8")
    return path


def test_a_plan_is_kept_read_and_carried_out(settled: House) -> None:
    """The file has no address; what it says is sent, and what has come since is left and said."""
    h = settled
    h.people(5, 6)
    h.clock.advance(minutes=16)
    path = keep(h)
    plan = json.loads(path.read_text(encoding="utf-8"))
    h.people(7)
    h.clock.advance(minutes=16)
    h.run("pull", "crm")

    assert "@" not in path.read_text(encoding="utf-8")
    assert {"requests", "minutes", "resume_at", "remaining", "limit"} == set(plan["plans"][0]["quota"])
    said = h.run("sync", "--plan", str(path))
    assert "1 more has come to be sent since the plan was made" in said.out
    assert {address(n) for n in range(7)} == h.tagged()

    refused = h.run("sync", "--plan", str(path), "--json", code=1).json
    assert (False, "refused", "vips", "add", 2, 2) == (
        refused["ok"], refused["status"], *(refused["moved"][0][key] for key in ("label", "op", "members", "of")),
    )  # fmt: skip
    assert "2 of 2 adds of vips are there already" in h.run("sync", "--plan", str(path), code=1).out
    assert {address(n) for n in range(7)} == h.tagged()

    path.write_text(h.run("plan", "--json", "--as-of", h.clock().isoformat()).out, encoding="utf-8")
    assert "format: is not to be carried out: --as-of wrote it" in h.run("sync", "--plan", str(path), code=2).err


def test_what_another_process_is_at_waits_for_another_time(settled: House) -> None:
    """A script can tell that from a failure, as with `sync`; the words say who is at it."""
    h = settled
    path = keep(h)
    with leases.hold(h.database, "sync.vips", h.clock):
        commands = (("sync", "--plan", str(path)), ("drift", "--repair"))
        for command in commands:
            told = h.run(*command, code=3)
            assert "is at it" in told.out + told.err
        assert (True, "waiting") == tuple(h.run(*commands[0], "--json", code=3).json[key] for key in ("ok", "status"))
        h.write_config(VIP)
        assert "is at it" in h.run("retire", "vips", "--remove", "--yes", code=3).out


def test_what_a_used_up_quota_holds_up_waits_for_another_time(settled: House) -> None:
    """As what another process is at: nothing is sent, and a script can tell that from a failure."""
    h = settled
    h.people(5)
    h.clock.advance(minutes=16)
    path = keep(h)
    with closing(sqlite3.connect(h.database)) as conn, conn:
        conn.execute("UPDATE connections SET resume_at = ? WHERE name = 'mail'", (to_us(h.clock() + timedelta(hours=2)),))
    for command in (("sync", "--plan", str(path)), ("drift", "--repair")):
        told = h.run(*command, code=3)
        assert "quota is used up" in told.out + told.err
    assert {address(n) for n in range(5)} == h.tagged()
    h.write_config(VIP)
    assert "quota is used up" in h.run("retire", "vips", "--remove", "--yes", code=3).out


@pytest.mark.parametrize(
    "more", [("vips",), ("--limit", "1"), ("--only", "x"), ("--fresh", "5m"), ("--full",)], ids=lambda more: more[0]
)
def test_a_plan_goes_with_nothing_else(settled: House, more: tuple[str, ...]) -> None:
    """It says itself what is sent."""
    path = keep(settled)
    assert "--plan says itself" in settled.run("sync", "--plan", str(path), *more, code=2).err


@pytest.mark.parametrize("content", [b"", b'{"ok": true}', b"\xff"])
def test_a_bad_file_is_one_message_and_exit_2(settled: House, content: bytes) -> None:
    """And nothing is sent."""
    path = settled.folder / "bad.json"
    path.write_bytes(content)
    writes = settled.writes()
    said = settled.run("sync", "--plan", str(path), "--json", code=2)
    (error,) = said.json["errors"]
    assert (str(path), True) == (error["file"], "nothing was sent" in error["message"])
    assert writes == settled.writes()
    assert "nosuch.json" in settled.run("sync", "--plan", "nosuch.json", code=2).err


def test_one_person_is_sent_and_the_answer_shown_without_their_address(settled: House) -> None:
    """The rest waits; nothing of the body is in the store or in the log, and the plan does not count as carried out."""
    h = settled
    h.people(5, 6)
    h.people(0, stage="lead")
    h.clock.advance(minutes=16)
    planned = h.ask("SELECT planned_at FROM audiences")
    said = h.run("-vv", "sync", "vips", "--only", address(5))

    assert {address(n) for n in (*range(6),)} == h.tagged()
    assert "vips: add: done" in said.out
    assert "POST " in said.out
    assert "was answered 200:" in said.out
    assert "@" not in said.out
    assert MAIL_KEY not in said.out
    bodies = [line for line in said.out.splitlines() if line.startswith("{")]
    assert bodies
    assert not any(line[:40] in said.err for line in bodies)
    assert planned == h.ask("SELECT planned_at FROM audiences")
    assert [(1,)] == h.ask("SELECT limited FROM runs WHERE kind = 'sync' ORDER BY id DESC LIMIT 1")

    gone = h.run("sync", "vips", "--only", address(0), "--json").json["only"]
    assert [("remove", "done")] == [(one["op"], one["verdict"]) for one in gone["done"]]
    assert all("@" not in json.dumps(one) for one in gone["answers"])
    assert {address(n) for n in range(1, 6)} == h.tagged()


def test_why_nothing_is_sent_of_somebody(settled: House) -> None:
    """Skipped, held, there already, or nobody: nothing is written at the vendor, and it is said why."""
    h = settled
    h.people(8, mail=False)
    h.people(9, stage="lead")
    h.people(*range(5), stage="lead")
    h.clock.advance(minutes=16)
    writes = h.writes()

    assert "is not known to the destination" in h.run("sync", "vips", "--only", address(8), code=(0, 4)).out
    assert "not in the audience by our doing; nothing was sent" in h.run("sync", "vips", "--only", address(9)).out
    h.people(8, stage="lead", mail=False)
    h.clock.advance(minutes=16)
    held = h.run("sync", "vips", "--only", address(0), code=4)
    assert "is held: " in held.out
    assert "nobody is known by that" in h.run("sync", "vips", "--only", "x@example.com", code=1).err
    assert "one SYNC" in h.run("sync", "--only", address(0), code=2).err
    assert writes == h.writes()
    h.people(*range(5))
    h.clock.advance(minutes=16)
    assert "is there as they should be" in h.run("sync", "vips", "--only", address(1)).out

    h.clock.advance(minutes=16)
    h.served["crm"].faults = lambda *_: Fault(403, {"content-type": "application/json"}, b"{}")
    failed = h.run("sync", "vips", "--only", address(1), code=1)
    assert failed.err.startswith("error: pull of crm: "), "what it ended with 1 for"


def test_a_refusal_is_shown_too(settled: House) -> None:
    """The vendor's words, masked, escaped and cut."""
    h = settled
    h.people(5)
    h.clock.advance(minutes=16)
    body = {"title": "bad \x1b[31m member", "detail": f"{address(5)} is bad", "token": "abc"}
    fault = Fault(400, {"content-type": "application/json"}, json.dumps(body).encode())
    h.served["mail"].faults = lambda method, _path, _n: fault if method == "POST" else None
    said = h.run("sync", "vips", "--only", address(5), code=3)

    assert "was answered 400:" in said.out
    assert "[member] is bad" in said.out
    assert "abc" not in said.out
    assert "\x1b" not in said.out
    assert "vips: add: rejected" in said.out


def test_a_person_goes_from_one_group_to_another_alone(house: Callable[..., House]) -> None:
    """A move is one thing with --only too."""
    h = house("crm", "mail")
    h.people(*range(4))
    h.write_config(PARTITION, LIFE_TO_MAIL)
    h.sync()
    h.people(0, 1, stage="lead")
    h.clock.advance(minutes=16)
    told = h.run("sync", "life", "--only", address(0), "--json").json["only"]

    assert {("life.vip", "remove"), ("life.lead", "add")} == {(one["label"], one["op"]) for one in told["done"]}
    assert {} == told["why_not"]
    assert ({address(n) for n in (1, 2, 3)}, {address(0)}) == (h.tagged("Life: vip"), h.tagged("Life: lead"))

    h.write_config(PARTITION, LIFE_TO_MAIL + 'grace = "24h"\n')
    h.clock.advance(minutes=16)
    why_not = h.run("sync", "life", "--only", address(1), "--json").json["only"]["why_not"]
    assert why_not["life.vip"].startswith("is no longer wanted, and stays for the sync's `grace`, until")
    assert why_not["life.lead"].startswith("is wanted, and stays in another group for the sync's `grace`, until")


def test_the_harm_that_flapping_does_is_in_the_vendors_log_and_grace_prevents_it(house: Callable[..., House]) -> None:
    """Each time out and in is a removal and an add at the vendor: a journey begun anew."""
    h = house("crm", "mail")
    h.people(*range(4))
    h.write_config(VIP, VIPS_TO_MAIL)
    h.sync()
    log = h.boxes["mail"].change_log

    def flap() -> int:
        before = len(log)
        for stage in ("lead", "customer") * 2:
            h.people(0, stage=stage)
            h.sync()
        return len(log) - before

    assert 4 == flap()
    h.write_config(VIP, VIPS_TO_MAIL + 'grace = "24h"\n')
    assert 0 == flap()
    h.people(0, stage="lead")
    plan = h.sync().json["syncs"][0]["plans"][0]
    assert (1, 1) == (plan["skips"]["grace"], plan["delayed"]["grace"]["members"])
    (standing,) = h.run("status", "--json").json["syncs"]
    assert plan["delayed"] == standing["delayed"]["vips"]
    assert "1 in grace" in h.run("plan").out
    assert "1 stays for grace, until" in h.run("status").out
    h.clock.advance(hours=24)
    h.sync()
    assert {address(n) for n in (1, 2, 3)} == h.tagged()


def test_who_flaps_is_found_where_one_looks(house: Callable[..., House]) -> None:
    """By name in `segments --flapping`, by number in `plan` and `status`, with the grace that would have spared them that."""
    h = house("crm", "mail")
    h.people(*range(4))
    h.write_config(VIP, VIPS_TO_MAIL)
    h.sync()
    for stage in ("lead", "customer") * 3:
        h.people(0, stage=stage)
        h.sync()
    h.people(1, stage="lead")
    h.sync()

    told = h.run("segments", "vip", "--flapping", "--json").json
    (one,) = told["flapping"]
    assert [address(0)] == one["identifiers"]["email"]
    assert (3, True, "1h") == (one["times"], one["member"], told["grace"])
    said = h.run("segments", "vip", "--flapping")
    assert address(0) in said.out
    assert 'grace = "1h"' in said.out
    assert "1 person went out of it 3 times or more within 7 days" in h.run("plan").out
    assert "segments vip --flapping" in h.run("status").out
    assert [] == h.run("segments", "vip", "--flapping", "--times", "4", "--json").json["flapping"]
    assert "nobody" in h.run("segments", "vip", "--flapping", "--within", "20m", "--times", "2").out
    assert "--times and --within go with --flapping" in h.run("segments", "vip", "--times", "2", code=2).err
    h.clock.advance(days=8)
    assert [] == h.run("segments", "vip", "--flapping", "--json").json["flapping"]
    assert 7 * 86_400 == told["within_s"]
