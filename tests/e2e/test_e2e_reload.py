"""A running daemon takes over an edited config, between its jobs; one that is wrong is told, and the old one goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import datetime
from typing import Any

from house import VIP, VIPS_TO_MAIL, House
from test_e2e_daemon import SOURCE, addresses, running, runs

from core.service.daemon_state import running_config
from core.store import Store

OFTEN = 'schedule = "1s"\n'
EVERYBODY = """
[segments.everybody]
title = "Everybody"
where = 'lifecycle_stage != "other"'
"""
EVERYBODY_TO_MAIL = '\n[[syncs]]\nname = "all"\nsegment = "everybody"\nto = "mail"\naudience = { tag = "Everybody" }\n' + OFTEN
LEADS = VIP.replace('"customer"', '"lead"')
WRONG = VIP.replace("lifecycle_stage ==", "lifecycle_stag ==")


def write(h: House, *parts: str, without: str = "") -> None:
    """Write a config whose schedules are short; *without* one of its connections."""
    if without:
        h.served = {name: served for name, served in h.served.items() if name != without}
    h.write_config(SOURCE, *parts, schedule="1s")


def test_an_edit_takes_effect_without_a_restart_and_a_broken_one_does_not(house: Callable[..., House]):
    h = house("crm", "mail")
    h.boxes["mail"].load("members", [h.member(n) for n in range(20)])
    lines = [f"{n},person{n}@example.com,{'customer' if n < 5 else 'lead'}" for n in range(12)]
    h.write("accounts.csv", "\n".join(["id,email,stage", *lines]) + "\n")
    write(h, VIP, VIPS_TO_MAIL + OFTEN)
    with running(h) as daemon:
        daemon.wait(lambda: daemon.events("daemon_started"), "it started")
        daemon.wait(lambda: addresses(*range(5)) == h.tagged(), "the customers are there")
        assert config_of(h)["current"]

        write(h, LEADS, VIPS_TO_MAIL + OFTEN)
        daemon.wait(lambda: addresses(*range(5, 12)) == h.tagged(), "the leads are there instead")

        write(h, WRONG, VIPS_TO_MAIL + OFTEN)
        daemon.wait(lambda: daemon.events("config_refused"), "the edit is refused")
        before = runs(h, "sync", "vips")
        daemon.wait(lambda: runs(h, "sync", "vips") > before, "the old one goes on")
        assert addresses(*range(5, 12)) == h.tagged()
        (refused,) = daemon.events("config_refused")
        line = next(n for n, text in enumerate(h.path.read_text().splitlines(), 1) if "lifecycle_stag " in text)
        assert (str(h.path), line, "segments.vip.where") == (refused["file"], refused["line"], refused["key"])
        said = h.run("status", code=2).err
        assert "The daemon is running. It runs by the config of" in said
        assert f"that in the files was refused at {refused_at(h):%Y-%m-%d %H:%M}" in said
        assert f"{h.path}:{line}: segments.vip.where" in said

        daemon.process.send_signal(signal.SIGHUP)  # somebody asks, and is told once more
        daemon.wait(lambda: len(daemon.events("config_refused")) == 2, "it is refused again")

        write(h, EVERYBODY, VIP, VIPS_TO_MAIL + OFTEN, EVERYBODY_TO_MAIL, without="crm")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait(lambda: addresses(*range(20)) == h.tagged("Everybody"), "a sync that was added runs by its schedule")
        daemon.wait(lambda: addresses(*range(5)) == h.tagged(), "and the mended segment is as it says")
        news = daemon.events("config_reloaded")[-1]
        assert (["all"], ["crm"]) == (news["added"], news["removed"])
        shown = config_of(h)
        assert (True, None) == (shown["current"], shown["refused_at"])
        daemon.wait(lambda: not h.ask("SELECT 1 FROM runs WHERE name = 'crm' AND finished_at IS NULL"), "its last pull ended")
        pulls, others = runs(h, "pull", "crm"), runs(h, "pull", "exports")
        daemon.wait(lambda: runs(h, "pull", "exports") > others + 1, "the others go on")
        assert 0 < pulls == runs(h, "pull", "crm"), "what was taken out is no longer pulled"
        daemon.stop()
    assert [(0,)] == h.ask("SELECT count(*) FROM leases")


def refused_at(h: House) -> datetime:
    """Return when the daemon refused the files."""
    with Store(h.database, read_only=True) as store:
        found = running_config(store.conn)
    assert found is not None
    assert found.refused_at is not None
    return found.refused_at


def config_of(h: House) -> dict[str, Any]:
    """Return what `status` says of the daemon's config."""
    found: dict[str, Any] = h.run("status", "--json").json["daemon_config"]
    return found
