"""Segments of companies, and lists, as commands show them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from workspace import CONFIG, Type

FIRMS = """\
account_id,owner_email,country,domain,account_name
u1,ann@a.example.com,Sweden,a.example.com,Ann AB
u2,bo@a.example.com,FI,a.example.com,Ann AB
u3,cia@b.example.com,NO,b.example.com,Cia AS
u4,dan@example.com,US,,
"""
SEGMENTS = """
[segments.swedish_firms]
title = "Firms with a Swede"
of = "company"
where = 'any_user(country == "SE")'

[segments.colleagues]
where = 'segment("swedish_firms") and not country == "SE"'

[segments.vip]
where = 'in_list("data/vip.csv")'
"""


@pytest.fixture
def firms(type_: Type, tmp_path: Path) -> Type:
    """The small workspace where two firms are known by domain."""
    kinds = 'email = "owner_email", company_domain = "domain" }'
    (tmp_path / "tagalong.toml").write_text(CONFIG.replace('email = "owner_email" }', kinds) + SEGMENTS)
    (tmp_path / "data/accounts.csv").write_text(FIRMS)
    (tmp_path / "data/vip.csv").write_text("email\nbo@a.example.com\n")
    assert 0 == type_("pull").code
    return type_


def test_segments_show_what_a_size_is_of(firms: Type) -> None:
    """Of companies for a segment of companies, of people for the others."""
    shown = {one["name"]: (one["size"], one["of"]) for one in firms("segments", "--json").json["segments"]}
    assert (1, 2) == shown["swedish_firms"]
    assert (1, 4) == shown["colleagues"] == shown["vip"]


def test_members_of_a_segment_of_companies_are_companies(firms: Type) -> None:
    (member,) = firms("segments", "swedish_firms", "--members", "--json").json["members"]
    assert ["a.example.com"] == member["identifiers"]["company_domain"]
    assert "company_id" in member
    assert "profile_id" not in member


def test_a_person_is_in_no_segment_of_companies(firms: Type) -> None:
    """Whatever ids they share with a company."""
    assert firms("sync").code in (0, 3)
    for user in ("u1", "u2", "u3", "u4"):
        for more in ((), ("--as-of", datetime.now(UTC).isoformat())):
            (person,) = firms("person", user, *more, "--json").json["people"]
            assert "segment.swedish_firms" not in person["segments"]
            assert (user == "u2") == ("segment.colleagues" in person["segments"])


def test_a_sync_of_companies_to_an_audience_of_people_is_a_config_error(firms: Type, tmp_path: Path) -> None:
    config = tmp_path / "tagalong.toml"
    config.write_text(config.read_text() + "\n[[syncs]]\nsegment = 'swedish_firms'\nto = 'exports'\n")
    said = firms("plan")
    assert 2 == said.code
    assert "swedish_firms is a segment of companies, and a file at exports holds people" in said.err


def test_a_list_that_is_gone_stops_before_anything_is_sent(firms: Type, tmp_path: Path) -> None:
    (tmp_path / "data/vip.csv").unlink()
    said = firms("sync")
    assert 2 == said.code
    assert "data/vip.csv: is not there" in said.err
    assert "^" in said.err


def test_companies_that_flap_are_companies(firms: Type, tmp_path: Path) -> None:
    """Whoever has the same number as a person is not taken for them."""
    firms("sync")
    for country in ("Finland", "Sweden"):
        (tmp_path / "data/accounts.csv").write_text(FIRMS.replace("Sweden", country))
        assert firms("sync", "--fresh", "0s").code in (0, 3, 4)

    (one,) = firms("segments", "swedish_firms", "--flapping", "--times", "1", "--json").json["flapping"]
    assert (["a.example.com"], 1, True) == (one["identifiers"]["company_domain"], one["times"], one["member"])
    assert {"company_id"} == {key for key in one if key.endswith("_id")}
    assert "company" in firms("segments", "swedish_firms", "--flapping", "--times", "1").out.splitlines()[0]
