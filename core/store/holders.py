"""
Which column of the store holds a person: every table and every column, so that a forgotten person is swept out of all of them.

A test holds this against the schema: a new table or column fails it until it is declared here. What is written behind a column:

    =profile     a profile's id: the row is theirs
    =subject     a subject's id: likewise
    =identifier  an identifier's id: likewise
    =record      a record's key, of the row's `stream_id`, or of its `connection` and `stream`: likewise
    =member      how a destination knows them: an address, an id, an object: likewise
    =people      a bitmap of profiles: their ids are taken out
    =text        may quote anybody: what quotes them is struck out
    =own         says something of the row's person, and goes with the row
    =keyed       a digest under the key that is not in the database: stays
    =shared      read by code of its own in `core.store.sweep`

A column without any holds nobody. Landing tables (`<connection>__<stream>`) are not here: all of them are like LANDING, with
fields of their own, which are `own`. Temporary tables are each connection's own and gone with it.
"""

from __future__ import annotations

from typing import Final

LANDING: Final = (
    "key=own subject_id=subject profile_id=profile company_id slice content_hash=own changed_at seen_run deleted_at more=own"
)
_CANONICAL: Final = (
    "id stream_id key=own record_key=own subject_id=subject profile_id=profile company_id changed_at deleted_at "
)

HOLDERS: Final[dict[str, str]] = {
    # beginning: sources
    "connections": "id name connector category account resume_at removed_at kept_until",
    "streams": "id connection_id name kind trust landing removed_at started_at finished_at error=text completed_at "
    "full_completed_at took_s accepted_count live_count held_since reading",
    "checkpoints": "stream_id slice cursor=text pending=text resume=text began=text began_run full began_at replacing "
    "completed_at full_completed_at",
    "vanished": "stream_id key=record since reason",
    "merges": "stream_id loser=record winner=record at",
    "catalogue": "stream_id field column_name type first_seen_at changed_at missing_since",
    "event_names": "id name",
    "event_sources": "stream_id what name first_seen_at",
    "event_properties": "name_id property type first_seen_at",
    # identity
    "identifiers": "id=identifier kind value=own is_company profile_id=profile company_id known blocked_at",
    "subjects": "id=subject stream_id ref=own trust live dirty profile_id=profile company_id changed_at",
    "subject_identifiers": "subject_id=subject identifier_id=identifier position",
    "profiles": "id=profile company_id live email=own user_id=own first_name=own last_name=own phone=own country=own "
    "language=own timezone=own job_title=own created_at=own lifecycle_stage=own owner=own changed_at",
    "companies": "id=shared live name domain industry employees revenue country created_at changed_at",
    "profile_aliases": "old_id=profile new_id=profile at",
    "field_history": "of field of_id=shared from_at value=own",
    "fresh_identifiers": "subject_id=subject position kind value=own is_company",
    "identity_cuts": "id keep_name keep_value=shared part_name part_value=shared at",
    "cut_subjects": "subject_id=subject",
    # canonical rows
    "profile_rows": _CANONICAL + "email=own first_name=own last_name=own phone=own country=own language=own timezone=own "
    "job_title=own created_at=own lifecycle_stage=own owner=own",
    "company_rows": _CANONICAL + "name=own domain=own industry=own employees=own revenue=own country=own created_at=own",
    "subscriptions": _CANONICAL + "status=own plan=own amount=own currency=own interval=own interval_count=own quantity=own "
    "mrr=own started_at=own trial_ends_at=own cancel_requested_at=own ended_at=own",
    "payments": _CANONICAL + "amount=own refunded=own currency=own status=own paid_at=own",
    "answers": _CANONICAL + "survey=own question=own kind=own choice=own text=own number=own answered_at=own measure=own",
    "deals": _CANONICAL + "stage=own won=own amount=own currency=own closed_at=own",
    "tickets": _CANONICAL + "status=own priority=own score=own opened_at=own closed_at=own",
    "consents": _CANONICAL + "channel=own state=own at=own",
    "events": "id stream_id key=own slice seen_run name_id time=own subject_id=subject profile_id=profile company_id "
    "properties=own",
    "record_slices": "stream_id key=record slice seen_run content_hash=own",
    # memberships
    "member_sets": "name definition members=people run_id as_of",
    "membership_history": "name run_id at entered=people left=people",
    "kept_state": "one watching epoch as_of seq mark facts",
    "kept_leaves": "name bits=shared",
    "changes": "seq what id=shared name_id mark",
    # delivery
    "audiences": "id connection account kind name remote_id sync target made_by_us foreign_read_at owned=people theirs=people "
    "waiting=people planned_at of",
    "ledger": "audience_id member_key=member profile_id=profile sync remote_id=member handle=own object=own value_hash=own "
    "state at run_id added_at",
    "leaving": "audience_id since profiles=people",
    "intents": "id audience_id sync run_id written_at sent_at settled_at job=text approved",
    "intent_members": "intent_id op member_key=member profile_id=profile remote_id=member handle=own object=own "
    "value_hash=own verdict reason=own",
    "churn": "audience_id at run_id adds removes approved_adds approved_removes owned_before",
    "holds": "target kind reason=text facts=text since adds=people removes=people",
    "approvals": "id target kind adds=people removes=people definition at expires_at",
    "dead_letters": "id what connection stream audience_id sync key=member op profile_id=profile reason=text attempts "
    "first_at last_at run_id next_try_at given_up_at message=text dropped_at",
    "outages": "connection failures since opened_at probes probe_at reason=text",
    # operation
    "runs": "id kind name trigger started_at finished_at status limited summary=text error=text",
    "requests": "run_id connection method count",
    "leases": "name owner host pid process_started acquired_at renewed_at file",
    "budgets": "connection bucket tokens at not_before",
    "pauses": "target at",
    "settings": "key value=shared",
    "alert_states": "alert subject state since reason=text",
    "alert_outbox": "id alert message_id notice=text made_at attempts next_try_at reason=text sent_at given_up_at",
    "alert_endpoints": "alert away_since reason=text",
    "backups": "id path made_at why size version",
    "history_begins": "what at pruned_at",
    # erasure
    "forgettings": "name subject=keyed state begun_at swept_at done_at profiles=people certificate",
    "forgetting_steps": "forgetting step connection what result=text at",
    "forgotten": "digest=keyed forgetting",
    "refusals": "kind value=shared channel source record_key=own since reason=own ended_at ended_by",
    # SQLite's and sqlite-utils' own
    "sqlite_sequence": "name seq",
    "_sqlite_migrations": "id migration_set name applied_at",
}
"""Table to its columns, each with what it holds of a person."""


def columns_of(text: str) -> dict[str, str]:
    """Return column to what it holds, of one line of HOLDERS; empty where that is nobody."""
    return {name: holds for name, _, holds in (word.partition("=") for word in text.split())}
