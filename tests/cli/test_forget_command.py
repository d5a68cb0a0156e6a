"""`tagalong forget` and `tagalong suppress` as they are typed."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from workspace import ACCOUNTS, Type

from core.store import Store

ANN = "ann@example.com"


def _synced(type_: Type) -> None:
    assert type_("sync", "--json").code == 0


def test_forget_asks_shows_and_does(type_: Type, tmp_path: Path) -> None:
    """Nothing without a yes; the certificate tells what was done, and that the source file still has her."""
    _synced(type_)
    assert ANN in (tmp_path / "out" / "Nordic people.csv").read_text()

    said = type_("forget", ANN, stdin="n\n")
    assert 1 == said.code
    assert "not agreed to, so it was not done" in said.err
    assert "the next run" not in type_("forget", ANN, stdin="").err, "nobody there to answer is no interruption"
    assert any(ANN.encode() in path.read_bytes() for path in tmp_path.glob("tagalong.db*"))
    said = type_("forget", ANN, "--dry-run")
    assert 0 == said.code
    assert "to be removed: file 'Nordic people'" in said.out
    for line in ("  1 person", "  identifiers: email 1, user_id 1", "  records: exports.accounts 1", "  events: 2"):
        assert line in said.out.splitlines()
    assert "exports__accounts 1," in said.out and "kept: 4 keyed hashes" in said.out
    assert "nobody who is known here" in type_("forget", "new@example.com", "--dry-run").out
    assert not (tmp_path / "tagalong.db.person.key").exists()

    said = type_("forget", ANN, "--yes", "--certificate", "proof.txt")
    assert 0 == said.code, said.err
    assert ANN not in said.out + said.err + (tmp_path / "proof.txt").read_text()
    assert "CERTIFICATE OF ERASURE" in said.out
    assert "removed: file 'Nordic people'" in said.out
    assert "take their rows out of data/accounts.csv" in said.out
    for path in tmp_path.glob("tagalong.db*"):
        assert ANN.encode() not in path.read_bytes()
    for path in (tmp_path / "out").iterdir():
        assert ANN not in path.read_text()
    assert "bo@example.com" in (tmp_path / "out" / "Nordic people.csv").read_text()

    # the file still has her, and she does not come back: as a profile, nor by what she did
    said = type_("pull", "--full", "--json")
    streams = {stream["name"]: stream for stream in said.json["pulls"][0]["streams"]}
    assert 0 == type_("sync", "--json").code
    assert (1, 2) == (streams["accounts"]["forgotten"], streams["usage"]["forgotten"])
    for path in [*tmp_path.glob("tagalong.db*"), *(tmp_path / "out").iterdir()]:
        assert ANN.encode() not in path.read_bytes()


def test_forget_answers_in_json_and_lifts(type_: Type, tmp_path: Path) -> None:
    """One object; asked once more it shows the certificate again; lifted, she is back with the next pull."""
    _synced(type_)
    said = type_("forget", "user_id:u1", "--yes", "--json", "--certificate", "proof.json")
    assert said.json["ok"]
    assert "done" == said.json["status"]
    made = said.json["certificate"]
    assert 64 == len(made["subject"])
    assert made["store"]["rewritten"]
    assert {"profiles", "subjects", "identifiers", "exports__accounts", "events"} <= made["store"]["rows"].keys()
    assert made == type_("forget", ANN, "--yes", "--json").json["certificate"]
    assert made["subject"] in (tmp_path / "proof.json").read_text()

    assert 1 == type_("forget", "--lift", ANN, "--json").json["lifted"]
    assert 1 == type_("forget", "--lift", ANN).code
    type_("pull", "--full", "--json")
    assert 1 == len(type_("person", ANN, "--json").json["people"])


def test_an_address_may_be_forgotten_before_it_is_known(type_: Type) -> None:
    """Somebody asks never to be stored."""
    said = type_("forget", ANN, "--yes", "--json")
    assert "done" == said.json["status"]
    _synced(type_)
    assert [] == type_("person", ANN, "--json").json["people"]


def test_a_kind_may_stand_before_who_is_meant(type_: Type) -> None:
    """As `tagalong person` takes it, in whichever case an address is: before they are known, once more, and to lift it."""
    assert "done" == type_("forget", "email:ANN@example.com", "--yes", "--json").json["status"]
    _synced(type_)
    assert [] == type_("person", ANN, "--json").json["people"]
    assert 0 == type_("forget", "email:Ann@Example.com", "--yes", "--json").code
    assert 1 == type_("forget", "email:ANN@example.com", "--lift", "--json").json["lifted"]


def test_forget_refuses_what_it_cannot_know(type_: Type) -> None:
    """Nobody, an unknown connection, two wishes at once."""
    _synced(type_)
    assert 2 == type_("forget", "nobody-here", "--yes").code
    assert "there is no connection 'mail'" in type_("forget", ANN, "--yes", "--by-hand", "mail").err
    assert 2 == type_("forget", ANN, "--lift", "--dry-run").code
    assert 2 == type_("forget").code
    for ignored in (
        ["--lift", ANN, "--everywhere"],
        ["--again", "--by-hand", "exports"],
        [ANN, "--dry-run", "--certificate", "x"],
    ):
        assert 2 == type_("forget", *ignored).code
    assert "cannot be written there" in type_("forget", ANN, "--yes", "--certificate", "missing/proof.txt").err
    assert 1 == len(type_("person", ANN, "--json").json["people"]), "said before anything was done"
    assert 0 == type_("forget", "--again").code


def test_a_lost_key_stops_pulls_until_it_is_given_up(type_: Type, tmp_path: Path) -> None:
    """A clear error rather than people who come back; with a yes, they may."""
    _synced(type_)
    type_("forget", ANN, "--yes")
    (tmp_path / "tagalong.db.person.key").unlink()
    said = type_("pull", "--json")
    assert 1 == said.code
    assert "is gone, and holds the key" in said.err
    assert 0 == type_("forget", "--lost-key", "--yes").code
    assert 0 == type_("pull", "--full", "--json").code
    assert 1 == len(type_("person", ANN, "--json").json["people"])


def test_suppress_enters_lists_and_lifts(type_: Type, tmp_path: Path) -> None:
    """One by one or from a file; who is no address is said before anything is entered."""
    _synced(type_)
    (tmp_path / "no.txt").write_text("# asked by letter\nann@example.com\n\nbo@example.com\n")
    assert {"ok": True, "entered": 2, "known": 0, "hashed": 0, "channel": "email"} == type_(
        "suppress", "--file", "no.txt", "--json"
    ).json
    assert 1 == type_("suppress", ANN, "user_id:u9", "--json").json["known"]
    assert 2 == type_("suppress", "cia@example.com", "nobody").code
    listed = type_("suppress", "--list", "--json").json["refusals"]
    assert [ANN, "bo@example.com", "u9"] == [one["value"] for one in listed]
    assert {"hand"} == {one["source"] for one in listed}
    assert 0 == type_("suppress", ANN, "--lift").code
    assert 1 == type_("suppress", ANN, "--lift").code
    assert ANN not in type_("suppress", "--list").out
    assert 2 == type_("suppress").code
    (tmp_path / "latin.txt").write_bytes("bo@example.com\n# Andr\xe9\n".encode("latin-1"))
    said = type_("suppress", "--file", "latin.txt")
    assert (2, True) == (said.code, "is not UTF-8 text" in said.err)


def test_a_no_to_another_channel_is_said_to_be_that(type_: Type) -> None:
    """No e-mail tool asks about it, so nobody is told that it does."""
    _synced(type_)
    assert "no e-mail tool" in type_("suppress", ANN, "--channel", "Email").out
    assert 0 == type_("suppress", ANN, "--lift", "--channel", "Email").code
    said = type_("suppress", ANN, "--channel", "sms").out
    assert "no e-mail tool" not in said
    assert "require_consent" in said
    assert 2 == type_("suppress", "--list", "--lift").code


def test_a_list_is_of_the_channel_that_was_named(type_: Type) -> None:
    """Else who asks whom not to call is shown everybody who wants no mail; and a reason that goes nowhere is refused."""
    _synced(type_)
    type_("suppress", ANN)
    type_("suppress", "bo@example.com", "--channel", "sms")

    def listed(*words: str) -> list[str]:
        return [one["value"] for one in type_("suppress", "--list", *words, "--json").json["refusals"]]

    assert [ANN, "bo@example.com"] == listed()
    assert [ANN] == listed("--channel", "email")
    assert ["bo@example.com"] == listed("--channel", "SMS")
    assert [] == listed(ANN, "--channel", "sms")
    assert "Nobody said no to phone." in type_("suppress", "--list", "--channel", "phone").out
    assert 2 == type_("suppress", "--list", "--channel", "emial").code
    assert 2 == type_("suppress", ANN, "--lift", "--reason", "they wrote").code
    assert 2 == type_("suppress", "--list", "--reason", "they wrote").code


def test_a_channel_that_nobody_speaks_of_is_refused_with_the_nearest(type_: Type, tmp_path: Path) -> None:
    """A no to `emial` would hold nowhere; one that a source speaks of is a channel too."""
    _synced(type_)
    assert (2, True) == ((said := type_("suppress", ANN, "--channel", "emial")).code, "did you mean email?" in said.err)
    assert (2, True) == ((said := type_("suppress", ANN, "--channel", "fax")).code, "push, sms" in said.err)
    assert [] == type_("suppress", "--list", "--json").json["refusals"]
    with Store(tmp_path / "tagalong.db") as store, store.atomic() as conn:
        conn.execute("INSERT INTO consents (stream_id, key, record_key, channel, state) VALUES (1, 'k', 'k', 'fax', 'granted')")
    assert 0 == type_("suppress", ANN, "--channel", "Fax ").code
    assert 0 == type_("suppress", ANN, "--channel", "fax", "--lift").code


def test_lifting_says_why_there_is_nothing_to_lift(type_: Type) -> None:
    """Never said, said of something else, or ended before."""
    _synced(type_)
    assert (1, True) == ((said := type_("suppress", ANN, "--lift")).code, "nobody said no to email" in said.err)
    type_("suppress", ANN, "--channel", "sms")
    assert "it is to sms: say --channel sms" in type_("suppress", ANN, "--lift").err
    assert 0 == type_("suppress", ANN, "--lift", "--channel", "sms").code
    assert re.search("to sms ended on .* by hand", type_("suppress", ANN, "--lift", "--channel", "sms").err)
    type_("suppress", ANN)
    some = type_("suppress", ANN, "bo@example.com", "--lift")
    assert (0, True) == (some.code, "for 1 of 2 there was" in some.err)
    assert {"ok": False, "lifted": 0, "standing": [], "nothing": 1} == type_("suppress", ANN, "--lift", "--json").json


def test_a_no_of_somebody_forgotten_is_kept_as_a_keyed_hash_alone(type_: Type, tmp_path: Path) -> None:
    """Her address is in no file again; the no holds when she is let back, and can be lifted by her address."""
    _synced(type_)
    type_("forget", ANN, "--yes")
    (tmp_path / "data/accounts.csv").write_text("account_id,owner_email,country,account_name\n")
    said = type_("suppress", ANN, "--reason", f"a letter of {ANN}")
    assert (0, True) == (said.code, "1 of them were forgotten" in said.out)
    assert (0, 1) == ((again := type_("suppress", ANN, "--json").json)["entered"], again["hashed"])
    assert not any(ANN.encode() in path.read_bytes() for path in tmp_path.glob("tagalong.db*"))
    assert (0, 1) == (type_("suppress", ANN, "--lift").code, type_("suppress", ANN, "--lift").code)
    type_("suppress", ANN)

    type_("forget", "--lift", ANN)
    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS)
    type_("pull", "--full")
    assert [ANN] == [one["value"] for one in type_("suppress", "--list", "--json").json["refusals"]]


def test_a_no_in_words_of_somebody_forgotten_becomes_a_hash_with_again(type_: Type, tmp_path: Path) -> None:
    """As a copy has it that is older than the forgetting, or an earlier version entered it."""
    _synced(type_)
    new = "new@example.com"
    type_("forget", new, "--yes")
    with Store(tmp_path / "tagalong.db") as store, store.atomic() as conn:
        conn.execute("INSERT INTO refusals VALUES ('email', ?, 'email', 'hand', '', 7, 'by letter', NULL, NULL)", (new,))
    assert 0 == type_("forget", "--again").code
    assert [] == type_("suppress", "--list", "--json").json["refusals"]
    assert 1 == type_("suppress", new, "--json").json["known"]


def test_a_row_of_another_file_with_the_same_key_is_somebody_elses(type_: Type, tmp_path: Path) -> None:
    """Two folders, in both of which people are numbered from 1: nobody of the other one is lost for it."""
    files = '[connections.{0}]\nconnector = "files"\n[connections.{0}.streams.people]\npath = "{0}.csv"\nkind = "profile"\n'
    files += 'key = "id"\nidentifiers = {{ email = "mail", member_id = "id" }}\n'
    (tmp_path / "tagalong.toml").write_text(files.format("one") + files.format("two"))
    (tmp_path / "one.csv").write_text(f"id,mail\n1,{ANN}\n2,bo@example.com\n")
    (tmp_path / "two.csv").write_text("id,mail\n1,cia@example.com\n2,dan@example.com\n")
    type_("pull")
    assert 0 == type_("forget", ANN, "--yes").code
    pulls = type_("pull", "--full", "--json").json["pulls"]
    assert {"one": (2, 1), "two": (2, 0)} == {
        one["connection"]: (one["streams"][0]["records"], one["streams"][0]["forgotten"]) for one in pulls
    }
    (person,) = type_("person", "cia@example.com", "--json").json["people"]
    assert person["live"]
    assert "Nobody is back." in type_("forget", "--again").out


def test_a_yes_in_another_file_ends_no_no(type_: Type, tmp_path: Path) -> None:
    """Under the same address in a stream of the same name: each folder speaks for itself, also in a store of before."""
    said_no = 'connector = "files"\n[connections.{0}.streams.consents]\npath = "{0}.csv"\nkind = "consent"\nkey = "mail"\n'
    said_no += 'identifiers = {{ email = "mail" }}\nfields = {{ channel = "channel", state = "state" }}\n'
    names = ("one", "two")
    (tmp_path / "tagalong.toml").write_text("".join(f"[connections.{name}]\n{said_no.format(name)}" for name in names))
    for name, state in zip(names, ("denied", "granted"), strict=True):
        (tmp_path / f"{name}.csv").write_text(f"mail,channel,state\n{ANN},email,{state}\n")
    type_("pull")
    (no,) = type_("suppress", "--list", "--json").json["refusals"]
    assert ("files/one.consents", True) == (no["source"], no["standing"])

    with closing(sqlite3.connect(tmp_path / "tagalong.db")) as conn, conn:
        conn.execute("UPDATE refusals SET source = 'files/files.consents', ended_at = 1, ended_by = 'yes'")
        conn.execute("DELETE FROM _sqlite_migrations WHERE name = 'm034_folders'")
    assert [no] == type_("suppress", "--list", "--json").json["refusals"]
    (tmp_path / "one.csv").write_text(f"mail,channel,state\n{ANN},email,granted\n")
    type_("pull")
    assert [] == type_("suppress", "--list", "--json").json["refusals"]
