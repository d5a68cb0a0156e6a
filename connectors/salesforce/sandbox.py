"""
Salesforce on loopback: one org with its sign-in, as unkind as the vendor.

It asks for a token and ends it, counts requests against the day's allowance and says so in every answer, caps pages, addresses
and collections, hides fields, answers 200 where every row failed, and lets jobs take their time. Records are in
`sandbox_state`, queries in `sandbox_form`, rows in `sandbox_rows`, jobs in `sandbox_jobs`.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from connectors.salesforce.sandbox_form import QueryAnswers, refused
from connectors.salesforce.sandbox_jobs import JobAnswers
from connectors.salesforce.sandbox_rows import RowAnswers
from connectors.salesforce.sandbox_state import Conversion, State
from connectors.salesforce.vendor import ROOT, VERSIONS
from core.contract import Ask, Desk, Endpoint, Refused, Reply, Sandbox, Unwelcome, make_app

DAILY: Final = 100_000
DAY: Final = timedelta(hours=24)
ASSERTION_LIFE: Final = timedelta(minutes=5)
AUDIENCES: Final = ("https://login.salesforce.com", "https://test.salesforce.com")
JWT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
Handler = Callable[[Ask], Reply]


class SalesforceSandbox(Sandbox):
    """
    An org.

    *rate_factor* scales the day's requests. *hidden* are fields that the user may not see (`Contact.Email`) and things that it
    may not do (`CampaignMember/createable`). *session* is how long a token lives unused. *page_rows* is how many rows a page
    holds at most, *polls* how often a job says that it is under way. *conversion* is what becomes of a lead's membership when
    the lead is converted, *gone_code* how a row that is gone is refused, *currencies* whether amounts have one, *rotates*
    whether a refresh token is good once.
    """

    additional_emails = False

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        rate_factor: float = 1.0,
        org: str = "sandbox",
        is_sandbox: bool = True,
        hidden: Collection[str] = (),
        session: timedelta = timedelta(hours=2),
        page_rows: int = 2_000,
        polls: int = 1,
        conversion: Conversion = "both",
        gone_code: str = "ENTITY_IS_DELETED",
        currencies: bool = True,
        rotates: bool = False,
    ) -> None:
        super().__init__(now=now)
        self.daily, self.session = int(DAILY * rate_factor), session
        self.state = State(lambda: self.now(), conversion, currencies)
        self.state.make("Organization", {"Name": org, "IsSandbox": is_sandbox}, self.state.id_of("Organization", org))
        self.org_id = self.state.id_of("Organization", org)
        self.queries = QueryAnswers(self.state, hidden=hidden, page_rows=page_rows)
        self.rows = RowAnswers(self.state, self.change_log, gone_code=gone_code)
        self.jobs = JobAnswers(self.queries, self.rows, polls=polls)
        self.desk = Desk(lambda: self.now(), life=None, rotates=rotates)
        self.username = "tagalong@example.com"
        self.grants: list[Mapping[str, str]] = []
        """The forms that came to the token endpoint."""
        self.used = 0
        """Requests of other programs in the last 24 hours."""
        self._tokens: dict[str, datetime] = {}
        self._granted: set[str] = set()
        """Those of them that a person granted, and can take back."""
        self._spent: deque[datetime] = deque()
        self._lock = threading.RLock()
        self.app = make_app(self, [*self._open(), *self._endpoints()], self._admit, self._lock)

    def settings(self) -> Mapping[str, object]:
        secret = self.desk.client_secret
        return {"domain": "acme--demo.sandbox", "client_id": self.desk.client_id, "client_secret": secret}

    def oauth_settings(self) -> Mapping[str, object]:
        """Return what `settings` does, for a connection that signs in."""
        return {**self.settings(), "sign_in": "browser"}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        with self._lock:
            self.state.load(what, rows)

    def delete(self, what: str, ids: Iterable[str]) -> None:
        with self._lock:
            for sobject, id_ in [found for neutral in ids for found in self.state.ids_of(what, neutral)]:
                self.state.delete(sobject, id_)

    def purge(self, what: str, ids: Iterable[str]) -> None:
        """Delete for good: unlike `delete`, this leaves nothing to read."""
        with self._lock:
            for sobject, id_ in [found for neutral in ids for found in self.state.ids_of(what, neutral)]:
                self.state.purge(sobject, id_)

    def merge(self, what: str, loser: str, winner: str) -> None:
        with self._lock:
            won = dict(self.state.ids_of(what, winner))
            for sobject, id_ in self.state.ids_of(what, loser):
                if sobject in won:
                    self.state.merge(sobject, id_, won[sobject])
                    self.rows.find_anew()
                else:  # a lead and a contact cannot be merged: people do it by hand, and one of them goes
                    self.state.delete(sobject, id_)

    def audiences(self) -> Mapping[str, frozenset[str]]:
        with self._lock:
            found: dict[str, set[str]] = {
                row["Id"]: set() for row in self.state.records["Campaign"].values() if not row["IsDeleted"]
            }
            for row in self.state.records["CampaignMember"].values():
                if not row["IsDeleted"] and row["CampaignId"] in found:
                    person = str(row.get("ContactId") or row.get("LeadId"))
                    found[row["CampaignId"]].add(self.state.neutral.get(person, person))
            return {self.state.records["Campaign"][id_]["Name"]: frozenset(members) for id_, members in found.items()}

    def expire(self) -> None:
        """End every session, as an administrator can."""
        self._tokens.clear()

    # Signing in

    def _open(self) -> list[Endpoint]:
        """The endpoints that ask for no token."""
        return [
            Endpoint("GET", VERSIONS, self._versions),
            Endpoint("GET", "/services/oauth2/authorize", self._authorize),
            Endpoint("POST", "/services/oauth2/token", self._token),
        ]

    def _versions(self, ask: Ask) -> Reply:
        years = {66: "Spring '26", 67: "Summer '26", 68: "Winter '27"}
        return Reply([{"label": label, "url": f"{VERSIONS}v{n}.0", "version": f"{n}.0"} for n, label in years.items()])

    def _authorize(self, ask: Ask) -> Reply:
        try:
            return Reply(None, 302, headers={"location": self.desk.authorize(dict(ask.query))})
        except Unwelcome as error:
            raise Refused(400, {"error": str(error)}) from error

    def _token(self, ask: Ask) -> Reply:
        form = ask.form()
        self.grants.append(form)
        try:
            return Reply(self._answer(ask, self._granting(form)))
        except Unwelcome as error:
            raise Refused(400, {"error": str(error), "error_description": "authentication failure"}) from error

    def _granting(self, form: Mapping[str, str]) -> Mapping[str, Any]:
        """Return what the desk grants; nothing where a program signs in by itself."""
        match form.get("grant_type"):
            case "client_credentials":
                if (form.get("client_id"), form.get("client_secret")) != (self.desk.client_id, self.desk.client_secret):
                    raise Unwelcome("invalid_client")
                return {}
            case grant if grant == JWT:
                self._judge(form.get("assertion", ""))
                return {}
            case "refresh_token" if "scope" in form:
                raise Unwelcome("invalid_request")  # scope parameter not supported
            case _:
                return self.desk.token(form)

    def _answer(self, ask: Ask, granted: Mapping[str, Any]) -> dict[str, Any]:
        access = str(granted.get("access_token") or f"{self.org_id[:15]}!AQ{secrets.token_urlsafe(48)}")
        self._tokens[access] = self.now()
        if granted:
            self._granted.add(access)
        where = urlsplit(ask.url)
        answer = {
            "access_token": access, "instance_url": f"{where.scheme}://{where.netloc}",
            "id": f"https://test.salesforce.com/id/{self.org_id}/005000000000001AAA", "token_type": "Bearer",
            "issued_at": str(int(self.now().timestamp() * 1000)), "signature": "c2lnbmF0dXJl", "scope": "api",
        }  # fmt: skip
        return answer | {name: granted[name] for name in ("refresh_token",) if granted.get(name)}

    def _judge(self, assertion: str) -> None:
        """Read a JWT's claims. Its signature is not looked at: the sandbox has no certificate."""
        try:
            header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in assertion.split(".")[:2])
        except ValueError as error:
            raise Unwelcome("invalid_grant") from error
        ends_s = float(claims.get("exp") or 0) - datetime.now(self.now().tzinfo).timestamp()
        good = header.get("alg") == "RS256" and claims.get("aud") in AUDIENCES and 0 < ends_s <= ASSERTION_LIFE.total_seconds()
        if not good or (claims.get("iss"), claims.get("sub")) != (self.desk.client_id, self.username):
            raise Unwelcome("invalid_grant")

    # Requests with a token

    def _endpoints(self) -> list[Endpoint]:
        jobs, ingest = f"{ROOT}/jobs/query", f"{ROOT}/jobs/ingest"
        table: list[tuple[str, str, Handler, bool]] = [
            ("GET", f"{ROOT}/query", self.queries.query, False),
            ("GET", f"{ROOT}/queryAll", self.queries.query_all, False),
            ("GET", f"{ROOT}/query/{{locator}}", self.queries.further, False),
            ("GET", f"{ROOT}/sobjects/{{sobject}}/describe", self.queries.describe, False),
            ("GET", f"{ROOT}/limits", self._limits, False),
            ("POST", f"{ROOT}/sobjects/{{sobject}}", self.rows.create, True),
            ("POST", f"{ROOT}/composite/sobjects", self.rows.insert_many, True),
            ("DELETE", f"{ROOT}/composite/sobjects", self.rows.delete_many, True),
            ("POST", jobs, self.jobs.query, False),
            ("GET", f"{jobs}/{{job}}", self.jobs.status, False),
            ("GET", f"{jobs}/{{job}}/results", self.jobs.results, False),
            ("POST", ingest, self.jobs.ingest, True),
            ("PUT", f"{ingest}/{{job}}/batches", self.jobs.upload, True),
            ("PATCH", f"{ingest}/{{job}}", self.jobs.change, True),
            ("GET", f"{ingest}/{{job}}", self.jobs.status, False),
            ("GET", f"{ingest}/{{job}}/successfulResults", self.jobs.good, False),
            ("GET", f"{ingest}/{{job}}/failedResults", self.jobs.bad, False),
            ("GET", f"{ingest}/{{job}}/unprocessedrecords", self.jobs.rest, False),
        ]
        return [Endpoint(method, path, self._counted(handler), write=write) for method, path, handler, write in table]

    def _limits(self, ask: Ask) -> Reply:
        return Reply({"DailyApiRequests": {"Max": self.daily, "Remaining": max(0, self.daily - self._usage())}})

    def _counted(self, handler: Handler) -> Handler:
        def counted(ask: Ask) -> Reply:
            reply = handler(ask)
            said = f"api-usage={self._usage()}/{self.daily}; per-app-api-usage=17/250(appName=sample-app)"
            return replace(reply, headers={**reply.headers, "Sforce-Limit-Info": said})

        return counted

    def _usage(self) -> int:
        while self._spent and self._spent[0] <= self.now() - DAY:
            self._spent.popleft()
        return self.used + len(self._spent)

    def _admit(self, ask: Ask) -> None:
        if ask.path == VERSIONS or ask.path.startswith("/services/oauth2/"):
            return
        token = ask.headers.get("authorization", "").removeprefix("Bearer ")
        used_at = self._tokens.get(token)
        revoked = token in self._granted and not self.desk.welcomes(token)
        if used_at is None or revoked or self.now() - used_at > self.session:
            raise refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        self._tokens[token] = self.now()
        if self._usage() >= self.daily:
            raise refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self._spent.append(self.now())


SANDBOX = SalesforceSandbox
