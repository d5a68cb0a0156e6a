"""The config file is read whole, and what is wrong in it is told with file, line, key and the nearest valid name."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from globex_config import SOUND, Write

from core.config.load import database_of
from core.config.model import Cron, Every, Guard
from core.contract import Category
from core.errors import ConfigError

LINES = SOUND.count("\n")

WRONG = {
    "table": ("[segmnts.x]\nwhere = 'y'\n", 1, "segmnts", "unknown table or key", "did you mean segments?"),
    "key of the workspace": ("", 0, "", "", ""),
    "key of a connection": (
        "[connections.a]\nconnector = 'globex'\ntokn = 'globex-1'\n",
        3,
        "connections.a.tokn",
        "unknown key",
        "did you mean token?",
    ),
    "common key of a connection": (
        "[connections.a]\nconnector = 'globex'\ntoken = 'globex-1'\nschedul = '5m'\n",
        4,
        "connections.a.schedul",
        "unknown key",
        "did you mean schedule?",
    ),
    "key without a connector": (
        "[connections.a]\nconector = 'globex'\n",
        2,
        "connections.a.conector",
        "unknown key",
        "connector?",
    ),
    "no connector": ("[connections.a]\ntoken = 'x'\n", 1, "connections.a.connector", "is required", ""),
    "connector": (
        "[connections.a]\nconnector = 'globx'\n",
        2,
        "connections.a.connector",
        "no connector 'globx'",
        "mean globex?",
    ),
    "key deep in a connection": (
        "[connections.a]\nconnector = 'globex'\nstreams = []\ntoken = { env = 'X' }\ndeep = { sze = 1 }\n",
        5,
        "connections.a.deep.sze",
        "unknown key",
        "did you mean size?",
    ),
    "type deep in a connection": (
        "[connections.a]\nconnector = 'globex'\nstreams = []\ntoken = { env = 'X' }\n[connections.a.deep]\nsize = 'big'\n",
        6,
        "connections.a.deep.size",
        "must be a whole number",
        "",
    ),
    "choice": (
        "[connections.a]\nconnector = 'globex'\nstreams = []\ntoken = 'globex-1'\nregion = 'mars'\n",
        5,
        "connections.a.region",
        "must be 'eu' or 'us'",
        "",
    ),
    "secret": (
        "[connections.a]\nconnector = 'globex'\nstreams = []\ntoken = { enw = 'X' }\n",
        4,
        "connections.a.token",
        "is no secret",
        '{ env = "NAME" }',
    ),
    "secret deep": (
        "[connections.a]\nconnector = 'globex'\nstreams = []\ntoken = { env = 'X' }\nmore = { x = 5 }\n",
        5,
        "connections.a.more.x",
        "is no secret",
        "",
    ),
    "literal secret": (
        "[connections.a]\nconnector = 'globex'\nstreams = []\ntoken = 'nonsense'\n",
        4,
        "connections.a.token",
        "does not begin with globex-",
        "",
    ),
    "stream": (
        "[connections.a]\nconnector = 'globex'\ntoken = { env = 'X' }\nstreams = ['people', 'peple']\n",
        4,
        "connections.a.streams.1",
        "globex has no stream 'peple'",
        "did you mean people?",
    ),
    "streams as a table": (
        "[connections.a]\nconnector = 'globex'\nstart = 2026-01-01\ntoken = { env = 'X' }\nstreams = { people = true }\n",
        5,
        "connections.a.streams",
        "must be a list",
        "",
    ),
    "start": (
        "[connections.a]\nconnector = 'globex'\ntoken = { env = 'X' }\n",
        1,
        "connections.a.start",
        "is required, since clicks brings events",
        "start = 2026-01-01",
    ),
    "schedule": (
        "[connections.a]\nconnector = 'globex'\nstreams = []\ntoken = { env = 'X' }\nschedule = 'often'\n",
        5,
        "connections.a.schedule",
        "'often' is no schedule",
        "write a distance as '15m'",
    ),
    "cron": (
        "[connections.a]\nconnector = 'globex'\nstreams = []\ntoken = { env = 'X' }\nschedule = '0 25 * * *'\n",
        5,
        "connections.a.schedule",
        "25",
        "",
    ),
    "duration": (
        "[connections.a]\nconnector = 'globex'\nstreams = []\ntoken = { env = 'X' }\nstale_after = '1 fortnight'\n",
        5,
        "connections.a.stale_after",
        "'1 fortnight' is no duration",
        "",
    ),
    "flag": (
        "[connections.a]\nconnector = 'globex'\nstreams = []\ntoken = { env = 'X' }\nenabled = 'yes'\n",
        5,
        "connections.a.enabled",
        "must be true or false, without quotes",
        "",
    ),
    "name of a connection": (
        "[connections.A-b]\nconnector = 'globex'\n",
        1,
        "connections.A-b",
        "cannot be the name",
        "lower-case",
    ),
    "double underscore": (
        "[segments.a__b]\nwhere = 'x'\n",
        1,
        "segments.a__b",
        "cannot be the name of a segment",
        "single under",
    ),
    "word of the language": ("[connections.is]\nconnector = 'globex'\n", 1, "connections.is", "cannot be the name", "word of"),
    "reserved name": (
        "[connections.company]\nconnector = 'globex'\n",
        1,
        "connections.company",
        "cannot be the name",
        "company.*",
    ),
    "no expression": ("[segments.a]\ntitle = 'x'\n", 1, "segments.a.where", "is required", ""),
    "empty expression": ("[segments.a]\nwhere = ' '\n", 2, "segments.a.where", "is empty", ""),
    "wrong type of expression": ("[segments.a]\nwhere = 5\n", 2, "segments.a.where", "must be text", ""),
    "zone": ("[segments.a]\nwhere = 'x'\ntz = 'Europe/Stokholm'\n", 3, "segments.a.tz", "no time zone", "Europe/Stockholm?"),
    "no groups": ("[partitions.a]\ngroups = {}\n", 2, "partitions.a.groups", "has no group", ""),
    "else twice": ("[partitions.a]\ngroups = { x = 'y' }\nelse = 'x'\n", 3, "partitions.a.else", "'x' is a group already", ""),
    "segment of a sync": (
        "[[syncs]]\nsegment = 'hott'\nto = 'crm'\n",
        2,
        "syncs.1.segment",
        "no segment 'hott'",
        "did you mean hot?",
    ),
    "partition of a sync": (
        "[[syncs]]\npartition = 'stge'\nto = 'crm'\n",
        2,
        "syncs.1.partition",
        "no partition 'stge'",
        "stage?",
    ),
    "both": (
        "[[syncs]]\nsegment = 'hot'\npartition = 'stage'\nto = 'crm'\n",
        1,
        "syncs.1",
        "either a segment or a partition",
        "",
    ),
    "neither": ("[[syncs]]\nto = 'crm'\naudience = { tag = 'x' }\n", 1, "syncs.1", "either a segment or a partition", ""),
    "destination": (
        "[[syncs]]\nname = 'a'\nsegment = 'hot'\nto = 'crn'\n",
        4,
        "syncs.a.to",
        "no connection 'crn'",
        "did you mean crm?",
    ),
    "no destination": ("[[syncs]]\nsegment = 'hot'\n", 1, "syncs.1.to", "is required", ""),
    "kind left out": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\n",
        1,
        "syncs.1.audience",
        "several kinds",
        '{ tag = "Hot leads" }',
    ),
    "kind left out of a name": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = 'Hot'\n",
        4,
        "syncs.1.audience",
        "crm has several kinds of audience",
        "",
    ),
    "kind": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tg = 'Hot' }\n",
        4,
        "syncs.1.audience",
        "no audience kind 'tg'",
        "did you mean tag?",
    ),
    "kind from nowhere": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { field = 'Hot' }\n",
        4,
        "syncs.1.audience",
        "no audience kind 'field'",
        "there is list, tag",
    ),
    "two kinds": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'Hot', list = 'Hot' }\n",
        4,
        "syncs.1.audience",
        "must be one kind and its name",
        "",
    ),
    "audience name": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'A name of far too many letters' }\n",
        4,
        "syncs.1.audience",
        "longer than 20 characters",
        "",
    ),
    "key of another audience": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'x' }\ncampaign = 1\n",
        5,
        "syncs.1.campaign",
        "unknown key",
        "",
    ),
    "key of the audience": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { list = 'x' }\ncampain = 1\n",
        5,
        "syncs.1.campain",
        "unknown key",
        "did you mean campaign?",
    ),
    "create_missing": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'x' }\ncreate_missing = true\n",
        5,
        "syncs.1.create_missing",
        "globex cannot create people for a tag",
        "",
    ),
    "nobody can say who was there": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'x' }\nbaseline = 'adopt'\n",
        5,
        "syncs.1.baseline",
        "globex cannot tell who is in a tag, so nobody can be adopted",
        'as "ignore" has it',
    ),
    "no such baseline": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'x' }\nbaseline = 'keep'\n",
        5,
        "syncs.1.baseline",
        "must be 'ignore', 'adopt' or 'replace'",
        "",
    ),
    "no group in a partition's": (
        "[[syncs]]\npartition = 'stage'\nto = 'crm'\naudience = { tag = 'Stage' }\n",
        4,
        "syncs.1.audience",
        "must contain {group}",
        "",
    ),
    "group in a segment's": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = '{group}' }\n",
        4,
        "syncs.1.audience",
        "hot is a segment",
        "",
    ),
    "companies' own clock": (
        "[segments.firms]\nwhere = 'paying'\nof = 'company'\ntz = 'person'\n",
        4,
        "segments.firms.tz",
        "companies have no clock of their own",
        "",
    ),
    "companies to people": (
        "[segments.firms]\nwhere = 'paying'\nof = 'company'\n"
        "[[syncs]]\nsegment = 'firms'\nto = 'crm'\naudience = { tag = 'x' }\n",
        5,
        "syncs.1.segment",
        "firms is a segment of companies, and a tag at crm holds people",
        'segment("firms") is true of whose company is in it',
    ),
    "mode": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'x' }\nmode = 'replace'\n",
        5,
        "syncs.1.mode",
        "must be 'mirror' or 'add_only'",
        "",
    ),
    "guard switched off": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'x' }\nguard = { removals = '100%' }\n",
        5,
        "syncs.1.guard",
        "removals: must be a share from '1%' to '99%'",
        "",
    ),
    "guard key": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'x' }\nguard = { removal = '10%' }\n",
        5,
        "syncs.1.guard",
        "unknown key removal",
        "did you mean removals?",
    ),
    "grace where nobody is removed": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'x' }\nmode = 'add_only'\ngrace = '1d'\n",
        6,
        "syncs.1.grace",
        "removes nobody",
        "take grace out",
    ),
    "a stay for ever": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'x' }\nmin_stay = '400d'\n",
        5,
        "syncs.1.min_stay",
        "longer than a year",
        "add_only",
    ),
    "shared audience": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'X' }\n"
        "[[syncs]]\nname = 'b'\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'x' }\n",
        9,
        "syncs.b.audience",
        "'x' at crm is the audience of the sync hot_to_crm already",
        "",
    ),
    "audience shared with a group": (
        "[[syncs]]\npartition = 'stage'\nto = 'crm'\naudience = { tag = 'Is {group}' }\n"
        "[[syncs]]\nname = 'b'\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'IS NEW' }\n",
        9,
        "syncs.b.audience",
        "'IS NEW' at crm is the audience of the sync stage_to_crm already",
        "",
    ),
    "two of one name": (
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'X' }\n"
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'y' }\n",
        5,
        "syncs.2",
        "two syncs are called hot_to_crm",
        f"the other is at tagalong.toml:{LINES + 1}",
    ),
    "syncs as a table": ("[syncs]\nto = 'crm'\n", 1, "syncs", "must be an array of tables", "two brackets"),
}
FILE = (
    "[connections.logs]\nconnector = 'files'\n[connections.logs.streams.people]\npath = 'p.csv'\nkind = 'profile'\nkey = 'id'\n"
)
KIND = "connections.logs.streams.people.identifiers"
WRONG |= {
    "kind of a connection that is not there": (
        f"{FILE}identifiers = {{ \"cmr.customer_id\" = 'id' }}\n",
        7,
        f'{KIND}."cmr.customer_id"',
        "there is no connection 'cmr'",
        "did you mean crm?",
    ),
    "nearly the workspace's kind": (
        f"{FILE}[{KIND}]\nuser_id = 'id'\nemial = 'mail'\n",
        9,
        f"{KIND}.emial",
        "'emial' is nearly a kind of identifier that all connections share",
        "did you mean email? A kind of this connection's own can be written logs.emial",
    ),
    "nearly a company's kind": (
        f"{FILE}identifiers = {{ email = 'm', comapny_domain = 'd' }}\n",
        7,
        f"{KIND}.comapny_domain",
        "'comapny_domain' is nearly",
        "did you mean company_domain?",
    ),
}
del WRONG["key of the workspace"]  # the workspace stands in the sound part; its cases are below


@pytest.mark.parametrize("kind", ["customer_id", "account_id", "subscription_id", "crm.person_id", "logs.emial", "company_id"])
def test_a_kind_of_its_own_is_allowed(load: Write, kind: str) -> None:
    """Any name that nobody would take for another, a connection's that is there, and this one's own."""
    config = load(f"{FILE}identifiers = {{ email = 'mail', \"{kind}\" = 'id' }}\n")

    assert {"crm", "logs"} == set(config.connections)


@pytest.mark.parametrize(("more", "line", "key", "message", "remedy"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_where(load: Write, more: str, line: int, key: str, message: str, remedy: str) -> None:
    """Each wrong config gives a problem at its file, line and key that says what to write instead."""
    with pytest.raises(ConfigError) as caught:
        load(more)

    found = [p for p in caught.value.problems if (p.file, p.line, p.key) == ("tagalong.toml", LINES + line, key)]
    assert len(found) == 1, str(caught.value)
    assert message in found[0].message
    assert remedy in (found[0].remedy or "")
    assert f"tagalong.toml:{LINES + line}: {key}: " in str(caught.value)


WORKSPACE = {
    "key": ("databse = 'x'", "workspace.databse", "unknown key", "did you mean database?"),
    "zone": ("timezone = 'Stockholm'", "workspace.timezone", "no time zone", "Europe/Stockholm"),
    "currency": ("currency = 'EURO'", "workspace.currency", "'EURO' is no currency", "ISO 4217"),
    "exclude": ("exclude = 'staf'\n[segments.staff]\nwhere = 'x'", "workspace.exclude", "no segment 'staf'", "mean staff?"),
    "week": ("week_start = 'lördag'", "workspace.week_start", "must be 'monday'", ""),
    "billing": ("billing_of = 'household'", "workspace.billing_of", "must be 'company' or 'person'", ""),
    "priority": ("priority = ['crm', 'biling']", "workspace.priority.1", "no category and no connection", "mean billing?"),
    "rate": ("rates = { '2026-01-01' = { USD = -1 } }", "workspace.rates", "USD: what one USD is worth", ""),
    "date of a rate": ("rates = { yesterday = { USD = 1 } }", "workspace.rates", "'yesterday' is no date", ""),
    "consent": ("consent = { opt_inn = ['EU'] }", "workspace.consent", "unknown key opt_inn", "mean opt_in?"),
    "no country": ("consent = { opt_in = ['Sweden'] }", "workspace.consent", "opt_in: 'Sweden' is no country", "ISO codes"),
    "both ways": ("consent = { opt_in = ['EU'], opt_out = ['EU'] }", "workspace.consent", "both opt_in and opt_out", ""),
    "no opt-in": ("consent = { unknown = 'opt_in' }", "workspace.consent", "names no opt_in country", 'opt_in = ["EEA"]'),
    "unknown": ("consent = { opt_in = ['SE'], unknown = 'no' }", "workspace.consent", "'no' is neither", ""),
    "stale": ("stale_after = '0h'", "workspace.stale_after", "longer than nothing", ""),
}


@pytest.mark.parametrize(("text", "key", "message", "remedy"), WORKSPACE.values(), ids=WORKSPACE.keys())
def test_what_is_wrong_in_the_workspace(load: Write, text: str, key: str, message: str, remedy: str) -> None:
    """The same for the table that holds for everything."""
    with pytest.raises(ConfigError) as caught:
        load(only=f"[workspace]\n{text}\n")

    (found,) = caught.value.problems
    assert ("tagalong.toml", 2, key) == (found.file, found.line, found.key)
    assert message in found.message
    assert remedy in (found.remedy or "")


def test_all_problems_come_at_once_in_order(load: Write) -> None:
    """Nobody mends a config one message at a time."""
    with pytest.raises(ConfigError) as caught:
        load("[segments.B]\nwhere = ''\n[connections.x]\nconnector = 'none'\n[[syncs]]\nsegment = 'c'\nto = 'd'\n")

    assert [LINES + n for n in (1, 2, 4, 6, 7)] == [p.line for p in caught.value.problems]


def test_a_kind_that_the_connector_declares_itself(load: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told of the connection, for no key of the file says it."""
    import globex

    from core.contract import Kind, Stream

    wrong = Stream("people", Kind.PROFILE, pull=globex.people, key="id", identifiers={"emial": "email"})
    monkeypatch.setitem(globex.STREAMS, "people", wrong)
    with pytest.raises(ConfigError) as caught:
        load()

    assert ["connections.crm"] == [problem.key for problem in caught.value.problems]


