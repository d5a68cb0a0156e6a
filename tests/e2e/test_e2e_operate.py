"""What a person does to a running house: approve, pause, resume, retire, rebind; and two processes that do the same at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from house import CRM_TOKEN, VIP, VIPS_TO_MAIL, House, address

from core.contract import Fault
from core.registry import load_connector
from core.sandbox import Reset, Spoiler, serve

ROOT = Path(__file__).parents[2]
LEADS = "\n[segments.leads]\nwhere = 'lifecycle_stage == \"lead\"'\n"
LEADS_TO_MAIL = '[[syncs]]\nname = "leads"\nsegment = "leads"\nto = "mail"\naudience = { tag = "Leads" }\n'


def addresses(*numbers: int) -> set[str]:
    return {address(number) for number in numbers}


def settled(house: Callable[..., House], people: int = 60) -> House:
    """Return a house whose list is as it should be."""
    h = house("crm", "mail")
    h.people(*range(people))
    h.people(90, 91, stage="lead")
    h.write_config(VIP, LEADS, VIPS_TO_MAIL, LEADS_TO_MAIL)
    h.sync()
    assert addresses(*range(people)) == h.tagged()
    return h


def test_removals_held_are_four_until_they_are_approved(house: Callable[..., House]):
    h = settled(house)
    h.people(*range(40), stage="other")
    h.people(70)

    report = h.sync(code=4).json
    (plan,) = report["syncs"][0]["plans"]
    assert (1, 0, 40) == (plan["adds"], plan["removes"], plan["held_removes"])
    assert addresses(*range(60), 70) == h.tagged(), "adds go, removals wait"
    assert "done" == report["syncs"][1]["status"], "the other sync is not held"
    h.run("status", code=0)
    h.run("status", "--check", code=4)
    assert "approve vips" in h.run("plan", code=4).out

    h.people(41, stage="other")  # somebody whom nobody approved
    told = h.run("approve", "vips", "--json", code=(0, 4)).json
    assert 40 == told["removes"]
    assert addresses(*range(40, 60), 70) == h.tagged()
    h.sync()
    assert addresses(40, *range(42, 60), 70) == h.tagged()
    h.run("approve", "vips", code=2)
    h.run("status", "--check")


def test_a_source_that_lost_half_is_held_until_it_is_approved(house: Callable[..., House]):
    h = settled(house)
    h.boxes["crm"].delete("people", [str(1000 + n) for n in range(40)])

    assert 4 == h.run("pull", "crm", code=4).code
    writes = h.writes()
    assert {"held"} == {sync["status"] for sync in h.sync(code=4).json["syncs"]}
    assert writes == h.writes()
    assert addresses(*range(60)) == h.tagged()

    assert 40 == h.run("approve", "crm.contacts", "--json").json["deleted"]
    h.sync(code=4)  # the source is believed now, and what that removes is still a guard's affair
    h.run("approve", "vips")
    assert addresses(*range(40, 60)) == h.tagged()


def test_a_failed_source_holds_and_can_be_let_be(house: Callable[..., House]):
    h = settled(house)
    h.people(70)
    h.clock.advance(minutes=6)  # a search of the CRM ends five minutes before now
    h.run("pull", "crm")
    forbidden = Fault(403, {"content-type": "application/json"}, b"{}")
    h.served["crm"].faults = lambda _m, path, _n: None if "account" in path else forbidden

    assert 1 == h.sync(code=1).code, "failed comes before held"
    assert addresses(*range(60)) == h.tagged()
    h.run("approve", "crm.contacts")
    h.run("sync", "--no-pull")
    assert addresses(*range(60), 70) == h.tagged()


@pytest.mark.parametrize("down", [Reset(), Fault(401, {}, b"")])
def test_a_source_that_is_wholly_away_holds_like_one_that_breaks_off(house: Callable[..., House], down: Spoiler):
    h = settled(house)
    h.served["crm"].faults = lambda *_: down

    report = h.sync(code=1).json

    assert ["failed", "done"] == [pull["status"] for pull in report["pulls"]]
    assert ["held", "held"] == [sync["status"] for sync in report["syncs"]]
    h.served["crm"].faults = None
    assert "done" == h.sync().json["status"]


def test_what_is_paused_stands_still_until_it_is_resumed(house: Callable[..., House]):
    h = settled(house)
    h.people(70)

    for target, spoken in (("vips", "sync vips"), ("mail", "connection mail"), ("--all", "everything")):
        writes = h.writes()
        assert spoken in h.run("pause", target).out
        ran = h.sync(code=0)
        assert writes == h.writes()
        assert "paused" in ran.out
        standing = h.run("status", "--json").json
        assert [True] == [sync["paused"] for sync in standing["syncs"] if sync["name"] == "vips"]
        assert spoken in h.run("resume", target).out
    assert "was not paused" in h.run("resume", "vips").out

    h.sync()
    assert addresses(*range(60), 70) == h.tagged()


def test_a_paused_source_is_not_asked(house: Callable[..., House]):
    h = settled(house)
    h.run("pause", "crm")
    before = h.requests("crm")

    h.sync(code=(0, 4))
    h.run("pull", "crm", code=0)

    assert before == h.requests("crm")


def test_a_retired_sync_leaves_its_members_and_says_so(house: Callable[..., House]):
    h = settled(house)
    assert "Nothing is retired" in h.run("retire").out
    h.write_config(VIP, LEADS, LEADS_TO_MAIL)
    writes = h.writes()

    h.sync()

    (retired,) = h.run("retire", "--json").json["retired"]
    assert ("vips", "Vips", 60) == (retired["sync"], retired["name"], retired["ours"])
    assert "retired: 60 of ours" in h.run("status").out
    assert writes == h.writes()
    assert addresses(*range(60)) == h.tagged()

    h.write_config(VIP, LEADS, VIPS_TO_MAIL.replace('"vips"', '"renamed"'), LEADS_TO_MAIL)
    h.sync()
    assert writes == h.writes(), "whoever fills the audience anew takes over whom we put there"
    assert [] == h.run("retire", "--json").json["retired"]


def test_another_account_is_refused_until_the_connection_is_rebound(house: Callable[..., House]):
    h = settled(house)
    other = load_connector("hubspot").sandbox(now=h.clock, rate_factor=1e6, token=CRM_TOKEN, portal_id=99)
    with serve({"crm": other}) as served:
        h.boxes["crm"], h.served = other, {**h.served, "crm": served["crm"]}
        h.people(*range(60), 70, mail=False)
        h.write_config(VIP, LEADS, VIPS_TO_MAIL, LEADS_TO_MAIL)
        writes = h.writes()

        assert "rebind crm" in h.run("check", code=1).out
        ran = h.sync(code=1)
        assert "rebind" in ran.out
        assert writes == h.writes()
        assert addresses(*range(60)) == h.tagged()

        h.run("rebind", "crm", code=1)  # nobody is there to say yes
        h.run("rebind", "crm", "--yes")
        h.sync(code=(0, 4))
        assert addresses(*range(60)) <= h.tagged()
        assert "done" == h.run("pull", "crm", "--json").json["pulls"][0]["status"]


def test_two_syncs_at_once_send_once(house: Callable[..., House]):
    h = house("crm", "mail")
    h.people(*range(60))
    h.write_config(VIP, VIPS_TO_MAIL)
    h.run("pull")
    told = threading.Event()
    h.served["mail"].faults = lambda method, _path, _n: None if method == "GET" or told.wait(120) else Reset()
    environ = {**os.environ, **h.environ}
    command = [sys.executable, "-m", "core.cli", "--config", str(h.path), "sync", "--no-pull", "--json"]

    both = [subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)]
    while not h.ask("SELECT 1 FROM leases WHERE name = 'sync.vips'"):
        assert both[0].poll() is None, both[0].communicate()
        time.sleep(0.02)
    both.append(subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    second, second_err = both[1].communicate(timeout=120)
    told.set()
    first, first_err = both[0].communicate(timeout=120)

    assert 0 == both[0].returncode, first_err
    ((plan,),) = [sync["plans"] for sync in json.loads(first)["syncs"]]
    assert {"add.done": 60} == plan["verdicts"]
    assert "sync.vips: process" in second + second_err
    assert str(both[0].pid) in second + second_err
    assert "add.done" not in second
    assert 60 == len(h.boxes["mail"].change_log)
    assert addresses(*range(60)) == h.tagged()
