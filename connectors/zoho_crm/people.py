"""People by address: who is a contact or a lead there (COQL), and new contacts, never as somebody who opted in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce

from connectors.zoho_crm.vendor import (
    API,
    CONTACTS,
    COQL_ROWS,
    COQL_VALUES,
    LEADS,
    MAX_UPSERT,
    ask,
    code_of,
    details_of,
    rows_of,
    said_of,
)
from core.contract import Api, Json, Outcome, Person, Ref, Verdict, chunks
from core.errors import ProtocolError, RejectedError

CONVERTED = "Converted__s"  # whether a lead was converted, where the organisation has the field (Quirk 10)


def find(api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
    """Return the contacts with each address; the leads where no contact has it. Two are a duplicate (Quirk 17)."""
    found: dict[str, Sequence[Ref]] = {
        key: [Ref(id_) for id_ in ids] for key, ids in refs_by_address(api, CONTACTS, keys).items()
    }
    missing = [key for key in keys if key not in found]
    if missing and api.settings.leads:
        leads = refs_by_address(api, LEADS, missing)
        found |= {key: [Ref(id_, object=LEADS) for id_ in ids] for key, ids in leads.items()}
    return found


def refs_by_address(api: Api, module: str, keys: Sequence[str]) -> dict[str, list[str]]:
    """Return the ids of the records of *module* that have each (lower-case) address in one of the address fields."""
    body = ask(api, "GET", f"{API}/settings/fields", params={"module": module})
    known = {str(field.get("api_name")) for field in rows_of(body, "fields")}
    fields = [name for name in dict.fromkeys(("Email", *api.settings.email_fields)) if name in known]
    found: dict[str, dict[str, None]] = {}  # ids, each once: rows may come twice when they move while they are paged
    for some in chunks(keys, COQL_VALUES):
        wanted = set(some)
        for row in _matching(api, module, fields, some, [CONVERTED] if CONVERTED in known else []):
            if row.get(CONVERTED) is True:
                continue
            there = {str(row[name]).strip().lower() for name in fields if row.get(name)}
            for key in there & wanted:
                found.setdefault(key, {})[str(row["id"])] = None
    return {key: list(ids) for key, ids in found.items()}


def _matching(api: Api, module: str, fields: Sequence[str], keys: Sequence[str], more: Sequence[str]) -> Iterator[Json]:
    values = ", ".join(quoted(key) for key in keys)
    where = either([f"{name} in ({values})" for name in fields])
    offset = 0
    while True:
        select = f"select {', '.join(['id', *fields, *more])} from {module} where {where}"
        body = ask(
            api,
            "POST",
            f"{API}/coql",
            json={"select_query": f"{select} order by id asc limit {offset}, {COQL_ROWS}"},
            repeat=True,
        )
        rows = rows_of(body)
        yield from rows
        info = body.get("info") if isinstance(body, dict) else None
        if not isinstance(info, dict) or info.get("more_records") is not True:
            return
        if not rows:
            raise ProtocolError("there are more rows, but none came")
        offset += len(rows)


def quoted(text: str) -> str:
    """Return *text* as a COQL literal: an apostrophe is doubled."""
    return "'" + text.replace("'", "''") + "'"


def either(conditions: Sequence[str]) -> str:
    """Return *conditions* joined by `or`, nested in pairs: COQL takes no flat three (Quirk 18)."""
    return reduce(lambda left, right: f"({left} or {right})", conditions)


def create_people(api: Api, people: Sequence[Person]) -> list[Outcome]:
    """
    Create contacts by upsert, a hundred at a time. Nothing is said about opting in or out, and no workflow runs.

    Returns:
        DONE with the contact's id where it was made, NOOP where it was there, REJECTED with the vendor's code, else RETRY.
    """
    outcomes: list[Outcome] = []
    for some in chunks(people, MAX_UPSERT):
        outcomes += _created(api, some)
    return outcomes


def _created(api: Api, people: Sequence[Person]) -> list[Outcome]:
    body = {"data": [_contact(person) for person in people], "duplicate_check_fields": ["Email"], "trigger": []}
    rows = rows_of(ask(api, "POST", f"{API}/{CONTACTS}/upsert", json=body, repeat=True, allow=(400,)))
    if len(rows) != len(people):  # Quirk 21: positions are all that ties an answer to a person
        raise RejectedError("the answer does not have one row for each person")
    return [_outcome(person, row) for person, row in zip(people, rows, strict=True)]


def _outcome(person: Person, row: Json) -> Outcome:
    id_ = details_of(row).get("id")
    if row.get("code") == "SUCCESS" and id_:
        made = row.get("action") != "update"
        return Outcome(Ref(str(id_)), Verdict.DONE if made else Verdict.NOOP, reason="" if made else "there already")
    if row.get("code") == "SUCCESS":
        return Outcome(Ref(person.key), Verdict.RETRY, reason="no id in the answer")
    return Outcome(Ref(person.key), Verdict.REJECTED, reason=code_of(row) or "refused", message=said_of(row))


def _contact(person: Person) -> dict[str, object]:
    last = person.values.get("last_name") or person.key.partition("@")[0]  # Quirk 20: Last_Name is required
    named = {"First_Name": person.values.get("first_name"), "Last_Name": last}
    return {"Email": person.key, **{name: value for name, value in named.items() if value}}
