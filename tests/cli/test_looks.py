"""What a person sees: each thing once, where it is looked for, and what to type next."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from workspace import ACCOUNTS, CONFIG, USAGE, Type, lose_a_field

from core.cli.group_sizes import gathered
from core.cli.held import Waiting, show_held
from core.cli.output import age
from core.cli.tables import show_plans, show_pulls, show_report

PLAN = {
    "sync": "vips", "label": "vips", "set": "segment.vip", "to": "mail",
    "mode": "mirror", "wanted": 9, "ours": 2, "theirs": 0, "adds": 3, "creates": 1, "updates": 0, "removes": 1, "moves": 0,
    "adopts": 0, "skips": {"not_found": 1200, "consent": 2}, "consent": {"said_no": 2},
    "held": [], "held_adds": 0, "held_removes": 0, "limited": False, "requests": 2,
    "seconds": 190.0, "notes": [], "audience": {"kind": "tag", "name": "Vips", "exists": False},
}  # fmt: skip
STREAM = {
    "name": "contacts", "complete": True, "records": 7, "changed": 2, "pages": 1, "deleted": 0, "held": 0, "bad": 0,
    "known_bad": 0, "took_s": 0.1, "notes": [], "error": None,
}  # fmt: skip


def sync_of(**more: object) -> dict[str, object]:
    run = {"name": "vips", "status": "done", "run": 1, "requests": 4, "resume_at": None, "error": None, "plans": []}
    return {"as_of": None, "status": "done", "pulls": [], "syncs": [{**run, **more}], "sets": {}, "failed_sets": {}}


def test_a_plan_is_one_line_with_its_skips(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns in which nothing stands are left out."""
    show_plans([PLAN])

    assert [
        "sync  audience               wanted  ours  add  remove  requests  time  skipped",
        "vips  mail tag 'Vips' (new)       9     2    4       1         2  3m    2 no consent, 1,200 not found",
    ] == capsys.readouterr().out.splitlines()


def test_a_sync_is_one_line_of_what_became_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """What was confirmed, and what else became of members, each in a word."""
    verdicts = {"add.done": 3, "add.sent": 1, "remove.done": 1, "remove.noop": 2, "add.not_found": 5, "add.rejected": 1}
    show_report(sync_of(plans=[{**PLAN, "verdicts": verdicts}]))

    said = capsys.readouterr().out.splitlines()
    assert 2 == len(said)
    assert ["vips", "Vips", "done", "9", "4", "1", "4"] == said[1].split()[:7]
    assert said[1].endswith("2 gone already, 5 not found, 1 rejected")


def test_a_sync_that_failed_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where it has no plan."""
    show_report(sync_of(status="failed", error="mail: the key was refused"))

    assert ["vips", "failed", "0", "0", "4", "mail:", "the", "key", "was", "refused"] == capsys.readouterr().out.split()[-10:]


def test_streams_that_brought_nothing_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What failed or brought something has a row."""
    quiet = {**STREAM, "name": "deals", "changed": 0}
    broken = {**STREAM, "name": "lists", "complete": False, "error": "crm: 500"}
    pull = {"connection": "crm", "status": "failed", "run": 1, "requests": 3, "resume_at": None, "error": "crm: 500"}
    show_pulls([{**pull, "streams": [STREAM, quiet, broken]}])

    said = capsys.readouterr().out.splitlines()
    assert [["crm", "contacts", "done", "7", "2"], ["crm", "lists", "failed", "7", "2", "crm:", "500"]] == [
        line.split() for line in said[1:3]
    ]
    assert ["nothing new: crm.deals"] == said[3:]


def test_a_reason_is_told_once_with_all_that_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """Groups of one sync are one word; the command stands below; what is held for more has its own lines."""
    lost = ("crm.contacts lost half", ("crm.contacts",))
    labels = ("vips", "nps.a", "nps.b", "late")
    waiting = [*(Waiting(label, *lost) for label in labels), Waiting("late", "the last pull of b.c failed", ("b.c",))]
    now = datetime(2026, 1, 20, 12, tzinfo=UTC)
    show_held([*waiting, Waiting("x", "nobody told it", since=now - timedelta(hours=3))], now)

    assert [
        "held: crm.contacts lost half",
        "      3 audiences: vips, nps (2 groups)",
        "      `tagalong approve crm.contacts` lets them go on",
        "held: late: crm.contacts lost half",
        "      the last pull of b.c failed",
        "      `tagalong approve crm.contacts`, `tagalong approve b.c` let it go on",
        "held since 2026-01-20 09:00Z (3h): x: nobody told it",
        "      nothing to approve; it goes on once that is mended",
    ] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (89, "89s"), (90, "2m"), (5_400, "2h"), (172_800, "2d")])
