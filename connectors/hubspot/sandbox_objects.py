"""What the sandbox answers about objects: pages, searches, batches, associations, properties, the account."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from connectors.hubspot.sandbox_form import Ask, Refused, Reply, batch, inputs, invalid, number, object_of, page
from connectors.hubspot.sandbox_state import CHANGED, State, Stored, text

LIST_PAGE, SEARCH_PAGE, MAX_URL = 100, 200, 8_000
DEFAULTS: Final = {
    "contacts": ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    "companies": ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
    "deals": ("amount", "closedate", "createdate", "dealname", "dealstage", "hs_lastmodifieddate", "hs_object_id", "pipeline"),
}
"""What comes back without being asked for."""


class ObjectAnswers:
    """One method an endpoint."""

    def __init__(self, state: State, *, portal_id: int, search_cap: int, secondary_emails: bool) -> None:
        self.state, self.portal_id, self.search_cap, self.secondary_emails = state, portal_id, search_cap, secondary_emails

    def account(self, _ask: Ask) -> Reply:
        return Reply({"portalId": self.portal_id, "accountType": "STANDARD", "timeZone": "UTC", "companyCurrency": "EUR"})

    def gdpr_delete(self, ask: Ask) -> Reply:
        """Delete for good, by id or by address; an address that nobody has is blocked."""
        of, body = ask.path["type"], object_of(ask)
        id_ = str(body.get("objectId"))
        if body.get("idProperty") == "email":
            found = self.state.by_email(additional=False).get(id_.lower())
            if found is None:
                self.state.blocked.add(id_.lower())
                return Reply(None, 204)
            id_ = found.id
        if id_ not in self.state.objects[of]:
            raise Refused(404, "OBJECT_NOT_FOUND", "Object not found.")
        self.state.forget(of, [id_])
        return Reply(None, 204)

    def properties(self, ask: Ask) -> Reply:
        return Reply({"results": list(self.state.definitions[ask.path["type"]].values())})

    def pipelines(self, _ask: Ask) -> Reply:
        stages = [{"id": id_, "label": label, "archived": False} for id_, label in self.state.stages.items()]
        return Reply({"results": [{"id": "default", "label": "Sales", "stages": stages}]})

    def objects(self, ask: Ask) -> Reply:
        of, query = ask.path["type"], ask.query
        if ask.url_length > MAX_URL:
            raise Refused(414, "VALIDATION_ERROR", "URI too long")
        limit = number(query.get("limit", "10"), 1, LIST_PAGE)
        archived = query.get("archived") == "true"
        first = number(query.get("after", "0"), 0, None)
        rows = [s for s in self.state.objects[of].values() if (s.archived_at is not None) is archived and int(s.id) >= first]
        rows.sort(key=lambda stored: int(stored.id))
        names = query.get("properties", "").split(",")
        to = [each for each in query.get("associations", "").split(",") if each]
        results = [self._object(of, stored, stored.properties, names, to) for stored in rows[:limit]]
        return Reply(page(results, rows[limit].id if len(rows) > limit else None))

    def search(self, ask: Ask) -> Reply:
        of, body = ask.path["type"], object_of(ask)
        groups = body.get("filterGroups", [])
        if len(groups) > 5 or any(len(group["filters"]) > 10 for group in groups):
            raise invalid("too many filters")
        limit, after = number(body.get("limit", 10), 1, SEARCH_PAGE), number(body.get("after", 0), 0, None)
        if after + limit > self.search_cap:
            raise invalid(f"The total number of results that can be paged through is {self.search_cap}")
        tests = [[self._test(of, each) for each in group["filters"]] for group in groups]
        found = [
            (stored, properties)
            for stored, properties in self.state.indexed(of)
            if not tests or any(all(test(properties) for test in group) for group in tests)
        ]
        for sort in reversed(body.get("sorts", [])):
            name = self._known(of, sort["propertyName"])
            found.sort(key=lambda pair: _comparable(pair[1].get(name) or "0"), reverse=sort.get("direction") == "DESCENDING")
        shown = found[after : after + limit]
        results = [self._object(of, stored, properties, body.get("properties", []), []) for stored, properties in shown]
        return Reply({"total": len(found), **page(results, str(after + limit) if len(found) > after + limit else None)})

    def batch_read(self, ask: Ask) -> Reply:
        of, body = ask.path["type"], object_of(ask)
        ids, by = inputs(body), body.get("idProperty", "hs_object_id")
        if by not in ("hs_object_id", "email") or (by == "email" and of != "contacts"):
            raise invalid(f"{by} is not a unique property")
        known = self.state.by_email(additional=self.secondary_emails) if by == "email" else self.state.objects[of]
        found: dict[str, Stored] = {}
        missing: list[str] = []
        for id_ in ids:
            stored = known.get(id_.lower())
            if stored is None or stored.archived_at is not None:
                missing.append(id_)
            else:
                found[stored.id] = stored
        names = body.get("properties", [])
        return batch([self._object(of, each, each.properties, names, []) for each in found.values()], of, missing)

    def batch_upsert(self, ask: Ask) -> Reply:
        of, body = ask.path["type"], object_of(ask)
        addresses = [address.lower() for address in inputs(body)]
        if len(set(addresses)) < len(addresses):
            raise invalid("Duplicate ids in the batch")
        if of != "contacts" or any(each.get("idProperty") != "email" for each in body["inputs"]):
            raise invalid("idProperty must be a unique property")
        known = self.state.by_email(additional=True)
        results, errors = [], []
        for each in body["inputs"]:
            if "@" not in each["id"]:
                context = {"ids": [each["id"]], "objectWriteTraceId": [each.get("objectWriteTraceId")]}
                errors.append({"status": "error", "category": "VALIDATION_ERROR", "message": "invalid", "context": context})
                continue
            there = known.get(each["id"].lower())
            values = each.get("properties", {}) | ({} if there else {"email": each["id"]})
            stored = self.state.write(of, there.id if there else self.state.serial(), values)
            results.append({**self._object(of, stored, stored.properties, ["email"], []), "new": there is None})
        answer = {"status": "COMPLETE", "results": results}
        return Reply({**answer, "numErrors": len(errors), "errors": errors}, 207) if errors else Reply(answer)

    def associations(self, ask: Ask) -> Reply:
        of, to = ask.path["type"], ask.path["to"]
        results, missing = [], []
        for id_ in inputs(object_of(ask)):
            stored = self.state.objects[of].get(id_)
            linked = stored.linked.get(to, []) if stored else []
            if linked:
                kinds = [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}]
                results.append({"from": {"id": id_}, "to": [{"toObjectId": int(i), "associationTypes": kinds} for i in linked]})
            else:
                missing.append(id_)
        return batch(results, of, missing)

    def _known(self, of: str, name: str) -> str:
        if name not in self.state.definitions[of]:
            raise invalid(f"There was a problem with the request: no property {name}")
        return name

    def _test(self, of: str, wanted: Mapping[str, Any]) -> Callable[[Mapping[str, str | None]], bool]:
        name, operator, value = self._known(of, wanted["propertyName"]), wanted["operator"], wanted.get("value")
        if value is None or operator not in _OPERATORS:
            raise invalid(f"operator {operator} is not understood")
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
    "GTE": lambda a, b: type(a) is type(b) and a >= b,  # type: ignore[operator]  # as above
    "LT": lambda a, b: type(a) is type(b) and a < b,  # type: ignore[operator]  # as above
    "LTE": lambda a, b: type(a) is type(b) and a <= b,  # type: ignore[operator]  # as above
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
