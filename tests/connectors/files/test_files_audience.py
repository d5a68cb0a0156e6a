"""The audience `file`: whole, atomic, harmless in a spreadsheet, read back as it was written."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.files.audience import AUDIENCES, cell
from core.contract import UNSUPPORTED, Change, Ref
from core.errors import ProtocolError, RejectedError

FILE = AUDIENCES["file"]


def make(*columns: str) -> Any:
    return FILE(FILE.Params.model_validate({"columns": list(columns)} if columns else {}))


def changes(*rows: dict[str, object]) -> Iterator[Change]:
    return (Change(Ref(str(row["profile_id"])), row) for row in rows)


def test_writes_a_header_and_a_row_each(api: Any, tmp_path: Path) -> None:
    """The default columns; a missing value is an empty cell."""
    file = make()
    id_ = file.create(api, "regulars", [])
    assert "profile_id,email,user_id\n" == (tmp_path / "out/regulars.csv").read_text()
    file.replace(
        api, id_, changes({"profile_id": 1, "email": "a@example.com", "user_id": "u1"}, {"profile_id": 2, "email": None})
    )

    assert "out/regulars.csv" == id_
    assert "profile_id,email,user_id\n1,a@example.com,u1\n2,,\n" == (tmp_path / "out/regulars.csv").read_text()
    assert [["1", "2"]] == [[ref.remote_id for ref in page] for page in file.members(api, id_)]


def test_it_is_replaced_whole(api: Any, tmp_path: Path) -> None:
    """Who is not given is not there any more."""
    file = make("profile_id")
    id_ = file.create(api, "regulars", [])
    for ids in (["1", "2", "3"], ["3"]):
        file.replace(api, id_, changes(*({"profile_id": id_} for id_ in ids)))
    assert "profile_id\n3\n" == (tmp_path / "out/regulars.csv").read_text()
    assert FILE.whole


def test_nothing_changes_when_the_members_fail(api: Any, tmp_path: Path) -> None:
    """Atomic: a plan that breaks half-way leaves the file of before, and nothing beside it."""
    file = make("profile_id")
    id_ = file.create(api, "regulars", [])
    file.replace(api, id_, changes({"profile_id": 1}))

    def broken() -> Iterator[Change]:
        yield Change(Ref("2"), {"profile_id": 2})
        raise RuntimeError("the store went away")

    with pytest.raises(RuntimeError):
        file.replace(api, id_, broken())
    assert "profile_id\n1\n" == (tmp_path / "out/regulars.csv").read_text()
    assert ["regulars.csv"] == [path.name for path in (tmp_path / "out").iterdir()]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=1+1", "'=1+1"),
        ("+4612345", "'+4612345"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("a=b", "a=b"),
        ("", ""),
        (None, ""),
        (-5, "-5"),
        (2.5, "2.5"),
        (True, "true"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00Z"),
        (["a"], '["a"]'),
    ],
)
def test_no_cell_is_a_formula(value: object, text: str) -> None:
    """Cells that begin with = + - @ (or what hides one) are text; numbers stay numbers."""
    assert text == cell(value)


def test_a_formula_in_a_name_stays_text_in_the_file(api: Any, tmp_path: Path) -> None:
    """Through the csv module's quoting too."""
    file = make("profile_id", "first_name")
    id_ = file.create(api, "x", [])
    file.replace(api, id_, changes({"profile_id": 1, "first_name": '=HYPERLINK("http://evil.example.com","x")'}))
    with (tmp_path / "out/x.csv").open(newline="") as written:
        assert "'=HYPERLINK" == next(csv.DictReader(written))["first_name"][:11]


def test_a_file_that_is_there_is_found(api: Any, tmp_path: Path) -> None:
    """So the core can refuse one that we did not write."""
    file = make()
    assert file.lookup(api, "their list") is None
    (tmp_path / "out").mkdir()
    (tmp_path / "out/their list.csv").write_text("name\nAnn\n")

    assert "out/their list.csv" == file.lookup(api, "their list") == file.lookup(api, "their list.csv")
    with pytest.raises(ProtocolError, match="somebody else"):
        list(file.members(api, "out/their list.csv"))


def test_without_profile_ids_nobody_can_be_read_back(api: Any) -> None:
    """Then the core mirrors only what it made."""
    assert UNSUPPORTED is make("email").members(api, "out/x.csv")


def test_without_a_folder_nothing_is_written(fake_api: Any) -> None:
    """The message says what to add."""
    from files_rows import ACCOUNTS

    api = fake_api("files", {"streams": {"accounts": ACCOUNTS}})
    with pytest.raises(RejectedError, match="folder"):
        make().lookup(api, "x")


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("regulars", True),
        ("Looked at pricing, three times", True),
        ("Åre 2026.csv", True),
        ("", False),
        ("../x", False),
        (".hidden", False),
        ("a/b", False),
        ("a\\b", False),
        ("=x", False),
        ("a*", False),
        ("con", False),
        ("x" * 120, False),
        ("a\nb", False),
        ("x.", False),
    ],
)
def test_names(name: str, good: bool) -> None:
    """A name is a file's name on any system, and nothing else."""
    assert good is (make().check_name(name) is None)


@pytest.mark.parametrize("columns", [[], ["profile_id", "profile_id"], ["shoe_size"]])
def test_columns(columns: list[str]) -> None:
    """Canonical fields, none twice."""
    with pytest.raises(ValidationError):
        FILE.Params.model_validate({"columns": columns})


def test_everybody_is_found_and_nothing_is_asked() -> None:
    """People are known by their profile id."""
    file = make()

    assert "profile_id" == file.key_kind
    assert ("profile_id", "email", "user_id") == tuple(file.wanted_fields())
    assert 0 == file.cost(10, 10)


def test_the_sandbox_is_a_folder(tmp_path: Path, fake_api: Any) -> None:
    """What is loaded is read, what is written is seen, what is deleted is gone."""
    from core.registry import load_connector

    connector = load_connector("files")
    sandbox = connector.sandbox(folder=tmp_path)
    sandbox.load(
        "people", [{"id": "u1", "email": "Ann@Example.com", "created_at": datetime(2026, 1, 1, tzinfo=UTC)}, {"id": "u2"}]
    )
    sandbox.delete("people", ["u2"])
    api = fake_api("files", dict(sandbox.settings()))
    stream = connector.streams(api.settings)["people"]
    (record,) = [record for page in stream.pull(api, None, None, "data/people.csv") for record in page.records]
    assert ("u1", "Ann@Example.com", datetime(2026, 1, 1, tzinfo=UTC)) == (record["id"], record["email"], record["created_at"])

    file = make()
    file.replace(api, file.create(api, "all", []), changes({"profile_id": 1}))
    assert {"all": frozenset({"1"})} == sandbox.audiences()
    with pytest.raises(KeyError):
        sandbox.load("deals", [])