def test_ages_are_coarse(seconds: float, text: str) -> None:
    assert text == age(seconds)


def test_one_of_a_thing_is_no_plural(type_: Type) -> None:
    """In what a person reads: counts of the config, of dead letters, of files."""
    Path("data/usage.csv").write_text(USAGE + "4,u2,not a time,Page Viewed,/home\n")
    check = type_("check").out
    type_("pull")

    assert "2 segments, 1 partition, 2 syncs" in check
    assert "dead letters: 1 unreadable record (" in type_("status").out
    type_("sync", "nordic_to_exports")
    assert "out, 1 file in it" in type_("check").out


def test_what_was_never_pulled_names_the_command(type_: Type) -> None:
    """Nobody can approve it; a pull mends it."""
    told = "exports.accounts and exports.usage have never been pulled to their end; `tagalong pull exports` does so"
    assert told in type_("plan").out


def test_fields_say_that_people_are_masked(type_: Type) -> None:
    """One line, where something is; and none where nothing is."""
    type_("pull")
    said = "Names, addresses and ids of people are masked in the examples."

    assert said == type_("fields").out.splitlines()[-1]
    assert said not in type_("fields", "Page Viewed").out


def test_check_before_the_first_pull(type_: Type) -> None:
    """No warning of what nobody could have seen: one sentence; after the pull, what is doubtful."""
    before = type_("check")
    type_("pull")
    path = Path("tagalong.toml")
    path.write_text(CONFIG + "[segments.odd]\nwhere = 'did(\"Page Veiwed\")'\n")
    after = type_("check")

    assert (0, "") == (before.code, before.err)
    assert 1 == before.out.count("are checked after the first complete pull of exports.")
    assert "first complete pull" not in after.out
    assert 'event "Page Veiwed" was never seen in a complete pull; did you mean Page Viewed?' in after.err
    assert 1 == after.out.count("ok      account")


def test_segments_show_who_came_and_went_and_when(type_: Type, tmp_path: Path) -> None:
    """Of the last run that changed them, however many ran since; nothing before the first."""
    type_("pull")
    assert "entered" not in type_("segments").out
    type_("sync")
    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS.replace("FI", "US") + "u5,eva@example.com,NO,Eva AS\n")
    type_("sync")
    for _ in range(2):
        type_("sync", "--no-pull")

    row = next(line.split() for line in type_("segments").out.splitlines() if "Nordic people" in line)
    assert ["nordic", "Nordic", "people", "3", "5", "1", "1"] == row[:7]
    (nordic, _) = type_("segments", "--json").json["segments"]
    assert (1, 1) == (nordic["entered"], nordic["left"])


def test_segments_that_cannot_be_told_are_one(type_: Type, tmp_path: Path) -> None:
    """A source field that vanished: the reason on stderr and in JSON, also where its members are asked for."""
    lose_a_field(type_, tmp_path)

    said, members = type_("segments"), type_("segments", "named", "--members", "--json")
    assert (1, 1) == (said.code, members.code)
    assert "failed: segment.named: " in said.err
    assert "nordic" in said.out
    assert (False, []) == (members.json["ok"], members.json["members"])
    assert {"segment.named"} == set(members.json["failed"])


