"""
Which section of an export each table of the store is in, and why some are in none.

A test walks the store: a table that is in neither list fails it, until somebody has thought of the people in it.
"""

from __future__ import annotations

from typing import Final

LANDING: Final = "records"
"""The section of landing tables, one for each stream."""

PERSONAL: Final = {
    "profiles": "profile",
    "profile_aliases": "profile",
    "companies": "company",
    "identifiers": "identifiers",
    "subjects": "links",
    "subject_identifiers": "links",
    "fresh_identifiers": "links",
    "merges": "merges",
    "identity_cuts": "unmerged",
    "cut_subjects": "unmerged",
    "vanished": "vanished",
    "record_slices": "slices",
    "profile_rows": "profile_rows",
    "company_rows": "company_rows",
    "subscriptions": "subscriptions",
    "payments": "payments",
    "answers": "answers",
    "deals": "deals",
    "tickets": "tickets",
    "consents": "consents",
    "events": "events",
    "event_names": "events",
    "field_history": "field_history",
    "member_sets": "segments",
    "membership_history": "segments",
    "audiences": "audiences",
    "ledger": "audiences",
    "leaving": "leaving",
    "intents": "sent",
    "intent_members": "sent",
    "holds": "held",
    "approvals": "held",
    "dead_letters": "dead_letters",
    "refusals": "refusals",
    "forgettings": "forgettings",
}
"""Table to the section that has what it says of the person."""

IMPERSONAL: Final = {
    "connections": "accounts at vendors",
    "streams": "how far each source was pulled",
    "checkpoints": "how far each source was pulled",
    "catalogue": "names and types of fields",
    "event_sources": "which stream brings which event",
    "event_properties": "names and types of properties",
    "churn": "how many members were sent, by hour",
    "runs": "what was run, in numbers",
    "requests": "how many requests a run took",
    "leases": "processes",
    "budgets": "rates of vendors",
    "pauses": "names of syncs and connections",
    "outages": "vendors that do not answer",
    "backups": "where copies of the database are; whether they hold the person is not looked at",
    "history_begins": "what was pruned",
    "forgetting_steps": "what was done at vendors for people who were forgotten",
    "forgotten": "digests of people who were forgotten",
    "settings": "the hub's own notes; of people only the ids of some that are to be looked at again",
    "kept_state": "when conditions were last evaluated",
    "kept_leaves": "the answers to single conditions, made anew from what is in this export",
    "changes": "ids of people to look at again, emptied by the next evaluation",
    "alert_states": "what was told to whoever looks after the hub",
    "alert_outbox": "what was told to whoever looks after the hub",
    "alert_endpoints": "what was told to whoever looks after the hub",
}
"""Table to what it is about, which is not people."""

BOOKKEEPING: Final = ("sqlite_", "_sqlite_")
"""How the names of SQLite's and the migrations' own tables begin."""