def test_a_broken_connection_is_complained_of_once(load: Write) -> None:
    """What rests on a table with problems is not a problem of its own."""
    with pytest.raises(ConfigError) as caught:
        load("[connections.mail]\nconnector = 'globex'\nstreams = []\ntokn = 'x'\n[[syncs]]\nsegment = 'hot'\nto = 'mail'\n")

    assert {"connections.mail.tokn", "connections.mail.token"} == {p.key for p in caught.value.problems}


def test_text_that_is_not_toml_is_shown_with_a_caret(load: Write) -> None:
    """The line is printed and the column pointed at."""
    with pytest.raises(ConfigError) as caught:
        load(only="[workspace]\ndatabase = x.db\n")

    lines = str(caught.value).split("\n")
    assert lines[0].startswith("tagalong.toml:2: not TOML: ")
    assert ["    database = x.db", "               ^"] == lines[1:3]


def test_a_credential_on_a_broken_line_is_not_shown(load: Write) -> None:
    """A missing quote is the commonest slip when pasting a key."""
    with pytest.raises(ConfigError) as caught:
        load(only="[connections.a]\ntoken = 'globex-canary7f3a\n")

    assert "canary7f3a" not in str(caught.value)
    assert "    token = *****************" in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", None], ids=["not text", "not there"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    """The file is named, and what to do."""
    from core.config.load import load_config

    path = tmp_path / "tagalong.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="not UTF-8" if content else "there is no such file"):
        load_config(path, {})


def test_everything_that_can_be_said_is_read(load: Write, tmp_path: Path) -> None:
    """A full config becomes the plain values that the rest of the hub uses."""
    config = load(
        only="""\