def test_a_currency_without_a_rate_is_told_once(type_: Type, tmp_path: Path) -> None:
    """With the segments that speak of money."""
    billing = (
        '[connections.exports.streams.bills]\npath = "data/bills.csv"\nkind = "subscription"\nkey = "id"\n'
        'identifiers = { user_id = "user" }\n'
        'fields = { status = "status", amount = "amount", mrr = "amount", currency = "currency" }\n'
    )
    text = CONFIG + billing + "[segments.rich]\nwhere = 'mrr > 1'\n[segments.richer]\nwhere = 'mrr > 9'\n"
    (tmp_path / "tagalong.toml").write_text(text)
    (tmp_path / "data/bills.csv").write_text("id,user,status,amount,currency\nb1,u1,active,10,GBP\n")
    type_("pull")

    said = type_("segments")
    assert 0 == said.code
    assert ["warning: no rate for GBP: set [workspace.rates] (segment.rich, segment.richer)"] == said.err.splitlines()
    assert {"segment.rich", "segment.richer"} == set(type_("segments", "--json").json["warnings"])


def test_the_past_says_what_it_answers_from_today(type_: Type) -> None:
    """Each text once."""
    type_("pull")
    said = type_("segments", "--as-of", "2026-01-20T11:30:00")

    assert "answered as of today: deleted and merged people (everywhere)\n" in said.out
    assert "answered as of today: profile country before it was first pulled (segment.nordic, partition.region)\n" in said.out


def test_fields_that_are_told_alike_are_told_together() -> None:
    """Of a segment by billing words there were nine lines, each with the names of all segments."""
    since = "before it was first pulled"
    of = [f"subscription status {since}", "company", f"subscription mrr {since}", f"profile country {since}"]
    assert ["company", f"subscription status, mrr {since}", f"profile country {since}"] == gathered(of)


def test_samples_are_masked_where_they_are_people(type_: Type) -> None:
    """Addresses and names; a country of an address is neither."""
    type_("pull")
    said = type_("fields").out

    assert "example.com" not in said
    assert "a***@e***" in said
    assert "Ann AB" not in said
    assert "SE" in said


def test_a_reader_that_has_seen_enough_changes_no_exit_code(type_: Type, tmp_path: Path) -> None:
    """`tagalong fields | head -1` is well, and `tagalong check | head -1` fails where check does: a script goes by that."""
    type_("pull")
    assert (0, b"") == unread(tmp_path, "segments", "region.nordic", "--members")
    lacking = '\n[connections.billing]\nconnector = "stripe"\nkey = { env = "NO_SUCH_KEY" }\n'
    Path("tagalong.toml").write_text(CONFIG + lacking)
    assert (1, b"") == unread(tmp_path, "check", "billing")


def unread(folder: Path, *words: str) -> tuple[int, bytes]:
    """Type a command whose output nobody reads; return its exit code and what it says besides."""
    ran = [sys.executable, "-c", "from core.cli import main; main()", *words]
    process = subprocess.Popen(ran, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    return process.wait(), err


def test_drift_lists_members_only_where_somebody_differs(type_: Type) -> None:
    """No head of a table without a body, which a script would take for a row."""
    type_("sync")
    said = type_("drift", "--members")
    assert (0, 4, False) == (said.code, len(said.out.splitlines()), "profile_id" in said.out)


def test_what_a_whole_connection_lacks_is_told_once(type_: Type) -> None:
    """Not once a stream, and what to do about it is told apart from what is wrong."""
    lacking = '\n[connections.billing]\nconnector = "stripe"\nkey = { env = "NO_SUCH_KEY" }\n'
    Path("tagalong.toml").write_text(CONFIG + lacking)
    type_("pull", "billing")
    (line,) = (line for line in type_("status").out.splitlines() if line.startswith("billing"))

    assert line.endswith(
        "connections.billing.key: the environment variable NO_SUCH_KEY is not set; set NO_SUCH_KEY and try again"
    )
    assert 1 == line.count("NO_SUCH_KEY is not set")
    assert "customers" not in line
    assert "NO_SUCH_KEY is not set; set NO_SUCH_KEY and try again (tagalong check billing)" in type_("status", "--check").out


def test_what_is_only_pushed_to_is_not_missed(type_: Type) -> None:
    """Nothing is ever pulled from it, which is no trouble."""
    Path("tagalong.toml").write_text(CONFIG + '\n[connections.lists]\nconnector = "files"\nfolder = "lists"\n')
    said = {line.split()[0]: line for line in type_("status").out.splitlines() if line}

    assert ("never pulled" in said["exports"], "never pulled" in said["lists"]) == (True, False)
    assert "only pushed to" in said["lists"]
    assert [True, False] == [one["pulls"] for one in type_("status", "--json").json["connections"]]
