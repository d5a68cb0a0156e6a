"""What the sandbox answers to each endpoint, once a request is let in. Anything that the vendor would refuse is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request

from connectors.hubspot.sandbox_state import CHANGED, State, Stored, StoredList, text
from core.contract import ListChange

LIST_PAGE, SEARCH_PAGE, BATCH, MEMBERS_PAGE, LISTS_PAGE = 100, 200, 100, 250, 500
MAX_URL: Final = 8_000
DEFAULTS: Final = {
    "contacts": ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    "companies": ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
    "deals": ("amount", "closedate", "createdate", "dealname", "dealstage", "hs_lastmodifieddate", "hs_object_id", "pipeline"),
}
"""What comes back without being asked for."""


class Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    """An answer in the form of the vendor's errors."""

    def __init__(self, status: int, category: str, message: str, *, errors: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers: Mapping[str, str] = {}
        self.body: dict[str, object] = {
            "status": "error", "message": message, "correlationId": "sandbox", "category": category, "errors": list(errors),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is none."""

    body: Any
    status: int = 200


class Answers:
    """One method an endpoint: `(request, raw body) -> Reply`."""

    def __init__(
        self,
        state: State,
        change_log: list[ListChange],
        *,
        portal_id: int,
        search_cap: int,
        membership_cap: int,
        secondary_emails: bool,
        name_conflict: int,
    ) -> None:
        self.state, self.change_log = state, change_log
        self.portal_id, self.search_cap, self.membership_cap = portal_id, search_cap, membership_cap
        self.secondary_emails, self.name_conflict = secondary_emails, name_conflict

    def account(self, _request: Request, _raw: bytes) -> Reply:
        return Reply({"portalId": self.portal_id, "accountType": "STANDARD", "timeZone": "UTC", "companyCurrency": "EUR"})

    def properties(self, request: Request, _raw: bytes) -> Reply:
        return Reply({"results": list(self.state.definitions[request.path_params["type"]].values())})

    def pipelines(self, _request: Request, _raw: bytes) -> Reply:
        stages = [{"id": id_, "label": label, "archived": False} for id_, label in self.state.stages.items()]
        return Reply({"results": [{"id": "default", "label": "Sales", "stages": stages}]})

    def objects(self, request: Request, _raw: bytes) -> Reply:
        of, query = request.path_params["type"], request.query_params
        if len(str(request.url)) > MAX_URL:
            raise Refused(414, "VALIDATION_ERROR", "URI too long")
        limit = _number(query.get("limit", "10"), 1, LIST_PAGE)
        archived = query.get("archived") == "true"
        first = _number(query.get("after", "0"), 0, None)
        rows = [s for s in self.state.objects[of].values() if (s.archived_at is not None) is archived and int(s.id) >= first]
        rows.sort(key=lambda stored: int(stored.id))
        names = query.get("properties", "").split(",")
        to = [each for each in query.get("associations", "").split(",") if each]
        results = [self._object(of, stored, stored.properties, names, to) for stored in rows[:limit]]
        return Reply(_page(results, rows[limit].id if len(rows) > limit else None))

    def search(self, request: Request, raw: bytes) -> Reply:
        of, body = request.path_params["type"], _object(raw)
        groups = body.get("filterGroups", [])
        if len(groups) > 5 or any(len(group["filters"]) > 10 for group in groups):
            raise _invalid("too many filters")
        limit, after = _number(body.get("limit", 10), 1, SEARCH_PAGE), _number(body.get("after", 0), 0, None)
        if after + limit > self.search_cap:
            raise _invalid(f"The total number of results that can be paged through is {self.search_cap}")
        tests = [[self._test(of, each) for each in group["filters"]] for group in groups]
        found = [
            (stored, properties)
            for stored, properties in self.state.indexed(of)
            if not tests or any(all(test(properties) for test in group) for group in tests)
        ]
        for sort in reversed(body.get("sorts", [])):
            name = self._known(of, sort["propertyName"])
            found.sort(key=lambda pair: _comparable(pair[1].get(name) or "0"), reverse=sort.get("direction") == "DESCENDING")
        page = found[after : after + limit]
        results = [self._object(of, stored, properties, body.get("properties", []), []) for stored, properties in page]
        return Reply({"total": len(found), **_page(results, str(after + limit) if len(found) > after + limit else None)})

    def batch_read(self, request: Request, raw: bytes) -> Reply:
        of, body = request.path_params["type"], _object(raw)
        ids, by = _inputs(body), body.get("idProperty", "hs_object_id")
        if by not in ("hs_object_id", "email") or (by == "email" and of != "contacts"):
            raise _invalid(f"{by} is not a unique property")
        found: dict[str, Stored] = {}
        missing: list[str] = []
        for id_ in ids:
            if by == "email":
                stored = self.state.by_email(id_, additional=self.secondary_emails)
            else:
                stored = self.state.objects[of].get(id_)
            if stored is None or stored.archived_at is not None:
                missing.append(id_)
            else:
                found[stored.id] = stored
        names = body.get("properties", [])
        return _batch([self._object(of, each, each.properties, names, []) for each in found.values()], of, missing)

    def batch_upsert(self, request: Request, raw: bytes) -> Reply:
        of, body = request.path_params["type"], _object(raw)
        addresses = [address.lower() for address in _inputs(body)]
        if len(set(addresses)) < len(addresses):
            raise _invalid("Duplicate ids in the batch")
        if of != "contacts" or any(each.get("idProperty") != "email" for each in body["inputs"]):
            raise _invalid("idProperty must be a unique property")
        results, errors = [], []
        for each in body["inputs"]:
            if "@" not in each["id"]:
                context = {"ids": [each["id"]], "objectWriteTraceId": [each.get("objectWriteTraceId")]}
                errors.append({"status": "error", "category": "VALIDATION_ERROR", "message": "invalid", "context": context})
                continue
            known = self.state.by_email(each["id"], additional=True)
            id_ = known.id if known else self.state.serial()
            stored = self.state.write(of, id_, each.get("properties", {}) | ({} if known else {"email": each["id"]}))
            results.append({**self._object(of, stored, stored.properties, ["email"], []), "new": known is None})
        answer = {"status": "COMPLETE", "results": results}
        return Reply({**answer, "numErrors": len(errors), "errors": errors}, 207) if errors else Reply(answer)

    def associations(self, request: Request, raw: bytes) -> Reply:
        of, to = request.path_params["type"], request.path_params["to"]
        results, missing = [], []
        for id_ in _inputs(_object(raw)):
            stored = self.state.objects[of].get(id_)
            linked = stored.linked.get(to, []) if stored else []
            if linked:
                kinds = [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}]
                results.append({"from": {"id": id_}, "to": [{"toObjectId": int(i), "associationTypes": kinds} for i in linked]})
            else:
                missing.append(id_)
        return _batch(results, of, missing)

    def list_by_name(self, request: Request, _raw: bytes) -> Reply:
        found = self.state.list_named(request.path_params["name"])
        if found is None:
            raise Refused(404, "OBJECT_NOT_FOUND", "List does not exist.")
        return Reply({"list": _list(found)})

    def list_by_id(self, request: Request, _raw: bytes) -> Reply:
        return Reply({"list": _list(self._list(request))})

    def list_search(self, _request: Request, raw: bytes) -> Reply:
        body = _object(raw)
        count, offset = _number(body.get("count", 20), 1, LISTS_PAGE), _number(body.get("offset", 0), 0, None)
        found = [_list(each) for each in self.state.lists.values() if str(body.get("query", "")) in each.name]
        page = found[offset : offset + count]
        end = offset + len(page)
        return Reply({"lists": page, "offset": end, "hasMore": end < len(found), "total": len(found)})

    def list_create(self, _request: Request, raw: bytes) -> Reply:
        body = _object(raw)
        if body.get("objectTypeId") != "0-1" or body.get("processingType") not in ("MANUAL", "SNAPSHOT", "DYNAMIC"):
            raise _invalid("objectTypeId and processingType are required")
        if not str(body.get("name") or "").strip():
            raise _invalid("name is required")
        if self.state.list_named(body["name"]) is not None:
            raise Refused(self.name_conflict, "VALIDATION_ERROR", "A list with that name already exists.")
        return Reply({"list": _list(self.state.make_list(body["name"], body["processingType"]))})

    def members(self, request: Request, _raw: bytes) -> Reply:
        of, query = self._list(request), request.query_params
        limit, first = _number(query.get("limit", "100"), 1, MEMBERS_PAGE), _number(query.get("after", "0"), 0, None)
        ids = sorted((int(each) for each in of.members if int(each) >= first))
        results = [{"recordId": str(i), "membershipTimestamp": text(of.members[str(i)])} for i in ids[:limit]]
        return Reply({**_page(results, str(ids[limit]) if len(ids) > limit else None), "total": len(of.members)})

    def change_members(self, request: Request, raw: bytes) -> Reply:
        of, body = self._list(request), _object(raw)
        if of.processing == "DYNAMIC":
            raise _invalid("Membership of a DYNAMIC list cannot be changed.")
        adds = [str(each) for each in body.get("recordIdsToAdd", [])]
        removes = [str(each) for each in body.get("recordIdsToRemove", [])]
        if not all(each.isdecimal() for each in (*adds, *removes)):
            raise _invalid("record ids are numbers")
        if len(adds) + len(removes) > self.membership_cap:
            raise _invalid("too many record ids")
        known = {stored.id for stored in self.state.live("contacts")} if adds or removes else set()
        added = [each for each in dict.fromkeys(adds) if each in known and each not in of.members]
        removed = [each for each in dict.fromkeys(removes) if each in known and each in of.members]
        of.members |= dict.fromkeys(added, self.state.now())
        for each in removed:
            del of.members[each]
        self.change_log += [ListChange(of.name, "add", each) for each in added]
        self.change_log += [ListChange(of.name, "remove", each) for each in removed]
        missing = [each for each in dict.fromkeys([*adds, *removes]) if each not in known]
        return Reply({"recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing})

    def _list(self, request: Request) -> StoredList:
        found = self.state.lists.get(request.path_params["list"])
        if found is None:
            raise Refused(404, "OBJECT_NOT_FOUND", "List does not exist.")
        return found

    def _known(self, of: str, name: str) -> str:
        if name not in self.state.definitions[of]:
            raise _invalid(f"There was a problem with the request: no property {name}")
        return name

    def _test(self, of: str, wanted: Mapping[str, Any]) -> Callable[[Mapping[str, str | None]], bool]:
        name, operator, value = self._known(of, wanted["propertyName"]), wanted["operator"], wanted.get("value")
        if value is None or operator not in _OPERATORS:
            raise _invalid(f"operator {operator} is not understood")
        compare, limit = _OPERATORS[operator], _comparable(str(value))
        return lambda properties: properties.get(name) is not None and compare(_comparable(str(properties[name])), limit)

    def _object(
        self, of: str, stored: Stored, properties: Mapping[str, str | None], names: Sequence[str], to: Sequence[str]
    ) -> dict[str, Any]:
        asked = sorted({*DEFAULTS[of], *names} & self.state.definitions[of].keys())
        answer: dict[str, Any] = {
            "id": stored.id, "properties": {name: properties.get(name) for name in asked}, "createdAt": text(stored.created),
            "updatedAt": properties[CHANGED[of]], "archived": stored.archived_at is not None,
        }  # fmt: skip
        if stored.archived_at is not None:
            answer["archivedAt"] = text(stored.archived_at)
        linked = {name: stored.linked.get(name, []) for name in to}
        if any(linked.values()):
            answer["associations"] = {
                name: {
                    "results": [{"id": i, "type": kind} for i in ids for kind in (f"{of}_to_{name}", f"{of}_to_{name}_more")]
                }
                for name, ids in linked.items()
                if ids
            }
        return answer


_OPERATORS: Final[Mapping[str, Callable[[float | str, float | str], bool]]] = {
    "EQ": lambda a, b: a == b,
    "GT": lambda a, b: type(a) is type(b) and a > b,  # type: ignore[operator]  # of one type here
    "GTE": lambda a, b: type(a) is type(b) and a >= b,  # type: ignore[operator]
    "LT": lambda a, b: type(a) is type(b) and a < b,  # type: ignore[operator]
    "LTE": lambda a, b: type(a) is type(b) and a <= b,  # type: ignore[operator]
}


def _comparable(value: str) -> float | str:
    """Return a number, or a time as its milliseconds, or else the text."""
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return float(round(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp() * 1000))
    except ValueError:
        return value.lower()


def _invalid(message: str) -> Refused:
    return Refused(400, "VALIDATION_ERROR", message)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _invalid("Invalid input JSON")
    return body


def _inputs(body: Mapping[str, Any]) -> list[str]:
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= BATCH:
        raise _invalid(f"inputs must hold 1 to {BATCH}")
    return [str(each["id"]) for each in inputs]


def _number(value: object, low: int, high: int | None) -> int:
    number = int(str(value)) if str(value).isdecimal() else -1
    if number < low or (high is not None and number > high):
        raise _invalid(f"limit or after must lie between {low} and {high}")
    return number


def _page(results: Sequence[object], after: str | None) -> dict[str, Any]:
    return {"results": results, **({"paging": {"next": {"after": after}}} if after else {})}


def _batch(results: Sequence[object], of: str, missing: Sequence[str]) -> Reply:
    answer = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": "2026-01-01T00:00:00Z",
        "completedAt": "2026-01-01T00:00:00Z",
    }
    if not missing:
        return Reply(answer)
    message = f"Could not get some {of.upper()} objects, they may be deleted or not exist."
    error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": list(missing)}}
    return Reply({**answer, "numErrors": 1, "errors": [error]}, 207)


def _list(of: StoredList) -> dict[str, Any]:
    return {
        "listId": of.id, "name": of.name, "objectTypeId": "0-1", "processingType": of.processing, "processingStatus": "COMPLETE",
        "listVersion": 1, "size": len(of.members),
    }  # fmt: skip
