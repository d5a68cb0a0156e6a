"""The form of the sandbox's refusals and values, and what a query or a description of an object is answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connectors.salesforce.sandbox_soql import MalformedError, Query, parse, plain
from connectors.salesforce.sandbox_state import State
from connectors.salesforce.vendor import ROOT
from core.contract import Ask, Refused, Reply

PAGE: Final = 2_000
LOCATOR_LIFE: Final = timedelta(days=2)
MAX_URL: Final = 16_384


def refused(status: int, code: str, message: str = "refused") -> Refused:
    """Return a refusal: always an array."""
    return Refused(status, [{"message": message, "errorCode": code}])


def json_value(value: Any) -> Any:
    """Return a value as a query's JSON has it: no colon in the offset."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    return value


def csv_value(value: Any) -> str:
    """Return a value as a job's CSV has it: another spelling of times, and nothing for null."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        case _:
            return str(value)


class QueryAnswers:
    """Queries, their further pages, and descriptions."""

    def __init__(self, state: State, *, hidden: Collection[str], page_rows: int) -> None:
        self.state, self.hidden, self.page_rows = state, frozenset(hidden), page_rows
        self.timeouts = 0
        """How many of the next queries take too long."""
        self._kept: dict[str, tuple[datetime, Query, list[Mapping[str, Any]]]] = {}

    def fields(self, sobject: str) -> dict[str, str]:
        """Return the fields that the token may see."""
        return {name: kind for name, kind in self.state.fields[sobject].items() if f"{sobject}.{name}" not in self.hidden}

    def describe(self, ask: Ask) -> Reply:
        sobject = ask.params["sobject"]
        if sobject not in self.state.fields:
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        fields = [
            {"name": name, "type": kind, "custom": name.endswith("__c"), "createable": name != "Id", "updateable": name != "Id"}
            for name, kind in self.fields(sobject).items()
        ]
        may = {what: f"{sobject}/{what}" not in self.hidden for what in ("createable", "deletable", "updateable")}
        return Reply({"name": sobject, "fields": fields, "queryable": True, **may})

    def query(self, ask: Ask) -> Reply:
        return self._first(ask, deleted=False)

    def query_all(self, ask: Ask) -> Reply:
        return self._first(ask, deleted=True)

    def further(self, ask: Ask) -> Reply:
        key, _, offset = ask.params["locator"].rpartition("-")
        made, query, rows = self._kept.get(key) or (None, None, [])
        if query is None or made is None or self.state.now() - made > LOCATOR_LIFE or not offset.isdigit():
            raise refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(key, query, rows, int(offset))

    def read(self, soql: str, *, deleted: bool) -> tuple[Query, list[Mapping[str, Any]]]:
        """Return a query and its rows; refused as the vendor does."""
        try:
            query = parse(soql)
        except MalformedError as error:
            raise refused(400, "MALFORMED_QUERY", str(error)) from error
        if query.sobject not in self.state.fields:
            raise refused(400, "INVALID_TYPE", f"sObject type '{query.sobject}' is not supported.")
        unknown = query.named - self.fields(query.sobject).keys()
        if unknown:
            raise refused(400, "INVALID_FIELD", f"No such column '{min(unknown)}' on entity '{query.sobject}'.")
        every: Iterable[Mapping[str, Any]] = self.state.records[query.sobject].values()
        rows = [row for row in every if (deleted or not row.get("IsDeleted")) and query.test(row)]
        if query.order:
            rows.sort(key=lambda row: tuple(plain(row.get(name)) for name in query.order))
        return query, rows[: query.limit]

    def _first(self, ask: Ask, *, deleted: bool) -> Reply:
        if len(ask.url) > MAX_URL:
            raise Refused(414, None)
        if self.timeouts:
            self.timeouts -= 1
            raise refused(400, "QUERY_TIMEOUT", "Your query request was running for too long.")
        query, rows = self.read(ask.one("q") or "", deleted=deleted)
        key = f"01gxx{len(self._kept):010d}AAA"
        self._kept[key] = (self.state.now(), query, rows)
        return self._page(key, query, rows, 0)

    def _page(self, key: str, query: Query, rows: list[Mapping[str, Any]], offset: int) -> Reply:
        end = offset + min(PAGE, self.page_rows)
        body: dict[str, Any] = {"totalSize": len(rows), "done": end >= len(rows)}
        if end < len(rows):
            body["nextRecordsUrl"] = f"{ROOT}/query/{key}-{end}"  # it says query, whichever was asked
        body["records"] = [
            {
                "attributes": {"type": query.sobject, "url": f"{ROOT}/sobjects/{query.sobject}/{row['Id']}"},
                **{name: json_value(row.get(name)) for name in query.fields},
            }
            for row in rows[offset:end]
        ]
        return Reply(body)
