"""
Reading a module: records by page token, oldest change first, then what was deleted, then which leads were converted.

A pull is a `Place` that moves: each step asks for one page and gives it with the next place, which is the resume token; so a
killed pull continues where it stood. What a record means is `mapping`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.zoho_crm.mapping import CONTACTS, DEALS, LEADS, Module, chosen, lookup_id, tag_names
from connectors.zoho_crm.people import refs_by_address
from connectors.zoho_crm.vendor import API, MAX_FIELDS, MAX_IDS, PAGE, REACH, ask, header_time, rows_of
from core.contract import Api, Json, Merge, Page, chunks, midnight, parse_time
from core.errors import ProtocolError, RejectedError

LOOKBACK: Final = timedelta(minutes=5)
"""How much is read again each time: Modified_Time has whole seconds, and clocks differ."""
SECOND: Final = timedelta(seconds=1)
RECORDS, DELETED, CONVERTED = "records", "deleted", "converted"
CONVERTED_CONTACT: Final = "Converted_Contact"
"""The field of a converted lead that names its contact (Quirk 10)."""
WALL: Final = "DISCRETE_PAGINATION_LIMIT_EXCEEDED"


@dataclass(frozen=True, slots=True)
class Place:
    """How far a pull has got. Times are texts, as the vendor takes and gives them."""

    began: str
    phase: str = RECORDS
    since: str | None = None
    """`If-Modified-Since` of the reading under way."""
    token: str | None = None
    expires: str | None = None
    """When *token* does (Quirk 3)."""
    last: str | None = None
    """Modified_Time of the last record read."""
    read: int = 0
    """Records since *since* was set."""
    page: int = 1
    """Of the list of deleted records."""

    def dump(self) -> str:
        return json.dumps({name: value for name, value in asdict(self).items() if value}, separators=(",", ":"))

    @staticmethod
    def parse(token: str) -> Place | None:
        """Return the place that *token* names, or None if some other version wrote it."""
        try:
            return Place(**json.loads(token))
        except (TypeError, ValueError):
            return None

    def restarted(self) -> Place:
        """Return the place from which a reading goes on without its token: a second before the last record."""
        last = parse_time(self.last)
        since = header_time(last - SECOND) if last else self.since
        if last and since == self.since:
            raise ProtocolError(f"more than {REACH} records share one second of Modified_Time")
        return replace(self, since=since, token=None, expires=None, read=0)


def read_page(
    api: Api, module: str, fields: Sequence[str], place: Place, **query: object
) -> tuple[list[dict[str, Any]], Place | None]:
    """
    Return the page of *module* at *place*, oldest change first, and the place after it, None after the last (get-records.html).

    *fields* beyond what one request takes are asked for by the page's ids.
    """
    expires = parse_time(place.expires)
    if place.token is not None and expires is not None and api.now >= expires:
        place = place.restarted()
    first, *more = chunks(["Modified_Time", *fields], MAX_FIELDS)  # Quirk 2
    body = ask(
        api,
        "GET",
        f"{API}/{module}",
        params={
            "fields": ",".join(first), "per_page": PAGE, "sort_by": "Modified_Time", "sort_order": "asc",
            "page_token": place.token, **query,
        },
        headers={"If-Modified-Since": place.since} if place.since else {},
    )  # fmt: skip
    rows = {str(row["id"]): dict(row) for row in rows_of(body)}
    following = _after(place, body, [str(row["Modified_Time"]) for row in rows.values() if row.get("Modified_Time")])
    for names in more:
        rows = _joined(rows, _by_ids(api, module, names, list(rows), query))
    return list(rows.values()), following


def _after(place: Place, body: Json, times: Sequence[str]) -> Place | None:
    if body is None:
        return None
    info = body.get("info")
    if not isinstance(info, dict):
        raise ProtocolError("the answer does not say whether there is more")
    if info.get("more_records") is not True:
        return None
    token, expires = info.get("next_page_token"), info.get("page_token_expiry")
    last, read = times[-1] if times else place.last, place.read + PAGE
    if read >= REACH:  # Quirk 1
        return replace(place, last=last).restarted()
    if not isinstance(token, str) or not token:
        raise ProtocolError("there are more records, but no token to ask for them with")
    if token == place.token:
        raise ProtocolError("the vendor gave the same page token twice")
    return replace(place, token=token, expires=expires if isinstance(expires, str) else None, last=last, read=read)


def _by_ids(
    api: Api, module: str, fields: Sequence[str], ids: Sequence[str], query: Mapping[str, object]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for some in chunks(ids, MAX_IDS):  # Quirk 4
        params = {"fields": ",".join(fields), "ids": ",".join(some), **query}
        body = ask(api, "GET", f"{API}/{module}", params=params)
        found |= {str(row["id"]): dict(row) for row in rows_of(body)}
    return found


def _joined(rows: dict[str, dict[str, Any]], more: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return *rows* with what *more* adds; one that has gone in between is left to the list of deleted records."""
    return {id_: row | more[id_] for id_, row in rows.items() if id_ in more}


def known_fields(api: Api, module: str) -> Sequence[Json]:
    """Return the organisation's definitions of a module's fields."""
    return rows_of(ask(api, "GET", f"{API}/settings/fields", params={"module": module}), "fields")


