"""A small workspace of files only, and what a typed command answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

CONFIG = """\
[workspace]
timezone = "Europe/Stockholm"

[connections.exports]
connector = "files"
folder = "out"

[connections.exports.streams.accounts]
path = "data/accounts.csv"
kind = "profile"
key = "account_id"
identifiers = { user_id = "account_id", email = "owner_email" }
fields = { country = "country", "company.name" = "account_name" }

[connections.exports.streams.usage]
path = "data/usage.csv"
kind = "event"
key = "id"
identifiers = { user_id = "user" }
time = "at"
event_column = "what"

[segments.nordic]
title = "Nordic people"
where = 'country in ["SE", "FI", "NO"]'

[segments.pricing]
where = 'count("Page Viewed", path="/pricing") >= 2'

[partitions.region]
groups = { nordic = 'country in ["SE", "FI", "NO"]' }
else = "elsewhere"

[[syncs]]
segment = "nordic"
to = "exports"

[[syncs]]
name = "regions"
partition = "region"
to = "exports"
audience = { file = "region_{group}" }
columns = ["profile_id", "email"]
"""
ACCOUNTS = """\
account_id,owner_email,country,account_name
u1,ann@example.com,Sweden,Ann AB
u2,bo@example.com,FI,Bo Oy
u3,cia@example.com,NO,Cia AS
u4,dan@example.com,US,Dan Inc
"""
USAGE = """\
id,user,at,what,path
1,u1,2026-01-20T10:00:00Z,Page Viewed,/pricing
2,u1,2026-01-20T11:00:00Z,Page Viewed,/pricing
3,u2,2026-01-19T11:00:00Z,Page Viewed,/home
"""


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Type = Callable[..., Said]


def lose_a_field(type_: Type, folder: Path) -> None:
    """Have a segment `named` that cannot be told: its field came with one pull and is gone with the next."""
    first, *others = ACCOUNTS.splitlines()
    (folder / "data/accounts.csv").write_text("\n".join([f"{first},town", *(f"{line},Umeå" for line in others)]) + "\n")
    (folder / "tagalong.toml").write_text(CONFIG + "[segments.named]\nwhere = 'exports.town == \"Umeå\"'\n")
    type_("pull")
    (folder / "data/accounts.csv").write_text(ACCOUNTS)
    type_("pull")
