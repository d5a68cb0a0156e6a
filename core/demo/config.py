"""The config file that the demo runs with: the one a person would write, but for the addresses of the sandboxes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from core.demo.people.names import RATES


@dataclass(frozen=True, slots=True)
class Role:
    """One sandbox's place in the demo."""

    connector: str
    base_url: str
    settings: Mapping[str, object]
    audience: str = ""
    """The audience kind that is pushed to."""


WORKSPACE = """\
# Written by `tagalong demo`: made-up people in sandboxes on this machine.

[workspace]
database = "tagalong.db"
timezone = "Europe/Stockholm"
currency = "EUR"
exclude = "staff"                 # our own people stay out of everything

[workspace.rates."2020-01-01"]    # what one unit is worth in EUR
"""

ACCOUNTS = """\
[connections.product]
connector = "files"

[connections.product.streams.accounts]
path = "data/accounts.csv"
kind = "profile"
key = "account_id"
identifiers = { user_id = "account_id", email = "owner_email", company_domain = "account_domain" }
fields = { country = "country", "company.name" = "account_name" }
"""

USAGE = """\
[connections.product.streams.usage]
path = "data/usage*.jsonl"
kind = "event"
key = "event_id"
identifiers = { user_id = "user" }
time = "at"
event_column = "event"
"""

SCORES = """\
[connections.product.streams.nps]
path = "data/nps.csv"
kind = "answer"
key = "response_id"
trust = "claim"                   # anybody can type into a survey: it finds people, it never joins them
identifiers = { user_id = "user_id" }
fields = { survey = "survey", question = "question", kind = "kind", number = "score", answered_at = "answered_at" }
"""

SEGMENTS = """\
[segments.staff]
where = 'email.endswith("@staff.example.com")'

[segments.pricing_regulars]
title = "Pricing regular"
where = 'count("Page Viewed", path="/pricing", last="30d") >= 3 and not paying'

[segments.stuck_in_setup]
title = "Stuck in setup"
where = '''
    did("Payment Set Up") and not did("Order Received")
    and country in ["SE", "FI", "DK", "NO", "IS"]
'''

[segments.paying_nordics]
title = "Paying Nordics"
where = 'paying and country in ["Sverige", "Finland", "Denmark", "NO", "IS"]'

[segments.expansion_ready]
title = "Expansion ready"
where = 'mrr >= 100 and days_active("Order Received", last="30d") >= 3'

[segments.payment_failing]
title = "Payment failing"
where = 'past_due'

[partitions.lifecycle]
title = "Lifecycle"

[partitions.lifecycle.groups]
trial = 'subscription_status == "trialing"'
at_risk = 'paying and not did("Order Received", last="30d")'
active = 'paying'
churned = 'subscription_status == "canceled"'

[partitions.nps]
title = "NPS group"
groups = { promoter = "nps >= 9", passive = "nps >= 7", detractor = "nps >= 0" }
"""

TO_MAIL = ("pricing_regulars", "stuck_in_setup", "payment_failing")
TO_CRM = ("paying_nordics", "expansion_ready", "payment_failing")

TITLES = {
    "pricing_regulars": "Pricing regular", "stuck_in_setup": "Stuck in setup", "paying_nordics": "Paying Nordics",
    "expansion_ready": "Expansion ready", "payment_failing": "Payment failing",
}  # fmt: skip
"""What the audiences are called."""


def demo_config(roles: Mapping[str, Role]) -> str:
    """Return the text of the config: the vendors' sandboxes by connection, the product's files, segments and syncs."""
    rates = "".join(f"{currency} = {rate}\n" for currency, rate in RATES.items() if currency != "EUR")
    parts = [WORKSPACE + rates]
    parts += [_connection(name, role) for name, role in roles.items()]
    parts.append(ACCOUNTS)
    if "analytics" not in roles:
        parts.append(USAGE)
    if "survey" not in roles:
        parts.append(SCORES)
    parts.append(SEGMENTS)
    crm, mail = roles["crm"].audience, roles["mail"].audience
    parts += [_sync(f"{name}_to_mail", f'segment = "{name}"', "mail", mail, TITLES[name]) for name in TO_MAIL]
    parts += [_sync(f"{name}_to_crm", f'segment = "{name}"', "crm", crm, TITLES[name]) for name in TO_CRM]
    parts.append(_sync("lifecycle_to_crm", 'partition = "lifecycle"', "crm", crm, "Lifecycle: {group}"))
    parts.append(_sync("nps_to_mail", 'partition = "nps"', "mail", mail, "NPS {group}"))
    return "\n".join(parts)


def _connection(name: str, role: Role) -> str:
    lines = [f"[connections.{name}]", f'connector = "{role.connector}"', f'base_url = "{role.base_url}"']
    lines += [f"{key} = {json.dumps(value)}" for key, value in role.settings.items()]
    return "\n".join([*lines, 'schedule = "15m"', ""])


def _sync(name: str, what: str, to: str, kind: str, audience: str) -> str:
    target = f"audience = {{ {kind} = {json.dumps(audience)} }}"
    return f'[[syncs]]\nname = "{name}"\n{what}\nto = "{to}"\n{target}\nschedule = "15m"\n'
