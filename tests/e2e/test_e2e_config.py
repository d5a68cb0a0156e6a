"""A config that is wrong: one clear message with file, line, key and the nearest name, exit 2, and nothing done at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from house import VIP, VIPS_TO_MAIL, Clock, House, sandboxes

from core.sandbox import Served, serve


@pytest.fixture(scope="module")
def doors() -> Iterator[Mapping[str, Served]]:
    """The vendors, at whose doors nobody may knock in this module."""
    with serve(sandboxes(Clock(), ("crm", "mail"))) as served:
        yield served


@pytest.fixture
def h(tmp_path: Path, doors: Mapping[str, Served]) -> House:
    """A house with a config that is right."""
    made = House(tmp_path / "house", served=doors)
    made.folder.mkdir()
    made.write_config(VIP, VIPS_TO_MAIL)
    return made


WRONG = {
    "a key of a connection": ('schedule = "15m"', 'shedule = "15m"', "connections.crm", "schedule"),
    "a connector": ('connector = "hubspot"', 'connector = "hubspott"', "connections.crm.connector", "hubspot"),
    "a stream": ('streams = ["contacts"]', 'streams = ["contact"]', "connections.crm.streams", "contacts"),
    "a type": ('schedule = "15m"', "schedule = 15", "connections.crm.schedule", ""),
    "a duration": ('schedule = "15m"', 'schedule = "15 minuts"', "connections.crm.schedule", ""),
    "a zone": ('timezone = "UTC"', 'timezone = "Europe/Stokholm"', "workspace.timezone", "Europe/Stockholm"),
    "a table": ("[workspace]", "[workspaces]", "workspaces", "workspace"),
    "a segment of a sync": ('segment = "vip"', 'segment = "vipp"', "vips", "vip"),
    "a destination": ('to = "mail"', 'to = "mial"', "vips", "mail"),
    "an audience kind": ("{ tag = ", "{ tagg = ", "vips", "tag"),
    "a key of a sync": ('to = "mail"', 'to = "mail"\nmodus = "mirror"', "vips", "mode"),
    "a mode": ('to = "mail"', 'to = "mail"\nmode = "miror"', "vips", "mirror"),
    "TOML itself": ('title = "Vips"', 'title = "Vips', "", ""),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_config_says_where_and_what_was_meant(h: House, wrong: str):
    right, mistake, key, nearest = WRONG[wrong]
    text = h.path.read_text()
    assert right in text
    h.path.write_text(text.replace(right, mistake, 1))
    line = text[: text.index(right)].count("\n") + mistake.count("\n") + 1

    for verb in ("check", "pull", "plan", "sync", "run", "status"):
        ran = h.run(verb, code=2)
        assert not ran.out
        assert f"tagalong.toml:{line}" in ran.err
        assert key in ran.err
        assert nearest in ran.err
    told = h.run("sync", "--json", code=2).json

    assert not told["ok"]
    assert [(str(h.path), line)] == [(problem["file"], problem["line"]) for problem in told["errors"]]
    assert 0 == h.requests()
    assert ["tagalong.toml"] == [path.name for path in h.folder.iterdir()]


EXPRESSIONS = {
    "a field": ('lifecycle_stge == "customer"', "lifecycle_stge", "lifecycle_stage"),
    "a function": ('didd("Signed Up")', "didd", "did"),
    "syntax": ('lifecycle_stage == == "customer"', '== "customer"', ""),
    "a type": ("lifecycle_stage >= 3", "lifecycle_stage", ""),
    "a segment": ('not segment("vps")', "segment(", "vip"),
    "a duration": ('within_last(created_at, "3 weks")', '"3 weks"', ""),
    "Python": ("__import__('os').system('true')", "__import__", ""),
    "a word that nothing feeds": ("paying", "paying", ""),
}


@pytest.mark.parametrize("wrong", EXPRESSIONS)
def test_a_wrong_expression_has_the_caret_under_its_column(h: House, wrong: str):
    expression, at, nearest = EXPRESSIONS[wrong]
    where = f'country == "SE"\n    and {expression}'
    segment = f"[segments.other]\nwhere = '''\n    {where}\n'''\n"
    h.write_config(VIP, segment, VIPS_TO_MAIL)

    for verb in ("check", "pull", "plan", "sync", "run", "approve vips"):
        ran = h.run(*verb.split(), code=2)
        lines = ran.err.splitlines()
        caret = next(number for number, line in enumerate(lines) if line.strip() == "^")
        assert expression in lines[caret - 1]
        assert lines[caret - 1].index(at) == lines[caret].index("^"), ran.err
        assert "segments.other" in ran.err
        assert "tagalong.toml:" in ran.err
        assert nearest in ran.err
    assert 0 == h.requests()
    assert ["tagalong.toml"] == [path.name for path in h.folder.iterdir()]


def test_every_problem_is_told_at_once(h: House):
    text = h.path.read_text().replace('to = "mail"', 'to = "mial"').replace('schedule = "15m"', 'schedul = "15m"', 1)
    h.path.write_text(text)

    told = h.run("check", "--json", code=2).json["errors"]

    assert 2 == len(told)
    assert {problem["key"].partition(".")[0].partition("[")[0] for problem in told} == {"connections", "syncs"}


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (("sinc",), "sync"),
        (("sync", "vipps"), "vips"),
        (("pull", "crmm"), "crm"),
        (("sync", "--limt", "5"), "--limit"),
        (("sync", "--limit", "0"), ""),
        (("pause", "mial"), "mail"),
        (("segments", "vpi"), "vip"),
        (("plan", "--no-pull", "--fresh", "5m"), ""),
        (("plan", "--as-of", "yesterday"), ""),
        (("approve", "vipps"), ""),
        (("approve", "crm.contcts"), ""),
    ],
)
def test_bad_usage_is_exit_2_and_does_nothing(h: House, arguments: tuple[str, ...], nearest: str):
    ran = h.run(*arguments, code=2)

    assert not ran.out
    assert nearest in ran.err
    assert 0 == h.requests()


def test_a_config_that_is_not_there(h: House):
    h.path.unlink()

    assert "tagalong init" in h.run("sync", code=2).err
    assert [] == list(h.folder.iterdir())
