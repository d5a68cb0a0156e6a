"""
Zoho CRM on loopback: the endpoints that the connector uses, over the records of `sandbox_state`, as unkind as the vendor.

It plays the accounts host and the API in one: refresh tokens are few, errors come at status 200, the scheme and the scopes are
asked for, credits are counted, pages need tokens, and batches fail by the row. How many requests there are at once it cannot
tell: it serves one at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from connectors.zoho_crm import sandbox_coql as coql
from connectors.zoho_crm.sandbox_accounts import CLIENT, REFRESH_TOKEN, SECRET, Accounts
from connectors.zoho_crm.sandbox_form import body_of, needed_scope, number, problem, refused, since
from connectors.zoho_crm.sandbox_pages import PageTokens
from connectors.zoho_crm.sandbox_state import EMAILS, MODULES, ORGANISATION, State, Stored, text, upserted
from connectors.zoho_crm.sandbox_tags import TagAnswers
from core.contract import Ask, Endpoint, Refused, Reply, Sandbox, Window, make_app

CREDITS: Final = (50_000, 86_400.0)  # of the smallest paid edition
ORG: Final = {
    "id": f"{ORGANISATION}000000000225", "company_name": "Example AB", "iso_code": "EUR", "type": "production",
}  # fmt: skip
DISCRETE: Final = 2_000  # records that `page` reaches


class ZohoSandbox(Sandbox):
    """
    One organisation. Switches for what no page confirms:

        token_error_status: of the token endpoint's errors (200 or 400).
        rows_status: of a batch of which some rows failed (200, 207 or 400).
        absent_tag_is_error: whether taking a tag off that is not there fails.
        tags_as_objects: how add_tags names the tags of a record.
        converted_fields: the fields of leads that tell of a conversion.
        carries_tags: whether a converted lead's tags come along.
        ignores_case: whether COQL compares text without case.
        discrete_deleted: whether the list of deleted records ends at 2,000; None: it has page tokens.
        credit_headers: whether a 429 says that no credits are left.
    """

    base_path: ClassVar[str] = ""

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        rate_factor: float = 1.0,
        credits: float = CREDITS[0],
        token_error_status: int = 200,
        rows_status: int = 200,
        absent_tag_is_error: bool = False,
        tags_as_objects: bool = False,
        converted_fields: tuple[str, ...] = ("Converted__s", "Converted_Contact"),
        carries_tags: bool = False,
        ignores_case: bool = True,
        discrete_deleted: bool | None = True,
        credit_headers: bool = False,
        reach: int = 100_000,
        tags_per_record: int = 10,
        tags_per_module: int = 100,
    ) -> None:
        super().__init__(now=now)
        self.state = State(lambda: self.now(), self.change_log, carries_tags=carries_tags)
        for name in converted_fields:
            self.state.fields["Leads"][name] = {"api_name": name, "data_type": "boolean", "custom_field": False}
        self.lacking: set[str] = set()
        """Scopes that the token does not have, without `ZohoCRM.`."""
        self.org: dict[str, Any] = dict(ORG)
        self.accounts = Accounts(lambda: self.now(), rate_factor, token_error_status)
        self.credits_spent = 0
        self._credit_headers = credit_headers
        self._ignores_case, self._discrete_deleted = ignores_case, discrete_deleted
        self._credit_window = Window(credits * rate_factor, CREDITS[1])
        self._pages = PageTokens(lambda: self.now(), reach)
        tags = TagAnswers(
            self.state, rows_status=rows_status, absent_is_error=absent_tag_is_error, as_objects=tags_as_objects,
            per_record=tags_per_record, per_module=tags_per_module,
        )  # fmt: skip
        self._rows_status, self.locked = rows_status, tags.locked
        self._lock = threading.RLock()
        self.app = make_app(self, self._endpoints(tags), self._admit, self._lock)

    def _endpoints(self, tags: TagAnswers) -> list[Endpoint]:
        v8, module = "/crm/v8", "/crm/v8/{module}"
        return [
            Endpoint("GET", "/oauth/v2/auth", self.accounts.authorize),
            Endpoint("POST", "/oauth/v2/token", self.accounts.token),
            Endpoint("GET", f"{v8}/org", lambda ask: Reply({"org": [self.org]})),
            Endpoint("GET", f"{v8}/settings/fields", self._fields),
            Endpoint("GET", f"{v8}/settings/tags", tags.listed),
            Endpoint("POST", f"{v8}/settings/tags", tags.make, write=True),
            Endpoint("POST", f"{v8}/coql", self._coql),
            Endpoint("GET", f"{module}/deleted", self._deleted),
            Endpoint("POST", f"{module}/upsert", self._upsert, write=True),
            Endpoint("POST", f"{module}/actions/add_tags", lambda ask: tags.change(ask, on=True), write=True),
            Endpoint("POST", f"{module}/actions/remove_tags", lambda ask: tags.change(ask, on=False), write=True),
            Endpoint("GET", module, self._records),
        ]

    # What a test or the demo does to it ------------------------------------------------------------------------------

    def settings(self) -> Mapping[str, object]:
        return {
            "client_id": CLIENT, "client_secret": SECRET, "refresh_token": REFRESH_TOKEN, "data_centre": "eu",
            "email_fields": list(EMAILS[1:]),
        }  # fmt: skip

    def oauth_settings(self) -> Mapping[str, object]:
        """Return what `settings` does, for a connection that signs in."""
        return {key: value for key, value in self.settings().items() if key != "refresh_token"}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        if what != "people" and what not in MODULES:
            raise KeyError(what)
        with self._lock:
            self.state.load(what, rows)

    def delete(self, what: str, ids: Iterable[str]) -> None:
        """Put records into the recycle bin."""
        with self._lock:
            for id_ in ids:
                self.state.delete(what, id_, type_="recycle")

    def purge(self, what: str, ids: Iterable[str]) -> None:
        """Delete records for good."""
        with self._lock:
            for id_ in ids:
                self.state.delete(what, id_, type_="permanent")

    def merge(self, what: str, loser: str, winner: str) -> None:
        with self._lock:
            self.state.merge(what, loser, winner)

    def audiences(self) -> Mapping[str, frozenset[str]]:
        with self._lock:
            return self.state.audiences()

    # Every request ---------------------------------------------------------------------------------------------------

    def _admit(self, ask: Ask) -> None:
        if ask.path.startswith("/oauth/"):
            return
        scheme, _, token = ask.headers.get("authorization", "").partition(" ")
        if scheme != "Zoho-oauthtoken" or token not in self.accounts.issued:
            raise refused(401, "INVALID_TOKEN", "invalid oauth token")
        if (scope := needed_scope(ask)) in self.lacking:
            raise refused(401, "OAUTH_SCOPE_MISMATCH", f"invalid oauth scope to access this URL: {scope}")
        cost = 1
        if ask.path == "/crm/v8/coql":
            cost = coql.parse(str(body_of(ask).get("select_query")), ignore_case=True).credits
        if not self._credit_window.admits(cost):
            headers = {"x-api-credits-remaining": "0"} if self._credit_headers else {}
            raise Refused(429, problem("TOO_MANY_REQUESTS", "you have exceeded the api limit"), headers=headers)
        self.credits_spent += cost
        if (module := ask.params.get("module", ask.one("module"))) is not None and module not in self.state.records:
            raise refused(400, "INVALID_MODULE", "the module name given seems to be invalid")

    # Reading ---------------------------------------------------------------------------------------------------------

    def _fields(self, ask: Ask) -> Reply:
        return Reply({"fields": list(self.state.fields[ask.one("module") or ""].values())})

    def _records(self, ask: Ask) -> Reply:
        module = ask.params["module"]
        names = (ask.one("fields") or "").split(",")
        if not any(names):
            raise refused(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="fields")
        if len(names) > 50:
            raise refused(400, "LIMIT_EXCEEDED", "the limit of fields is exceeded", limit=50)
        converted = {"true": True, "both": None}.get(ask.one("converted", "false") or "", False)
        after, ids = since(ask), ask.one("ids")
        chosen = set(ids.split(",")) if ids is not None else None
        if chosen is not None and len(chosen) > 100:
            raise refused(400, "LIMIT_EXCEEDED", "the limit of ids is exceeded", limit=100)

        def find() -> list[Stored]:
            return [
                record
                for record in self.state.records[module].values()
                if converted in (None, record.became is not None)
                and (after is None or record.modified.replace(microsecond=0) > after)
                and (chosen is None or record.id in chosen)
            ]

        page, info = self._pages.cut(ask, find, self.state.version)
        if not page:
            return Reply(status=304 if after is not None and ask.one("page_token") is None else 204)
        return Reply({"data": [self.state.shown(record, names) for record in page], "info": info})

    def _deleted(self, ask: Ask) -> Reply:
        type_ = ask.one("type")
        if type_ not in ("all", "recycle", "permanent"):
            raise refused(400, "INVALID_DATA", "type", param_name="type")
        after = since(ask)
        gone = [
            one
            for one in self.state.gone[ask.params["module"]].values()
            if type_ in ("all", one.type) and (after is None or one.at > after)
        ]
        size = number(ask, "per_page", 200, 200)
        page = int(str(ask.one("page_token"))[1:]) if ask.one("page_token") else number(ask, "page", 1, 10**6)
        if page * size > DISCRETE and self._discrete_deleted:
            raise refused(400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED", "more records are not available by page")
        if not gone:
            return Reply(status=304 if after is not None else 204)
        rows = sorted(gone, key=lambda one: one.at, reverse=True)[(page - 1) * size : page * size]
        more = len(gone) > page * size
        token = {"next_page_token": f"d{page + 1}" if more else None} if self._discrete_deleted is None else {}
        data = [
            {
                "id": one.id, "display_name": "Somebody", "type": one.type, "deleted_time": text(one.at),
                "deleted_by": {"name": "Bo Owner", "id": "1"}, "created_by": {"name": "Bo Owner", "id": "1"},
            }
            for one in rows
        ]  # fmt: skip
        return Reply(
            {"data": data, "info": {"per_page": size, "count": len(rows), "page": page, "more_records": more, **token}}
        )

    def _coql(self, ask: Ask) -> Reply:
        query = coql.parse(str(body_of(ask).get("select_query")), ignore_case=self._ignores_case)
        if query.module not in self.state.records:
            raise refused(400, "INVALID_QUERY", "invalid module name found")
        if unknown := ({*query.columns} | query.names) - self.state.fields[query.module].keys() - {"id"}:
            raise refused(400, "INVALID_QUERY", "column given seems to be invalid", column_name=min(unknown))
        found = [record for record in self.state.records[query.module].values() if query.holds(record.values)]
        found.sort(key=lambda record: record.id)
        rows = found[query.offset : query.offset + query.count]
        if not rows:
            return Reply(status=204)
        data = [{name: self.state.shown(record, query.columns).get(name) for name in query.columns} for record in rows]
        more = len(found) > query.offset + query.count
        return Reply({"data": data, "info": {"count": len(data), "more_records": more}})

    # Writing ---------------------------------------------------------------------------------------------------------

    def _upsert(self, ask: Ask) -> Reply:
        body = body_of(ask)
        rows = body.get("data") or []
        if len(rows) > 100:
            raise refused(400, "LIMIT_EXCEEDED", "the limit of records is exceeded", limit=100)
        unique = body.get("duplicate_check_fields") or []
        answers = [upserted(self.state, ask.params["module"], row, unique) for row in rows]
        failed = any(answer["status"] == "error" for answer in answers)
        return Reply({"data": answers}, self._rows_status if failed else 200)


SANDBOX = ZohoSandbox
