"""`tagalong segments NAME`: what a set is made of, what may be wrong with it, and who moved between groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from workspace import ACCOUNTS, CONFIG, USAGE, Type

MORE = """
[segments.viewers]
where = 'country in ["SE", "FI", "NO"] and did("Page Viewed") and not did("Page Viewed", path="/home")'

[segments.either]
where = 'country == "US" or did("Page Viewed")'

[segments.twin]
where = 'country in ["SE", "FI", "NO"]'
"""


@pytest.fixture
def pulled(type_: Type, tmp_path: Path) -> Type:
    """With more segments, and everything pulled."""
    (tmp_path / "tagalong.toml").write_text(CONFIG + MORE)
    type_("pull")
    return type_


def detail(type_: Type, name: str) -> Any:
    (found,) = type_("segments", name, "--json").json["detail"]
    return found


def test_each_condition_alone_and_so_far(pulled: Type) -> None:
    """A funnel in the order written; of `or`, how many come together."""
    assert {
        "kind": "all",
        "steps": [
            {"text": 'country in ["SE", "FI", "NO"]', "alone": 3, "so_far": 3},
            {"text": 'did("Page Viewed")', "alone": 2, "so_far": 2},
            {"text": 'not did("Page Viewed", path="/home")', "alone": 3, "so_far": 1},
        ],
    } == detail(pulled, "viewers")["funnel"]
    assert {
        "kind": "any",
        "steps": [
            {"text": 'country == "US"', "alone": 1, "so_far": 1},
            {"text": 'did("Page Viewed")', "alone": 2, "so_far": 3},
        ],
    } == detail(pulled, "either")["funnel"]
    assert "alone  so far" in pulled("segments", "viewers").out  # not "left", which is who went


def test_a_group_loses_those_of_earlier_groups(pulled: Type) -> None:
    """The rest has everybody whom no group matched."""
    found = detail(pulled, "region.elsewhere")

    assert [{"text": "not in nordic", "alone": 1, "so_far": 1}] == found["funnel"]["steps"]


def test_a_set_is_known_by_the_name_that_tables_print(pulled: Type) -> None:
    """`partition.region.elsewhere` stands under `shares with`, and can be asked for as it stands there."""
    assert detail(pulled, "region.elsewhere") == detail(pulled, "partition.region.elsewhere")
    assert detail(pulled, "viewers") == detail(pulled, "segment.viewers")


def test_a_sample_is_the_same_each_time(pulled: Type) -> None:
    """A few members with what they are known by."""
    found = detail(pulled, "nordic")

    assert [1, 2, 3] == [one["profile_id"] for one in found["sample"]]
    assert detail(pulled, "nordic")["sample"] == found["sample"]
    assert "for example ann@example.com, bo@example.com, cia@example.com" in pulled("segments", "nordic").out


def test_overlaps_with_others(pulled: Type) -> None:
    """The most alike first; two that are nearly the same are a warning; groups of one partition share nobody."""
    found = detail(pulled, "nordic")

    assert [("partition.region.nordic", 1.0), ("segment.twin", 1.0)] == [
        (one["name"], one["share"]) for one in found["overlaps"][:2]
    ]
    assert "100% the same people as segment.twin" in found["warnings"]
    assert "of this  alike" in pulled("segments", "nordic").out  # by which they are sorted
    shared = {one["name"] for one in detail(pulled, "region.nordic")["overlaps"]}
    assert "partition.region.elsewhere" not in shared


def test_too_few_to_mean_anything(pulled: Type) -> None:
    """On stderr, so that a pipe is not disturbed."""
    assert "warning: only 3 in it: with fewer than 10 its numbers mean little" in pulled("segments", "nordic").err


def test_a_condition_that_never_matches(pulled: Type, tmp_path: Path) -> None:
    """Told by its text, wherever in the tree; and that nobody is in."""
    text = 'country == "SE" and (did("Page Viewed", path="/nowhere") or country == "JP")'
    (tmp_path / "tagalong.toml").write_text(CONFIG + f"[segments.odd]\nwhere = '{text}'\n")
    warnings = detail(pulled, "odd")["warnings"]

    assert "nobody is in it" in warnings
    assert ['did("Page Viewed", path="/nowhere")', 'country == "JP"'] == [
        one.removesuffix(" is true of nobody") for one in warnings if one.endswith("true of nobody")
    ]


def test_an_event_that_was_never_seen(pulled: Type, tmp_path: Path) -> None:
    """With the nearest known one."""
    (tmp_path / "tagalong.toml").write_text(CONFIG + "[segments.odd]\nwhere = 'did(\"Page Veiwed\")'\n")

    assert 'event "Page Veiwed" was never seen in a complete pull; did you mean Page Viewed?' in pulled("segments", "odd").err


def test_a_window_longer_than_the_history(pulled: Type, tmp_path: Path) -> None:
    """The first event of any kind is younger than the window is long; a window inside the history is no matter."""
    odd = '[segments.odd]\nwhere = \'not did("Page Viewed", last="9000d")\'\n'
    (tmp_path / "tagalong.toml").write_text(CONFIG + odd + '[segments.short]\nwhere = \'did("Page Viewed", last="1d")\'\n')

    said = '"Page Viewed" is looked for in 9000d, but the first event of any kind is of 2026-01-19'
    assert said in detail(pulled, "odd")["warnings"]
    assert "first event" not in pulled("segments", "short").err


def test_who_came_and_went_by_day(pulled: Type, tmp_path: Path) -> None:
    """A bar for each day since the first recorded run, which found everybody new and does not count."""
    pulled("sync")
    assert 0 == sum(day["entered"] for day in detail(pulled, "nordic")["days"])
    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS.replace("FI", "US") + "u5,eva@example.com,NO,Eva AS\n")
    pulled("sync")
    (today,) = detail(pulled, "nordic")["days"]

    assert (1, 1) == (today["entered"], today["left"])
    assert "+-" in pulled("segments", "nordic").out


def test_a_partition_says_how_many_it_covers(pulled: Type, tmp_path: Path) -> None:
    """Of all who could be in a group."""
    some = '[partitions.some]\ngroups = { nordic = \'country in ["SE", "FI", "NO"]\' }\n'
    (tmp_path / "tagalong.toml").write_text(CONFIG + some)
    region, other = pulled("segments", "--json").json["partitions"]

    assert [(4, 4), (3, 4)] == [(one["covered"], one["of"]) for one in (region, other)]
    assert "3 of 4 (75%) are in one of these" in pulled("segments", "some").out


def test_moves_between_groups(pulled: Type, tmp_path: Path) -> None:
    """Who went from one group to another since a time, who came, who went; as recorded, with names where asked for."""
    assert "no run has recorded region yet" in pulled("segments", "region", "--moves").err
    pulled("sync")
    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS.replace("FI", "US") + "u5,eva@example.com,NO,Eva AS\n")
    pulled("sync")
    found = pulled("segments", "region", "--moves", "--members", "--json").json

    assert [("nordic", "elsewhere", 1), (None, "nordic", 1)] == [(m["from"], m["to"], m["size"]) for m in found["moves"]]
    assert [["bo@example.com"], ["eva@example.com"]] == [one["identifiers"]["email"] for one in found["members"]]
    said = pulled("segments", "region", "--moves", "--since", "2026-01-01")
    assert "nordic      elsewhere       1" in said.out
    assert "region is recorded since" in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nordic --moves", "--moves takes the name of a partition"),
        ("--moves", "--moves takes the name of a partition"),
        ("nordic --since 2026-01-01", "--since goes with --moves"),
        ("region --members", "--members takes the name of one segment"),
    ],
)
def test_options_that_do_not_go_together(pulled: Type, words: str, message: str) -> None:
    """Bad usage, with what is meant."""
    said = pulled("segments", *words.split())

    assert (2, True) == (said.code, message in said.err)


def test_nothing_new_is_no_move(pulled: Type) -> None:
    """After one recorded run nobody moved."""
    Path("data/usage.csv").write_text(USAGE)
    pulled("sync")

    assert "nobody moved" in pulled("segments", "region", "--moves").out
