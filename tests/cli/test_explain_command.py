"""`tagalong explain`: by every way to name a person, of segments, groups and whole partitions, for people and for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from workspace import CONFIG, Type, lose_a_field

from core.cli.explain import _told

HOT = """
[segments.hot]
where = '''
    country in ["SE", "FI"] and did("Page Viewed", since="2026-01-01")
    and not segment("pricing")
'''
"""


@pytest.fixture
def pulled(type_: Type, tmp_path: Path) -> Type:
    """With one more segment, and everything pulled."""
    (tmp_path / "tagalong.toml").write_text(CONFIG + HOT)
    type_("pull")
    return type_


def leaves(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [leaf for child in node["children"] for leaf in leaves(child)] or [node]


@pytest.mark.parametrize("who", ["bo@example.com", "u2", "user_id:u2", "BO@example.com", "2"])
def test_who_by_any_name(pulled: Type, who: str) -> None:
    """An address, a user id, KIND:VALUE, a profile id."""
    said = pulled("explain", "hot", who, "--json")

    (person,) = said.json["people"]
    (one,) = person["sets"]
    assert (0, ["bo@example.com"], True) == (said.code, person["identifiers"]["email"], one["member"])


def test_the_tree_in_json(pulled: Type) -> None:
    """Each condition as written, true or false, with what was seen and where it is from."""
    (person,) = pulled("explain", "hot", "u1", "--json").json["people"]
    (one,) = person["sets"]

    assert ("segment.hot", False, "all") == (one["name"], one["member"], one["tree"]["kind"])
    country, viewed, pricing = leaves(one["tree"])
    assert ('country in ["SE", "FI"]', True, ["SE"]) == (country["text"], country["holds"], country["values"][0]["values"])
    assert ("exports.accounts", "u1") == tuple(country["values"][0]["sources"][0][key] for key in ("stream", "record"))
    assert ([2], 2, "2026-01-20T11:00:00Z") == (
        viewed["values"][0]["values"], viewed["values"][0]["rows"], viewed["values"][0]["sources"][0]["at"],
    )  # fmt: skip
    assert 'count("Page Viewed", path="/pricing") >= 2' == pricing["text"]


def test_for_a_person_to_read(pulled: Type) -> None:
    """In or not in first; then a line for each condition, deeper ones indented."""
    said = pulled("explain", "hot", "ann@example.com")
    lines = said.out.splitlines()

    assert "ann@example.com (profile 1) is not in hot" == lines[0]
    assert any(line.startswith("yes      country in") and "exports.accounts u1" in line for line in lines)
    assert any(line.startswith("no       not") for line in lines)
    assert any(line.startswith('yes        segment("pricing")') for line in lines)


def test_a_group_says_why_not_an_earlier_one(pulled: Type) -> None:
    """The groups up to the one that they fall into; of that one, that no earlier one has them."""
    (person,) = pulled("explain", "region", "dan@example.com", "--json").json["people"]
    nordic, elsewhere = person["sets"]

    assert ("elsewhere", False, True) == (person["group"], nordic["member"], elsewhere["member"])
    assert "not in nordic" == elsewhere["tree"]["text"]
    said = pulled("explain", "region", "dan@example.com").out
    assert "dan@example.com (profile 4): elsewhere of region" == said.splitlines()[0]
    assert "\nnordic: no\n" in said
    assert 1 == len(pulled("explain", "region", "ann@example.com", "--json").json["people"][0]["sets"])


def test_one_group_alone(pulled: Type) -> None:
    """PARTITION.GROUP is told like a segment."""
    assert "is in region.nordic" in pulled("explain", "region.nordic", "ann@example.com").out
    assert "is not in region.nordic" in pulled("explain", "region.nordic", "dan@example.com").out


def test_as_of_an_earlier_day(pulled: Type) -> None:
    """Before the second view of the page; what only today can answer is said."""
    now = pulled("explain", "pricing", "u1", "--json").json["people"][0]["sets"][0]
    then = pulled("explain", "pricing", "u1", "--as-of", "2026-01-20T11:30", "--json").json["people"][0]["sets"][0]

    assert (True, False) == (now["member"], then["member"])
    assert [1] == then["tree"]["values"][0]["values"]


def test_when_it_ends(pulled: Type, tmp_path: Path) -> None:
    """The moment at which the last event leaves the window."""
    (tmp_path / "tagalong.toml").write_text(CONFIG + '[segments.seen]\nwhere = \'did("Page Viewed", last="30000d")\'\n')
    one = pulled("explain", "seen", "u2", "--json").json["people"][0]["sets"][0]

    assert {"at": "2108-03-10T11:00:00Z", "then": False} == one["next_change"]
    assert "leaves at 2108-03-10 11:00Z if nothing new comes in" in pulled("explain", "seen", "u2").out


def test_nobody_and_nothing(pulled: Type) -> None:
    """An unknown person is a failure with a way on, an unknown segment bad usage with the nearest name."""
    nobody, nothing = pulled("explain", "hot", "zoe@example.com"), pulled("explain", "nordik", "u1")

    assert (1, "") == (nobody.code, nobody.out)
    assert "nobody is known by that" in nobody.err
    assert 2 == nothing.code
    assert "did you mean nordic?" in nothing.err
    assert {"ok": False, "people": []}.items() <= pulled("explain", "hot", "zoe@example.com", "--json").json.items()


def test_what_cannot_be_told_says_why(type_: Type, tmp_path: Path) -> None:
    """A source field that vanished: exit 1, the reason at its condition."""
    lose_a_field(type_, tmp_path)
    said = type_("explain", "named", "u1")

    assert (1, True) == (said.code, "is no longer there" in said.out)
    assert "cannot be told" in said.out
    (one,) = type_("explain", "named", "u1", "--json").json["people"][0]["sets"]
    assert (None, None) == (one["member"], one["tree"]["holds"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.49712345, "0.4971"), (0.0000003, "3e-07"), (1234.56789, "1,234.5679"), (50.0, "50"), (12, "12"), (True, "yes")],
)
def test_a_value_is_told_exactly_enough(value: object, expected: str) -> None:
    """With two digits 0.497 stood as 0.5 beside `< 0.5`, which it passes."""
    assert expected == _told(value)
