"""
The streams of what people said: `consents`, one record for each contact and list, and `exclusions`, addresses that get nothing.

Opt-in is per list. Refusals are read whole each time, and first; then who is active, for only a yes undoes a no. Nothing here,
nor anywhere in this connector, writes to a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from connectors.activecampaign.people import FULL_EVERY, LOOKBACK, STREAMS, email_of, is_gone, latest
from connectors.activecampaign.vendor import by_offset, clean, contacts_by_id, rows_of
from core.contract import Api, Deletions, Json, Kind, Page, Record, Row, Trust
from core.errors import ProtocolError

UNSUBSCRIBED, BOUNCED, ACTIVE = "2", "3", "1"
STATES: Final = {UNSUBSCRIBED: "denied", BOUNCED: "denied", ACTIVE: "granted"}
"""Status on a list to state, in the order read (Quirk 10). An unconfirmed one (0) said neither yes nor no."""
STEPS: Final = list(STATES)


def consent_rows(record: Record) -> Iterator[Row]:
    """Return what a contact said on a list, as a consent for e-mail: the address may not be added elsewhere either."""
    yield Row(Kind.CONSENT, str(record["key"]), {"channel": "email", "state": STATES[record["status"]]})


@STREAMS.add(
    "consents",
    kind=Kind.CONSENT,
    key="key",
    order="any",
    identifiers={"contact_id": "contact"},
    lookback=LOOKBACK,
    deletions=Deletions.ABSENCE,
    full_every=FULL_EVERY,
    rows=consent_rows,
)
def consents(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """
    Who unsubscribed from, bounced on and is active on each list (DOCS/list-all-contacts: listid, status).

    *resume* is `list/status/contact`: all up to that contact is read.
    """
    lists = sorted(int(row["id"]) for rows in by_offset(api, "/lists", "lists") for row in rows)
    began = _place(resume)
    for list_id in lists:
        for step, status in enumerate(STEPS):
            if (list_id, step) < began[:2]:
                continue
            after = began[2] if (list_id, step) == began[:2] else 0
            since = cursor.replace(microsecond=0) if cursor and status == ACTIVE else None
            yield from _step(api, list_id, step, after, since)


def _place(resume: str | None) -> tuple[int, int, int]:
    if not resume:
        return (0, 0, 0)
    list_id, status, after = resume.split("/")
    return int(list_id), STEPS.index(status), int(after)


def _step(api: Api, list_id: int, step: int, after: int, since: datetime | None) -> Iterator[Page]:
    status = STEPS[step]
    looked = False
    for rows in contacts_by_id(api, after, listid=list_id, status=status, filters__updated_after=since):
        if not looked:
            _check_filters(api, rows, str(list_id), status)
            looked = True
        records = [
            {
                "key": f"{row['id']}:{list_id}",
                "contact": str(row["id"]),
                "email": email_of(row),
                "list": str(list_id),
                "status": status,
            }
            for row in rows
            if not is_gone(row)
        ]
        yield Page(records, cursor=latest(rows), resume=f"{list_id}/{status}/{rows[-1]['id']}")


def _check_filters(api: Api, rows: Sequence[Json], list_id: str, status: str) -> None:
    """
    Look whether the first or the last of a page is what was asked for: a contact's own row does not say.

    An ignored filter brings everybody (Quirk 7), and all would count as unsubscribed. Two are looked at, since one may have
    changed between the two requests.
    """
    for contact in dict.fromkeys((rows[0]["id"], rows[-1]["id"])):
        answer = api.request("GET", f"/contacts/{contact}/contactLists", allow=(404,))
        there = [] if answer.status == 404 else rows_of(answer.body, "contactLists")
        if any(str(row.get("list")) == list_id and str(row.get("status")) == status for row in there):
            return
    raise ProtocolError("the vendor does not heed the filter by list and status; nobody's consent can be told")


def excluded_address(record: Record) -> str | None:
    """Return the address that an exclusion names; those for the end of an address, a domain say, name nobody (Quirk 11)."""
    phrase = record.get("matchPhrase")
    exact = record.get("matchType") == "exact" and isinstance(phrase, str) and "@" in phrase
    return str(phrase).strip().lower() if exact else None


def exclusion_rows(record: Record) -> Iterator[Row]:
    """Return an exclusion as a refusal of the address it names, of texts where it is for those alone."""
    if excluded_address(record) is not None:
        channel = "sms" if record.get("channel") == "allSms" else "email"
        yield Row(Kind.CONSENT, str(record["id"]), {"channel": channel, "state": "denied"})


@STREAMS.add(
    "exclusions",
    kind=Kind.CONSENT,
    key="id",
    identifiers={"email": excluded_address},
    trust=Trust.CLAIM,  # an address on it is nobody yet: it makes no person, it finds one
    deletions=Deletions.ABSENCE,
    rows=exclusion_rows,
)
def exclusions(api: Api, cursor: str | None, resume: str | None) -> Iterator[Page]:
    """All exclusions, each time (DOCS/retrieve-exclusions-list)."""
    for rows in by_offset(api, "/lists/exclusions", "exclusions"):
        yield Page([clean(row) for row in rows])
