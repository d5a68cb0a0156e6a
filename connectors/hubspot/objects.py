"""
Reading contacts, companies and deals: all of them by GET, what changed by search, and afterwards what was archived.

A pull is a `Place` that moves: each step asks the vendor once (or a few times for one page) and gives the page's records and
the next place. The place is the resume token, so a killed pull continues where it stood. What a record means is `mapping`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.hubspot import vendor
from connectors.hubspot.mapping import (
    CONTACTS,
    EPOCH,
    ObjectType,
    Property,
    chosen,
    lowest,
    merges,
    moment,
    property_of,
    record_of,
    to_ms,
)
from core.contract import Api, Json, Page
from core.errors import AuthError, ProtocolError

INDEX_LAG: Final = timedelta(minutes=5)
"""How far behind now a search window ends (Quirk 4)."""
MAX_PROPERTIES_CHARS: Final = 6_000
"""Length of the `properties` parameter from which on they are read by a batch instead (Quirk 7)."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a pull has got."""

    phase: str
    """`list` or `search`, then `archived`."""
    end: int
    """The cursor to store when all is read, in milliseconds."""
    after: str | None = None
    """Of `list` and `archived`: the vendor's token of the page to ask for."""
    windows: tuple[tuple[int, int], ...] = ()
    """Of `search`: spans of the cursor property still to be read, end exclusive, the first of them from *last* on."""
    last: int = 0
    """Of `search`: the greatest id read in the first window."""

    def token(self) -> str:
        return json.dumps({name: value for name, value in asdict(self).items() if value}, separators=(",", ":"))

    @staticmethod
    def start(cursor: datetime | None, now: datetime) -> Place:
        """Everything without a cursor, else what changed from the cursor on."""
        end = to_ms(now - INDEX_LAG)
        if cursor is None:
            return Place("list", end)
        begin = to_ms(cursor)
        return Place("search", end, windows=((begin, end),)) if begin < end else Place("archived", begin)

    @staticmethod
    def resumed(token: str) -> Place | None:
        """The place that *token* names, or None if some other version wrote it."""
        try:
            parts = json.loads(token)
            windows = tuple((int(lo), int(hi)) for lo, hi in parts.pop("windows", ()))
            place = Place(**parts, windows=windows)
        except (TypeError, ValueError, AttributeError):
            return None
        return place if place.phase in ("list", "search", "archived") else None


