"""
HubSpot on loopback: the endpoints that the connector uses, over the records of `sandbox_state`, as unkind as the vendor.

It asks for the token and its scopes, counts requests against the vendor's limits, caps pages, batches and searches, answers 207
where some are missing, and changes nothing that it does not understand. Lists' changes are logged when the API made them;
members who leave because their contact was deleted or merged are not.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from connectors.hubspot.sandbox_form import Ask, Refused, Reply
from connectors.hubspot.sandbox_lists import ListAnswers
from connectors.hubspot.sandbox_objects import ObjectAnswers
from connectors.hubspot.sandbox_state import TYPES, State, StoredList
from connectors.hubspot.vendor import API_VERSION
from core.contract import Desk, ListChange, Sandbox, Unwelcome, Window

SCOPES: Final = frozenset(
    {"oauth", "crm.lists.read", "crm.lists.write", "crm.objects.contacts.write"}
    | {f"crm.{area}.{name}.read" for area in ("objects", "schemas") for name in ("contacts", "companies", "deals")}
)
BURST: Final = (100, 10.0)
SEARCHES: Final = (5, 1.0)
DAILY: Final = 250_000


class _Endpoint(NamedTuple):
    method: str
    template: str
    handler: str
    """A method of `ObjectAnswers` or `ListAnswers`."""
    scopes: tuple[str, ...]
    """`{type}` stands for the object type of the path."""
    write: bool = False


ENDPOINTS: Final = (
    _Endpoint("GET", "/account-info/{V}/details", "objects.account", ("oauth",)),
    _Endpoint("GET", "/crm/properties/{V}/{type}", "objects.properties", ("crm.schemas.{type}.read",)),
    _Endpoint("GET", "/crm/pipelines/{V}/{type}", "objects.pipelines", ("crm.objects.{type}.read",)),
    _Endpoint("GET", "/crm/objects/{V}/{type}", "objects.objects", ("crm.objects.{type}.read",)),
    _Endpoint("POST", "/crm/objects/{V}/{type}/search", "objects.search", ("crm.objects.{type}.read",)),
    _Endpoint("POST", "/crm/objects/{V}/{type}/batch/read", "objects.batch_read", ("crm.objects.{type}.read",)),
    _Endpoint(
        "POST", "/crm/objects/{V}/{type}/batch/upsert", "objects.batch_upsert", ("crm.objects.{type}.write",), write=True
    ),
    _Endpoint("POST", "/crm/objects/{V}/{type}/gdpr-delete", "objects.gdpr_delete", ("crm.objects.{type}.write",), write=True),
    _Endpoint("POST", "/crm/associations/{V}/{type}/{to}/batch/read", "objects.associations", ("crm.objects.{type}.read",)),
    _Endpoint("GET", "/crm/lists/{V}/object-type-id/{object_type}/name/{name:path}", "lists.list_by_name", ("crm.lists.read",)),
    _Endpoint("POST", "/crm/lists/{V}/search", "lists.list_search", ("crm.lists.read",)),
    _Endpoint("POST", "/crm/lists/{V}", "lists.list_create", ("crm.lists.read", "crm.lists.write"), write=True),
    _Endpoint("GET", "/crm/lists/{V}/{list}", "lists.list_by_id", ("crm.lists.read",)),
    _Endpoint("GET", "/crm/lists/{V}/{list}/memberships", "lists.members", ("crm.lists.read",)),
    _Endpoint(
        "PUT", "/crm/lists/{V}/{list}/memberships/add-and-remove", "lists.change_members",
        ("crm.lists.read", "crm.lists.write"), write=True,
    ),
)  # fmt: skip


class HubSpotSandbox(Sandbox):
    """
    A portal.

    *rate_factor* scales the vendor's limits (None: none are kept), *daily* is the day's allowance, *search_cap* the rows that a
    search can be paged through, *index_lag* how late search sees a change, *membership_cap* the ids that a membership call
    takes, *secondary_emails* whether a batch read by e-mail knows additional addresses, *name_conflict* the status for a list
    name in use, *rotates* whether a refresh token is good once. `desk` is where people sign in.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        rate_factor: float | None = 1.0,
        daily: int = DAILY,
        token: str = "pat-sandbox-00000000",  # noqa: S107 - opens this sandbox and nothing else
        scopes: Iterable[str] = SCOPES,
        portal_id: int = 4_711_000,
        search_cap: int = 10_000,
        index_lag: timedelta = timedelta(0),
        membership_cap: int = 100_000,
        secondary_emails: bool = False,
        name_conflict: int = 409,
        rotates: bool = False,
    ) -> None:
        super().__init__(now=now)
        self.token, self.scopes, self.daily, self.rate_factor = token, frozenset(scopes), daily, rate_factor
        self.state = State(lambda: self.now(), index_lag)
        self.objects = ObjectAnswers(self.state, portal_id=portal_id, search_cap=search_cap, secondary_emails=secondary_emails)
        self.lists = ListAnswers(self.state, self.change_log, membership_cap=membership_cap, name_conflict=name_conflict)
        self._lock = threading.RLock()
        self._recent: deque[float] = deque()
        self._searched: deque[float] = deque()
        self.desk = Desk(lambda: self.now(), rotates=rotates, more={"token_use": "access_token", "hub_id": portal_id})
        sign_in = [
            Route("/oauth/authorize", self._authorize, methods=["GET"]),
            Route(f"/oauth/{API_VERSION}/token", self._exchange, methods=["POST"]),
        ]
        self.app = Starlette(routes=[*(self._route(each) for each in ENDPOINTS), *sign_in])

    def settings(self) -> Mapping[str, object]:
        return {"token": self.token}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        with self._lock:
            self.state.load(what, rows)

    def delete(self, what: str, ids: Iterable[str]) -> None:
        with self._lock:
            self.state.archive(TYPES[what], ids)

    def forget(self, what: str, ids: Iterable[str]) -> None:
        """Delete for good: unlike `delete`, this leaves nothing to read."""
        with self._lock:
            self.state.forget(TYPES[what], ids)

    def merge(self, what: str, loser: str, winner: str) -> None:
        with self._lock:
            self.state.merge(TYPES[what], loser, winner)

    def make_list(
        self, name: str, processing: str = "MANUAL", members: Iterable[str] = (), *, of: str = "contacts"
    ) -> StoredList:
        """Make a list the way a person does in the user interface; it is not logged."""
        with self._lock:
            return self.state.make_list(name, processing, members, of=of)

    def audiences(self) -> Mapping[str, frozenset[str]]:
        with self._lock:
            return {each.name: frozenset(each.members) for each in self.state.lists.values()}

    def oauth_settings(self) -> Mapping[str, object]:
        """Return what `settings` does, for a connection that signs in."""
        return {"client_id": self.desk.client_id, "client_secret": self.desk.client_secret}

    async def _authorize(self, request: Request) -> Response:
        with self._lock:
            try:
                return RedirectResponse(self.desk.authorize(request.query_params), 302)
            except Unwelcome:
                return Response("Authorization failed", 400, media_type="text/html")

    async def _exchange(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        with self._lock:
            try:
                return JSONResponse(self.desk.token(form))
            except Unwelcome as refused:  # Quirk 25: words of their own, and no `error`
                said = {"invalid_client": "BAD_CLIENT_ID", "unsupported_grant_type": "BAD_GRANT_TYPE"}
                held = "BAD_REFRESH_TOKEN" if "refresh_token" in form else "BAD_AUTH_CODE"
                status = said.get(str(refused), held)
                return JSONResponse({"status": status, "message": "missing or unknown", "correlationId": "sandbox"}, 400)

    def _route(self, of: _Endpoint) -> Route:
        answer: Callable[[Ask], Reply] = attrgetter(of.handler)(self)

        async def endpoint(request: Request) -> Response:
            name = f"{of.method} {of.template.replace('{V}', API_VERSION)}"
            ask = Ask(request.path_params, request.query_params, len(str(request.url)), await request.body())
            with self._lock:
                self.requests[name] += 1
                if of.write:
                    self.writes[name] += 1
                try:
                    by_the_day = self._admit(request, of)
                    reply = answer(ask)
                except Refused as refused:
                    return JSONResponse(refused.body, refused.status, headers=refused.headers)
                headers = {} if of.handler == "objects.search" else self._left(by_the_day)  # search answers carry none of them
            return (
                Response(status_code=204, headers=headers)
                if reply.status == 204
                else JSONResponse(reply.body, reply.status, headers)
            )

        return Route(of.template.replace("{V}", API_VERSION), endpoint, methods=[of.method])

    def _left(self, by_the_day: bool) -> dict[str, str]:
        """Return what the vendor's headers say of its limits; an app that people sign in to has none by the day."""
        headers = {
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Max": str(BURST[0]),
            "X-HubSpot-RateLimit-Remaining": str(max(BURST[0] - len(self._recent), 0)),
        }
        if by_the_day:
            headers["X-HubSpot-RateLimit-Daily"] = str(self.daily)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(self.daily - self.requests.total(), 0))
        return headers

    def _admit(self, request: Request, of: _Endpoint) -> bool:
        """Let a request in, or refuse it; return whether its token is a static one, which has an allowance by the day."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not (given == self.token or self.desk.welcomes(given)):
            raise Refused(401, "INVALID_AUTHENTICATION", "Authentication credentials not found or expired.")
        by_the_day = given == self.token
        if by_the_day and self.requests.total() > self.daily:
            raise _limited("DAILY", "You have reached your daily limit.")
        if self.rate_factor is not None:
            if of.handler == "objects.search" and not _free(self._searched, SEARCHES, self.rate_factor):
                raise _limited("SECONDLY", "You have reached your secondly limit.")
            if not _free(self._recent, BURST, self.rate_factor):
                raise _limited("TEN_SECONDLY_ROLLING", "You have reached your ten_secondly_rolling limit.")
        type_ = request.path_params.get("type", "")
        if "{type}" in of.template and type_ not in self.state.objects:
            raise Refused(404, "OBJECT_NOT_FOUND", "Unable to infer object type.")
        lacking = [scope for scope in (each.format(type=type_) for each in of.scopes) if scope not in self.scopes]
        if lacking:
            message = "This app hasn't been granted all required scopes to make this call."
            context = {"requiredGranularScopes": lacking}
            raise Refused(403, "MISSING_SCOPES", message, errors=[{"message": "One or more are required.", "context": context}])
        return by_the_day


SANDBOX = HubSpotSandbox


def _free(recent: deque[float], limit: tuple[int, float], factor: float) -> bool:
    """Whether one more request fits into the window, and if so, count it."""
    amount, per_s = limit
    now = Window.seconds()
    while recent and recent[0] <= now - per_s:
        recent.popleft()
    if len(recent) >= amount * factor:
        return False
    recent.append(now)
    return True


def _limited(policy: str, message: str) -> Refused:
    refused = Refused(429, "RATE_LIMITS", message)
    refused.body = {
        "status": "error", "message": message, "errorType": "RATE_LIMIT", "correlationId": "sandbox", "policyName": policy,
    }  # fmt: skip
    return refused


__all__ = ["SANDBOX", "HubSpotSandbox", "ListChange"]
