"""What a sync of companies may say, and which audience it means."""

from __future__ import annotations

import pytest
from globex_config import Write

from core.errors import ConfigError

CONFIG = """
[workspace]
database = "tagalong.db"
timezone = "UTC"
currency = "EUR"

[connections.crm]
connector = "hubspot"
token = { env = "CRM_TOKEN" }
streams = ["contacts", "companies"]

[segments.big]
title = "Big accounts"
of = "company"
where = "company.employees >= 50"

[segments.vip]
where = 'lifecycle_stage == "customer"'

[partitions.stage]
groups = { lead = 'lifecycle_stage == "lead"' }

[[syncs]]
segment = "big"
to = "crm"
audience = { company_list = "Big accounts" }
"""
AUDIENCE = '{ company_list = "Big accounts" }'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (AUDIENCE, '{ list = "Big" }', "big is a segment of companies, and a list at crm holds people (a company_list holds"),
        ('segment = "big"', 'segment = "vip"', "vip is a segment of people, and a company_list at crm holds companies (a list"),
        (
            f'segment = "big"\nto = "crm"\naudience = {AUDIENCE}',
            'partition = "stage"\nto = "crm"\naudience = { company_list = "Stage {group}" }',
            "stage is a partition of people, and a company_list at crm holds companies",
        ),
        ('"contacts", "companies"', '"contacts"', "companies are known at crm by its stream companies, which is not pulled"),
        (AUDIENCE, f"{AUDIENCE}\nrequire_consent = true", "a company consents to nothing"),
        (AUDIENCE, f"{AUDIENCE}\ncreate_missing = true", "hubspot cannot create people for a company_list"),
        (AUDIENCE, f'{AUDIENCE}\nfields = {{ A = "mrr" }}', "unknown key"),
        (AUDIENCE, '{ company_list = "a/b" }', "write the list's name without slashes"),
    ],
)
def test_what_companies_cannot_be_is_a_config_error(load: Write, old: str, new: str, said: str) -> None:
    assert old in CONFIG
    with pytest.raises(ConfigError) as raised:
        load(only=CONFIG.replace(old, new))
    assert said in " ".join(f"{one.message} ({one.remedy})" for one in raised.value.problems)


@pytest.mark.parametrize(
    ("segment", "audience", "found"),
    [
        ("big", f"audience = {AUDIENCE}", ("company_list", "Big accounts")),
        ("big", "", ("company_list", "Big accounts")),
        ("big", 'audience = "Accounts"', ("company_list", "Accounts")),
        ("vip", 'audience = "Vips"', ("list", "Vips")),
        ("vip", "", ("list", "Vip")),
    ],
)
def test_the_kind_may_be_left_out_where_one_holds_such_members(
    load: Write, segment: str, audience: str, found: tuple[str, str]
) -> None:
    """As ever for people, though there are two kinds of list now."""
    text = CONFIG.replace('segment = "big"', f'segment = "{segment}"').replace(f"audience = {AUDIENCE}", audience)
    (sync,) = load(only=text).syncs.values()
    assert found == (sync.audience_kind, sync.audience_name)
