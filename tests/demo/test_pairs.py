"""The demo's first day with four pairs of different vendors: each ends with the lists that the people themselves say."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from demo_stories import FirstDay

import core.demo.perform
from core.cli import main

PAIRS = (
    ("--crm", "salesforce", "--email", "activecampaign", "--survey", "zigpoll", "--analytics", "amplitude"),
    ("--crm", "zoho_crm", "--email", "encharge", "--survey", "typeform", "--analytics", "mixpanel"),
    ("--crm", "hubspot", "--email", "activecampaign", "--analytics", "mixpanel"),
    ("--crm", "salesforce", "--email", "mailchimp", "--survey", "typeform"),
)


@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
def test_any_pair_ends_with_the_right_lists(pair: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.demo.perform, "Story", FirstDay)

    result = CliRunner().invoke(main, ["demo", "--json", *pair])

    answer = json.loads(result.stdout)
    assert (True, None, 13, []) == tuple(answer[key] for key in ("ok", "error", "lists", "differences")), result.stderr[-2000:]
    assert 0 < answer["members"]