def pull_objects(api: Api, of: ObjectType, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """All records of a type changed since *cursor* (all there are without one), then the ids of the archived ones."""
    reader = _Reader(api, of)
    place = (Place.resumed(resume) if resume else None) or Place.start(cursor, api.now)
    end = EPOCH + timedelta(milliseconds=place.end)
    while True:
        match place.phase:
            case "archived":
                deleted, following = reader.archived(place)
                records: Sequence[dict[str, Any]] = ()
            case "list":
                (records, following), deleted = reader.listed(place), ()
            case _:
                (records, following), deleted = reader.searched(place), ()
        yield Page(
            records, cursor=end, resume=following.token() if following else None, deleted=deleted, merged=merges(records)
        )
        if following is None:
            return
        place = following


class _Reader:
    """What one pull of one type needs: the portal's properties, asked for once, and for deals their stages and currency."""

    def __init__(self, api: Api, of: ObjectType) -> None:
        self.api = api
        self.of = of
        self.where = vendor.path("crm/objects", of.name)
        self.properties: Mapping[str, Property] = known_properties(api, of)
        self.stages: Mapping[str, str] = _stages(api) if of.name == "deals" else {}
        self._currency: str | None = None
        self._asked_currency = False

    def listed(self, place: Place) -> tuple[Sequence[dict[str, Any]], Place]:
        """Read one page of GET; consistent, unlike search, but without a filter or an order."""
        names = ",".join(self.properties)
        long = len(names) > MAX_PROPERTIES_CHARS  # Quirk 7
        body = self.api.get(
            self.where,
            limit=vendor.LIST_PAGE,
            after=place.after,
            properties="hs_object_id" if long else names,
            associations=",".join(self.of.associations) or None,
        )
        results: Sequence[Json] = vendor.list_of(body, "results")
        linked = {str(each["id"]): _inline(each.get("associations")) for each in results}
        if long:
            results = self._by_id([str(each["id"]) for each in results])
        records = [self._record(each, linked.get(str(each["id"]), {})) for each in results if self._recent(each)]
        after = _moved(vendor.next_after(body), place.after)
        return records, replace(place, after=after) if after else Place("archived", place.end)

    def searched(self, place: Place) -> tuple[Sequence[dict[str, Any]], Place]:
        """
        Read one page of a search, by keyset: always the first page of those in the window with an id above the last one.

        A window with more than the cap is halved, down to a millisecond, below which the keyset alone does it (Quirk 1).
        """
        if not place.windows:
            return (), Place("archived", place.end)
        (low, high), *later = place.windows
        body = self._search(low, high, place.last)
        while int(body.get("total") or 0) > vendor.SEARCH_CAP and high - low > 1 and place.last == 0:
            middle = (low + high) // 2
            later.insert(0, (middle, high))
            high = middle
            body = self._search(low, high, 0)
        results = vendor.list_of(body, "results")
        ids = [int(each["id"]) for each in results]
        more = int(body.get("total") or 0) > len(results)
        if (more and not results) or (ids and min(ids) <= place.last):
            raise ProtocolError("a search page does not follow from the one before")
        if more:
            following = replace(place, windows=((low, high), *later), last=max(ids))
        else:
            following = replace(place, windows=tuple(later), last=0) if later else Place("archived", place.end)
        linked = self._linked([str(each) for each in ids])
        return [self._record(each, linked.get(str(each["id"]), {})) for each in results], following

    def archived(self, place: Place) -> tuple[Sequence[str], Place | None]:
        """Read one page of archived ids. They cannot be filtered by date, so every pull reads them all (Quirk 9)."""
        body = self.api.get(self.where, limit=vendor.LIST_PAGE, after=place.after, archived=True, properties="hs_object_id")
        gone = [str(each["id"]) for each in vendor.list_of(body, "results") if each.get("archived") is not False]
        after = _moved(vendor.next_after(body), place.after)
        return gone, replace(place, after=after) if after else None

    def _search(self, low: int, high: int, last: int) -> Json:
        filters = [
            {"propertyName": self.of.changed, "operator": "GTE", "value": str(low)},
            {"propertyName": self.of.changed, "operator": "LT", "value": str(high)},
            {"propertyName": "hs_object_id", "operator": "GT", "value": str(last)},
        ]
        body = self.api.post(
            f"{self.where}/search",
            json={
                "filterGroups": [{"filters": filters}],
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                "properties": list(self.properties),
                "limit": vendor.SEARCH_PAGE,
            },
            repeat=True,
        )
        if not isinstance(body, dict) or not isinstance(body.get("total"), int):
            raise ProtocolError("a search did not say how many there are")
        return body

    def _by_id(self, ids: Sequence[str]) -> Sequence[Json]:
        if not ids:
            return ()
        inputs = [{"id": each} for each in ids]
        return vendor.read_batch(self.api, f"{self.where}/batch/read", {"properties": list(self.properties), "inputs": inputs})

    def _linked(self, ids: Sequence[str]) -> dict[str, dict[str, str | None]]:
        """Return what search leaves out: the associations of each id (Quirk 13)."""
        linked: dict[str, dict[str, str | None]] = {}
        for to in self.of.associations:
            where = vendor.path("crm/associations", self.of.name, to, "batch", "read")
            for start in range(0, len(ids), vendor.BATCH):
                inputs = [{"id": each} for each in ids[start : start + vendor.BATCH]]
                for found in vendor.read_batch(self.api, where, {"inputs": inputs}):
                    one = lowest(each["toObjectId"] for each in found.get("to", ()))
                    linked.setdefault(str(found["from"]["id"]), {})[to] = one
        return linked

    def _recent(self, result: Json) -> bool:
        """Whether a listed record changed since the setting `start`; GET itself cannot be asked for that."""
        start = self.api.settings.start
        changed = moment(result.get("updatedAt"))
        return start is None or changed is None or changed.date() >= start

    def _record(self, result: Json, linked: Mapping[str, str | None]) -> dict[str, Any]:
        record: dict[str, Any] = record_of(result, self.properties)
        if self.of.name != "deals":
            return record
        own = record["properties"]
        record["stage"] = self.stages.get(str(own.get("dealstage")), own.get("dealstage"))
        record["currency"] = str(own.get("deal_currency_code") or self._portal_currency() or "").upper() or None
        record["company_id"] = linked.get("companies")
        record["contact_id"] = linked.get("contacts")  # one at most: a deal must not make one person of two
        return record

    def _portal_currency(self) -> str | None:
        if not self._asked_currency:
            self._asked_currency = True
            try:
                self._currency = details(self.api).get("companyCurrency")
            except AuthError as error:
                if error.status != 403:
                    raise
        return self._currency


def details(api: Api) -> Mapping[str, Any]:
    """Return what the vendor says of the portal: portalId, timeZone, companyCurrency, ... (docs: account-information)."""
    body = api.get(vendor.path("account-info", "details"))
    if not isinstance(body, dict):
        raise ProtocolError("the account's details are not an object")
    return body


def known_properties(api: Api, of: ObjectType) -> dict[str, Property]:
    """Ask which properties the portal has and return those to be read."""
    return chosen(_defined(api, of), of.properties, _configured(api, of))


def unknown_properties(api: Api, of: ObjectType) -> list[str]:
    """Read a record's worth of the type and return the configured properties that the portal does not have."""
    api.get(vendor.path("crm/objects", of.name), limit=1)
    return sorted({*_configured(api, of)} - {each.name for each in _defined(api, of)} - {"*"})


def _defined(api: Api, of: ObjectType) -> list[Property]:
    body = api.get(vendor.path("crm/properties", of.name))
    return [property_of(each) for each in vendor.list_of(body, "results") if each.get("archived") is not True]


def _configured(api: Api, of: ObjectType) -> list[str]:
    names = [*api.settings.properties.get(of.name, ())]
    user_id: str | None = api.settings.user_id_property if of is CONTACTS else None
    return [*names, user_id] if user_id else names


def _stages(api: Api) -> dict[str, str]:
    """Return the label of each deal stage: ids are opaque, or `closedwon` in one pipeline alone (Quirk 11)."""
    body = api.get(vendor.path("crm/pipelines", "deals"))
    return {
        str(stage["id"]): str(stage["label"])
        for pipeline in vendor.list_of(body, "results")
        for stage in vendor.list_of(pipeline, "stages", needed=False)
    }


def _inline(associations: Json) -> dict[str, str | None]:
    """Return the associations that came with an object of GET; each id is listed once a type, so often twice."""
    if not isinstance(associations, dict):
        return {}
    return {to: lowest(each["id"] for each in held.get("results", ())) for to, held in associations.items()}


def _moved(after: str | None, before: str | None) -> str | None:
    if after is not None and after == before:
        raise ProtocolError("the vendor gave the same page token twice")
    return after