[workspace]
database = "data/t.db"
timezone = "Europe/Stockholm"
currency = "sek"
exclude = "staff"
billing_of = "person"
week_start = "sunday"
priority = ["own", "billing"]
stale_after = "12h"
consent = { opt_in = ["EEA", "CH"], opt_out = ["SE"], unknown = "opt_out" }
[workspace.rates."2026-01-01"]
USD = 10.5
[connections.own]
connector = "globex"
schedule = "30m"
stale_after = "2h"
full_every = "1w"
enabled = false
start = 2025-01-01
token = { file = "secret" }
region = "us"
[segments.staff]
where = "x"
anonymous = true
tz = "Europe/Oslo"
[partitions.life]
title = "Life"
tz = "person"
groups = { "At risk" = "a", active = "b" }
else = "other"
[[syncs]]
segment = "staff"
to = "own"
audience = { list = "Staff" }
campaign = 7
mode = "add_only"
create_missing = true
require_consent = true
schedule = "0 6 * * 1-5"
enabled = false
guard = { removals = "20%", adds = 500 }
[[syncs]]
name = "lives"
partition = "life"
to = "own"
audience = { tag = "Is {group}" }
grace = "24h"
min_stay = "1w"
"""
    )

    space, own, sync = config.workspace, config.connections["own"], config.syncs["staff_to_own"]
    assert (tmp_path / "data/t.db", ZoneInfo("Europe/Stockholm"), "SEK") == (space.database, space.timezone, space.currency)
    assert ("own", Category.BILLING, Category.CRM) == space.priority[:3]
    assert {date(2026, 1, 1): {"USD": Decimal("10.5")}} == space.rates
    assert ("staff", "person", timedelta(hours=12)) == (space.exclude, space.billing_of, space.stale_after)
    assert (Every(timedelta(minutes=30)), None, False) == (own.schedule, own.streams, own.enabled)
    assert (timedelta(hours=2), timedelta(days=7)) == (own.stale_after, own.full_every)
    assert {"start": date(2025, 1, 1), "token": {"file": "secret"}, "region": "us"} == own.settings
    assert ("Staff", True, ZoneInfo("Europe/Oslo")) == (
        config.segments["staff"].title,
        config.segments["staff"].anonymous,
        config.segments["staff"].timezone,
    )
    assert [False, True, True, False] == [space.consent.needs_yes(country) for country in ("SE", "NO", "CH", None)]
    assert ("sunday", "person") == (space.week_start, config.partitions["life"].timezone)
    assert (["At risk", "active"], "other") == (list(config.partitions["life"].groups), config.partitions["life"].otherwise)
    assert ("list", "Staff", {"campaign": 7}, "add_only") == (sync.audience_kind, sync.audience_name, sync.params, sync.mode)
    assert (True, True, Cron("0 6 * * 1-5"), False) == (sync.create_missing, sync.require_consent, sync.schedule, sync.enabled)
    assert Guard(removals_share=0.2, adds_count=500) == sync.guard
    assert (timedelta(days=1), timedelta(days=7)) == (config.syncs["lives"].grace, config.syncs["lives"].min_stay)
    assert (None, None) == (sync.grace, sync.min_stay)
    assert "tagalong.toml" == Path(sync.place.file).name


def test_the_audience_is_named_after_the_title_where_the_vendor_has_one_kind(
    load: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing audience is the title, a bare one its name; a partition's gets the group behind the title."""
    import globex

    monkeypatch.setattr(globex, "AUDIENCES", {"tag": globex.Tag})
    config = load(
        "[[syncs]]\nsegment = 'hot'\nto = 'crm'\n[[syncs]]\npartition = 'stage'\nto = 'crm'\n"
        "[[syncs]]\nname = 'other'\nsegment = 'hot'\nto = 'crm'\naudience = 'Other'\n"
    )

    assert {"hot_to_crm": "Hot leads", "stage_to_crm": "Stage: {group}", "other": "Other"} == {
        name: sync.audience_name for name, sync in config.syncs.items()
    }
    assert {"tag"} == {sync.audience_kind for sync in config.syncs.values()}


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("whole", True, "is ours as a whole: nobody is in it before us"),
        ("members", lambda self, api, id_: iter(()), "replace removes people, and add_only never does"),
    ],
)
def test_a_baseline_that_cannot_be_kept(
    load: Write, monkeypatch: pytest.MonkeyPatch, attribute: str, value: object, said: str
) -> None:
    """What is written whole has nobody in it before us, and what removes nobody replaces nobody."""
    import globex

    sync = "[[syncs]]\nsegment = 'hot'\nto = 'crm'\naudience = { tag = 'x' }\nbaseline = 'replace'\n"
    monkeypatch.setattr(globex.Tag, attribute, value)
    with pytest.raises(ConfigError, match=said):
        load(sync + "mode = 'add_only'\n")
    if attribute == "members":
        assert "replace" == load(sync).syncs["hot_to_crm"].baseline


