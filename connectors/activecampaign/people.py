"""
The stream `contacts`, and who somebody is: by address, by id.

A pull is incremental by the time of change, paged by id. Contacts that are deleted leave no trace but their absence; a row that
is flagged as deleted or anonymised is told as gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from connectors.activecampaign.vendor import PAGE, clean, contacts_by_id, object_of, rows_of, same_address, time_of
from core.contract import Api, Deletions, Json, Kind, Outcome, Page, Person, Record, Ref, StreamSet, Verdict, chunks, midnight
from core.errors import ProtocolError, RejectedError

STREAMS = StreamSet()
LOOKBACK: Final = timedelta(hours=1)
"""Read again each time: stamps have whole seconds, and whether the filter is inclusive is said nowhere."""
FULL_EVERY: Final = timedelta(days=7)
"""How often all is read, to see who was deleted (Quirk 8)."""


def is_gone(row: Record) -> bool:
    """Return whether a row is of somebody deleted or anonymised (Quirk 8). Flags are texts."""
    return str(row.get("deleted")) == "1" or str(row.get("anonymized")) == "1"


def email_of(record: Record) -> str | None:
    """Return the address as it is compared: trimmed, in lower case."""
    value = record.get("email")
    return value.strip().lower() if isinstance(value, str) and value.strip() else None


@STREAMS.add(
    "contacts",
    kind=Kind.PROFILE,
    key="id",
    order="any",  # pages go by id, so the cursor holds only at the end
    identifiers={"email": email_of, "contact_id": "id"},
    lookback=LOOKBACK,
    deletions=Deletions.ABSENCE,
    full_every=FULL_EVERY,
    fields={
        "email": email_of,
        "first_name": "firstName",
        "last_name": "lastName",
        "phone": "phone",
        "created_at": lambda record: time_of(record, "created"),
    },
)
def contacts(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """Contacts that changed since the cursor, by id (DOCS/list-all-contacts)."""
    since = cursor or midnight(api.settings.start)
    after = since.replace(microsecond=0) if since else None
    for rows in contacts_by_id(api, int(resume or 0), filters__updated_after=after):
        yield Page(
            [clean(row) for row in rows if not is_gone(row)],
            cursor=latest(rows),
            resume=str(rows[-1]["id"]),
            deleted=[str(row["id"]) for row in rows if is_gone(row)],
        )


def latest(rows: Sequence[Json]) -> datetime | None:
    """Return the latest time of change among *rows*."""
    return max(filter(None, (time_of(row, "updated") for row in rows)), default=None)


def find(api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
    """Ask for each address by itself; there is no call for many (DOCS/list-all-contacts)."""
    return {key: refs for key in keys if (refs := _find_one(api, key))}


def _find_one(api: Api, key: str) -> Sequence[Ref]:
    rows = rows_of(api.get("/contacts", email=key.strip(), limit=PAGE), "contacts")
    mine = [row for row in rows if same_address(row.get("email"), key)]
    if rows and not mine:  # Quirk 7: then everybody came, and nobody knows whether this one is among them
        raise ProtocolError("asked for one address, the vendor answered with others")
    return [Ref(str(row["id"])) for row in mine if not is_gone(row)]


def addresses_of(api: Api, ids: Sequence[str]) -> Mapping[str, str]:
    """Return the address that each contact has now; whoever is gone, or has none, is left out."""
    found: dict[str, str] = {}
    for some in chunks(ids, PAGE):
        rows = rows_of(api.get("/contacts", params={"ids[]": list(some), "limit": PAGE}), "contacts")
        if {str(row.get("id")) for row in rows} - set(some):
            raise ProtocolError("asked for some contacts by id, the vendor answered with others")
        found |= {str(row["id"]): row["email"].strip() for row in rows if email_of(row) and not is_gone(row)}
    return found


def create_people(api: Api, people: Sequence[Person]) -> Sequence[Outcome]:
    """
    Create contacts, or find those who are there (DOCS/sync-a-contacts-data): keyed on the address, harmless to repeat.

    Nobody is put on a list, and who is on none gets no campaign (Quirk 9).
    """
    return [_create(api, person) for person in people]


def _create(api: Api, person: Person) -> Outcome:
    names = {"firstName": person.values.get("first_name"), "lastName": person.values.get("last_name")}
    contact = {"email": person.key, **{name: value for name, value in names.items() if value}}
    try:
        answer = api.request("POST", "/contact/sync", json={"contact": contact}, repeat=True)
    except RejectedError as error:
        return Outcome(Ref(person.key), Verdict.REJECTED, reason=error.code or f"status {error.status}", message=error.said)
    made = object_of(answer.body, "contact")
    if not same_address(made.get("email"), person.key):
        raise ProtocolError("made one contact, the vendor answered with another")
    return Outcome(Ref(str(made["id"])), Verdict.DONE)
