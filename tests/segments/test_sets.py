"""`in_list`: who stands in a file, by address, user id or profile id; what is wrong with a file is said at load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from smallworld import AS_OF, World, definitions, problem_of
from test_rules import PLACE

from core.config.model import Segment
from core.errors import ConfigError
from core.segments.evaluate import evaluate
from core.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "tagalong.db") as opened:
        yield opened


def people() -> World:
    world = World()
    world.person(email="ann@example.com", user_id="u1")
    world.person(email="bo@example.com", user_id="u2")
    world.person(email="cy@example.com")
    return world


def listed(store: Store, world: World, content: str, *, text: str = 'in_list("vip.csv")', **options: Any) -> list[int]:
    (store.path.parent / "vip.csv").write_text(content, encoding="utf-8", newline="")
    world.write(store)
    found = evaluate(store, definitions({"s": text}, folder=store.path.parent, **options), as_of=AS_OF)
    assert {} == found.failed
    return list(found.sets["segment.s"])


def problem(folder: Path, content: bytes | None, name: str = "vip.csv") -> str:
    if content is not None:
        (folder / "vip.csv").write_bytes(content)
    found = problem_of(f'paying and in_list("{name}")', folder=folder)
    assert 19 == found.column
    return found.message


@pytest.mark.parametrize(
    ("content", "who"),
    [
        ("email\nann@example.com\n", [1]),
        ("\ufeffName;E-mail\r\nAnn; ANN@Example.com \r\nCy;cy@example.com", [1, 3]),
        ("email\tnote\nbo@example.com\t\n\n", [2]),
        ("user_id\nu2\nu9\n", [2]),
        ("Profile ID\n3\n1\n", [1, 3]),
        ('note,email\n"two\nlines, and a comma",cy@example.com\n', [3]),
        ("email,user_id\nann@example.com,\n,u2\n", [1, 2]),
        ("email\n", []),
    ],
    ids=["address", "semicolons and a mark", "tabs", "user id", "profile id", "quotes", "either of two", "nobody"],
)
def test_a_file_names_people_by_the_columns_of_its_header(store: Store, content: str, who: list[int]) -> None:
    assert who == listed(store, people(), content)
    assert [id_ for id_ in (1, 2, 3) if id_ not in who] == listed(store, people(), content, text='not in_list("vip.csv")')


def test_any_of_a_persons_addresses_is_theirs_and_a_merged_profile_is_its_survivor(store: Store) -> None:
    world = people()
    world.write(store)
    with store.atomic() as conn:
        conn.execute("INSERT INTO identifiers (kind, value, profile_id) VALUES ('email', 'old@example.com', 2)")
        conn.execute("INSERT INTO profile_aliases VALUES (77, 3, 0)")
    (store.path.parent / "vip.csv").write_text("email,profile_id\nold@example.com,\n,77\n")
    found = evaluate(store, definitions({"s": 'in_list("vip.csv")'}, folder=store.path.parent), as_of=AS_OF)
    assert [2, 3] == list(found.sets["segment.s"])


def test_a_list_of_the_universe_only(store: Store) -> None:
    world = people()
    world.profiles[0] |= {"email": None, "user_id": None}
    world.profiles[1]["live"] = 0
    assert [3] == listed(store, world, "profile_id\n1\n2\n3\n4000000000\n")


def test_a_list_of_companies_for_a_segment_of_companies(store: Store) -> None:
    world = World(companies=[{"id": 1, "domain": "a.example.com"}, {"id": 2, "domain": "b.example.com"}, {"id": 3, "live": 0}])
    segment = Segment("s", 'in_list("vip.csv")', place=PLACE, of="company")
    for content, who in (("domain\nhttps://www.B.example.com/x\n", [2]), ("company_id\n1\n3\n", [1])):
        (store.path.parent / "vip.csv").write_text(content)
        world.write(store)
        found = evaluate(store, definitions({"s": segment}, folder=store.path.parent), as_of=AS_OF)
        assert who == list(found.sets["segment.s"])


def test_a_changed_file_is_a_changed_definition(tmp_path: Path) -> None:
    """Its content is part of the hash, of the segment itself and of what names it; an unchanged one changes nothing."""
    segments = {"s": 'in_list("vip.csv")', "outer": 'not segment("s")', "other": "exists(email)"}

    def hashes(content: str) -> dict[str, str]:
        (tmp_path / "vip.csv").write_text(content)
        return {name: d.definition for name, d in definitions(segments, folder=tmp_path).sets.items()}

    before = hashes("email\nann@example.com\n")
    assert before == hashes("email\nann@example.com\n")
    after = hashes("email\nbob@example.com\n")
    assert {"segment.s", "segment.outer"} == {name for name in before if before[name] != after[name]}


def test_a_missing_or_malformed_file_is_a_clear_error(tmp_path: Path) -> None:
    assert "vip.csv: is not there" == problem(tmp_path, None)
    assert "its first line names none of email, user_id, profile_id" in problem(tmp_path, b"name,phone\nAnn,1\n")
    assert "its first line names none of" in problem(tmp_path, b"")
    assert "row 3: what stands under email is no email" in problem(tmp_path, b"email\nann@example.com\nann at example\n")
    for wrong in (b"x", b"-1", b"0", b"1.5", b"4294967296", b"9" * 400):
        assert "row 2: what stands under profile_id is no profile_id" in problem(tmp_path, b"profile_id\n" + wrong + b"\n")
    assert "row 2: has 3 columns where the first line names 2" in problem(tmp_path, b"email;name\nann@example.com;x;y\n")
    assert "line 2: is not UTF-8" in problem(tmp_path, b"email\n\xe5sa@example.com\n")
    assert "unexpected end of data" in problem(tmp_path, b'email\n"ann@example.com\n')
    (tmp_path / "folder").mkdir()
    assert "folder: is not a file" == problem(tmp_path, None, "folder")


def test_a_message_never_holds_what_stands_in_the_file(tmp_path: Path) -> None:
    assert "secret" not in problem(tmp_path, b"email\nsecret person\n")


@pytest.mark.parametrize("name", ["../vip.csv", "/etc/passwd", "sub/../../vip.csv", "link.csv"])
def test_nothing_outside_the_configs_folder_is_read(tmp_path: Path, name: str) -> None:
    """Links are followed first."""
    (tmp_path / "vip.csv").write_text("email\nann@example.com\n")
    folder = tmp_path / "config"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.csv").symlink_to(tmp_path / "vip.csv")
    assert "lies outside the config's folder" in problem(folder, None, name)


def test_a_list_is_answered_as_of_today(store: Store) -> None:
    (store.path.parent / "vip.csv").write_text("email\nann@example.com\n")
    people().write(store)
    defined = definitions({"s": 'in_list("vip.csv")'}, folder=store.path.parent)
    assert 'in_list("vip.csv")' in evaluate(store, defined, as_of=AS_OF.replace(day=1)).approximate["segment.s"]
    assert {} == evaluate(store, defined, as_of=AS_OF).approximate


@pytest.mark.parametrize(
    "text", ['in_list("a\\x01.csv")', 'in_list("' + "x" * 5000 + '")', "in_list(5)", "in_list()", 'in_list("")']
)
def test_odd_names_are_errors(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        definitions({"s": text}, folder=tmp_path)