def test_a_connector_that_takes_nothing(load: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor without audiences is no destination."""
    import globex

    monkeypatch.setattr(globex, "AUDIENCES", {})
    with pytest.raises(ConfigError, match=r"syncs\.1\.to: crm \(globex\) can only be pulled from"):
        load("[[syncs]]\nsegment = 'hot'\nto = 'crm'\n")


def test_included_files_keep_their_own_lines(load: Write, tmp_path: Path) -> None:
    """A problem in an included file names that file."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more/a.toml").write_text(
        "[segments.one]\nwhere = 'x'\n[[syncs]]\nname='a'\nsegment='one'\nto='crm'\naudience={tag='A'}\n"
    )
    (tmp_path / "more/b.toml").write_text(
        "# b\n[[syncs]]\nname = 'b'\nsegment = 'onne'\nto = 'crm'\naudience = { tag = 'B' }\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(only="include = ['more/*.toml']\n" + SOUND)

    (problem,) = caught.value.problems
    assert ("more/b.toml", 4, "syncs.b.segment", "did you mean one?") == (
        problem.file,
        problem.line,
        problem.key,
        problem.remedy,
    )


INCLUDES = {
    "matches nothing": ("x/*.toml", "", "'x/*.toml' matches no file"),
    "defines again": ("a.toml", "[segments.hot]\nwhere = 'y'\n", "is defined twice, also at tagalong.toml:"),
    "has a workspace": ("a.toml", "[workspace]\n", "belongs in the main file"),
    "includes": ("a.toml", "include = ['b.toml']\n", "belongs in the main file"),
    "is not TOML": ("a.toml", "= 1\n", "a.toml:1: not TOML"),
}


@pytest.mark.parametrize(("pattern", "text", "message"), INCLUDES.values(), ids=INCLUDES.keys())
def test_what_an_included_file_may_not_do(load: Write, tmp_path: Path, pattern: str, text: str, message: str) -> None:
    """A mistyped path or a second definition is never passed over in silence."""
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(only=f"include = ['{pattern}']\n{SOUND}")

    assert message in str(caught.value)


def test_the_environment_overrides_named_tables(load: Write) -> None:
    """Text from the environment takes the place of what the file says, and may stand for true, false or a list."""
    config = load(
        environ={
            "TAGALONG_CONNECTIONS__CRM__TOKEN": "globex-777",
            "TAGALONG_CONNECTIONS__CRM__ENABLED": "false",
            "TAGALONG_CONNECTIONS__CRM__DEEP__SIZE": "3",
            "TAGALONG_CONNECTIONS__CRM__STREAMS": '["people", "clicks"]',
            "TAGALONG_CONNECTIONS__CRM__START": "2026-01-01",
            "TAGALONG_WORKSPACE__CURRENCY": "SEK",
            "TAGALONG_CONFIG": "elsewhere.toml",
        }
    )

    crm = config.connections["crm"]
    assert ("globex-777", {"size": "3"}, ("people", "clicks")) == (crm.settings["token"], crm.settings["deep"], crm.streams)
    assert (False, "SEK") == (crm.enabled, config.workspace.currency)


def test_a_token_of_digits_stays_text(load: Write) -> None:
    """What looks like a number in the environment is not made one."""
    config = load(environ={"TAGALONG_CONNECTIONS__CRM__MORE__X": "0123"})

    assert "0123" == config.connections["crm"].settings["more"]["x"]


def test_a_wrong_setting_from_the_environment_names_the_variable(load: Write) -> None:
    """There is no line to name, so the variable is."""
    with pytest.raises(ConfigError) as caught:
        load(environ={"TAGALONG_CONNECTIONS__CRM__SCHEDULE": "never"})

    (problem,) = caught.value.problems
    assert "environment variable TAGALONG_CONNECTIONS__CRM__SCHEDULE" == problem.file
    assert "connections.crm.schedule" == problem.key


def test_a_variable_of_no_table_is_refused(load: Write) -> None:
    """A mistyped variable would otherwise be ignored, and the file's token used."""
    with pytest.raises(ConfigError, match="did you mean connections"):
        load(environ={"TAGALONG_CONNECTION__CRM__TOKEN": "x"})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[workspace]\ndatabase = "mine.db"\n[segments.x\n', "mine.db"),
        ('[workspace] # here\ntimezone = Europe\ndatabase = "mine.db"\n', "mine.db"),
        ('include = ["gone*.toml", "broken.toml"]\n[workspace]\ndatabase = "mine.db"\n', "mine.db"),
        ('[workspace]\ncurrency = "EUR"\n[connections.a]\ndatabase = "x"\nb = [\n', "tagalong.db"),
        ("[connections.a\n", "tagalong.db"),
        ('[workspace]\ndatabase = "mine.db\n', None),
        ('[workspace\ndatabase = "mine.db"\n', None),
    ],
    ids=["syntax", "beside", "include", "default", "nothing", "itself", "misspelt"],
)
def test_a_broken_config_still_says_where_the_database_is(tmp_path: Path, text: str, name: str | None) -> None:
    """Whoever asks after the daemon, or wants a copy, needs nothing else of it."""
    (tmp_path / "broken.toml").write_text("[segments.y\n")
    path = tmp_path / "tagalong.toml"
    path.write_text(text)
    assert tmp_path / "other.db" == database_of(path, {"TAGALONG_WORKSPACE__DATABASE": "other.db"})
    if name is None:
        with pytest.raises(ConfigError, match="not TOML"):
            database_of(path, {})
    else:
        assert tmp_path / name == database_of(path, {})