def pull_module(api: Api, of: Module, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """All records of a module changed since *cursor* (all there are without one), then the ids of those that are gone."""
    reader = _Reader(api, of, cursor)
    start: Place | None = Place(header_time(api.now), since=reader.since)
    place = (Place.parse(resume) if resume else None) or start
    while place is not None:
        page, following = reader.step(place)
        yield replace(page, resume=following.dump() if following else None)
        place = following


class _Reader:
    """What one pull of one module needs: which fields there are, asked for once, and for deals the currency."""

    def __init__(self, api: Api, of: Module, cursor: datetime | None) -> None:
        self.api = api
        self.of = of
        self.full = cursor is None
        since = cursor or midnight(api.settings.start)
        self.since = header_time(since) if since else None
        self.fields: list[str] | None = None
        self._lead_fields: list[str] | None = None
        """Of converted leads."""
        self._currency: str | None = None

    def step(self, place: Place) -> tuple[Page, Place | None]:
        """Read one page and return it with the place after it."""
        match place.phase:
            case "deleted":
                return self._deleted(place)
            case "converted":
                return self._converted(place)
            case _:
                return self._records(place)

    def _records(self, place: Place) -> tuple[Page, Place | None]:
        if self.fields is None:
            extra = [*self.api.settings.email_fields, *filter(None, [self.api.settings.user_id_field])]
            names = chosen(known_fields(self.api, self.of.name), [*self.of.fields, *extra])
            self.fields = [name for name in names if name != "Modified_Time"]
            if self.of is DEALS:
                self._currency = organisation(self.api).get("iso_code")
        rows, following = read_page(self.api, self.of.name, self.fields, place, **_kept(self.of.name))
        times = [at for row in rows if (at := parse_time(row.get("Modified_Time")))]
        page = Page([self._record(row) for row in rows], cursor=max(times, default=None))
        # what went while a full pull was under way is told from its beginning on; what went before is simply not there
        gone_since = header_time((parse_time(place.began) or self.api.now) - LOOKBACK) if self.full else self.since
        return page, following or Place(place.began, DELETED, since=gone_since)

    def _record(self, row: dict[str, Any]) -> dict[str, Any]:
        if "Tag" in row:
            row["Tag"] = tag_names(row["Tag"])
        if self.of is DEALS:
            own = row.get("Currency")
            row["currency"] = own if isinstance(own, str) and own else self._currency
        return row

    def _deleted(self, place: Place) -> tuple[Page, Place | None]:
        """Recycled and permanently deleted ones (get-deleted-records.html); losers of a merge are among them (Quirk 9)."""
        done = Place(place.began, CONVERTED, since=self.since if self.of is CONTACTS else place.since)
        following = done if self.api.settings.leads and self.of in (CONTACTS, LEADS) else None
        try:
            body = ask(
                self.api,
                "GET",
                f"{API}/{self.of.name}/deleted",
                params={
                    "type": "all", "page": None if place.token else place.page, "page_token": place.token, "per_page": PAGE,
                },
                headers={"If-Modified-Since": place.since} if place.since else {},
            )  # fmt: skip
        except RejectedError as error:
            if error.code != WALL or place.page == 1:
                raise
            return Page([]), following  # Quirk 8: the weekly full pull misses the rest
        gone = [str(row["id"]) for row in rows_of(body)]
        info = body.get("info") or {} if isinstance(body, dict) else {}
        if info.get("more_records") is True:
            token = info.get("next_page_token")
            following = replace(place, page=place.page + 1, token=token if isinstance(token, str) else None)
        return Page([], deleted=gone), following

    def _converted(self, place: Place) -> tuple[Page, Place | None]:
        """Leads that were converted: gone from the leads, and by another id among the contacts (Quirk 10)."""
        if self._lead_fields is None:
            known = {field.get("api_name") for field in known_fields(self.api, LEADS.name)}
            self._lead_fields = [name for name in ("Email", CONVERTED_CONTACT) if name in known]
        rows, following = read_page(self.api, LEADS.name, self._lead_fields, place, converted="true")
        if self.of is LEADS:
            return Page([], deleted=[str(row["id"]) for row in rows]), following
        return Page([], merged=self._became(rows)), following

    def _became(self, leads: Sequence[dict[str, Any]]) -> list[Merge]:
        told = {str(lead["id"]): lookup_id(lead.get(CONVERTED_CONTACT)) for lead in leads}
        untold = {
            str(lead["id"]): str(lead["Email"]).lower() for lead in leads if CONVERTED_CONTACT not in lead and lead.get("Email")
        }
        found = refs_by_address(self.api, CONTACTS.name, list(dict.fromkeys(untold.values()))) if untold else {}
        told |= {lead: found[address][0] for lead, address in untold.items() if len(found.get(address, ())) == 1}
        return [Merge(lead, contact) for lead, contact in told.items() if contact]


def _kept(module: str) -> dict[str, object]:
    return {"converted": "false"} if module == LEADS.name else {}


def walk(api: Api, module: str, fields: Sequence[str]) -> Iterator[Sequence[dict[str, Any]]]:
    """Yield all records of a module, page by page; some may come twice."""
    place: Place | None = Place(header_time(api.now))
    while place is not None:
        rows, place = read_page(api, module, fields, place, **_kept(module))
        yield rows


def organisation(api: Api) -> Json:
    """Return what Zoho says of the organisation: id, company_name, iso_code of its currency (Quirk 13)."""
    found = rows_of(ask(api, "GET", f"{API}/org"), "org")
    if not found:
        raise ProtocolError("the answer names no organisation")
    return found[0]
