"""
A small Mailchimp: one list, its members and its tags, behind the endpoints that the connector uses, and as unkind.

What no page of the vendor's settles is a switch of the constructor, so that the tests can have it both ways.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from connectors.mailchimp.sandbox_answers import Answers
from connectors.mailchimp.sandbox_login import login_routes
from connectors.mailchimp.sandbox_state import (
    LIST,
    MailingList,
    Problem,
    chosen,
    invalid,
    not_found,
)
from core.contract import Desk, Sandbox

KEY = "0123456789abcdef0123456789abcdef-us19"
CONNECTIONS = 10


class MailchimpSandbox(Sandbox):
    """
    The vendor.

    Args:
        rate_factor: times the ten simultaneous connections that are allowed; `inf` for no limit.
        hold: each answer waits while it says so, so that connections overlap.
        bare_403_every: each so-many-th request is answered 403 in HTML by the front, as at high volume; 0 is never.
        lists_archived: whether a member list without a status holds archived people.
        tags_unsubscribed: whether an unsubscribed or cleaned person can be given a tag.
        confirms_again: whether `members_added` names people who had the tag already.
        requires_name: whether FNAME is a required merge field.
    """

    base_path: ClassVar[str] = "/3.0"

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        rate_factor: float = 1.0,
        hold: Callable[[], bool] = lambda: False,
        bare_403_every: int = 0,
        lists_archived: bool = False,
        tags_unsubscribed: bool = False,
        confirms_again: bool = False,
        requires_name: bool = True,
    ) -> None:
        super().__init__(now=now)
        self.most_connections = CONNECTIONS * rate_factor
        self.hold, self.bare_403_every = hold, bare_403_every
        self.list = MailingList(
            lambda: self.now(), self.change_log, tags_unsubscribed=tags_unsubscribed, confirms_again=confirms_again
        )
        self.answers = Answers(self.list, lists_archived=lists_archived, requires_name=requires_name)
        self.breaking = self.answers.breaking
        """Addresses that sink a whole batch with a 500."""
        self.most_at_once = self._at_once = self._served = 0
        self._lock = threading.RLock()
        self.desk = Desk(lambda: self.now(), life=None, refreshes=False)
        self.app = Starlette(routes=[*self._routes(), *login_routes(self.desk, self._lock)])

    # What a test or the demo does to it ------------------------------------------------------------------------------

    def settings(self) -> Mapping[str, object]:
        return {"api_key": KEY, "list_id": LIST}

    def oauth_settings(self) -> Mapping[str, object]:
        """Return what `settings` does, for a connection that signs in."""
        return {"client_id": self.desk.client_id, "client_secret": self.desk.client_secret, "list_id": LIST}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        _only_members(what)
        with self._lock:
            for row in rows:
                self.list.load(row)

    def delete(self, what: str, ids: Iterable[str]) -> None:
        """Delete for good: the person vanishes, and can never be imported again."""
        _only_members(what)
        with self._lock:
            for id_ in ids:
                self.list.forget(id_)

    def audiences(self) -> Mapping[str, frozenset[str]]:
        with self._lock:
            tags = (s for s in self.list.segments.values() if s.type == "static")
            return {tag.name: frozenset(m.address.lower() for m in self.list.tagged(tag.id)) for tag in tags}

    def statuses(self) -> Mapping[str, str]:
        """Return everybody's status by lower-cased address."""
        with self._lock:
            return {m.address.lower(): m.status for m in self.list.people.values()}

    # HTTP ------------------------------------------------------------------------------------------------------------

    def _routes(self) -> list[Route]:
        member = "/lists/{list_id}/members/{who}"
        segment = "/lists/{list_id}/segments/{segment_id}"
        handlers: dict[tuple[str, str], Callable[[Request, Any], Any]] = {
            ("GET", "/ping"): lambda request, body: {"health_status": "Everything's Chimpy!"},
            ("GET", "/"): lambda request, body: {"account_id": "8d3a3db4d97663a9074efcc16", "account_name": "Example AB"},
            ("GET", "/lists/{list_id}"): self.answers.get_list,
            ("POST", "/lists/{list_id}"): self.answers.post_members,
            ("GET", "/lists/{list_id}/members"): self.answers.get_members,
            ("GET", member): self.answers.get_member,
            ("GET", member + "/tags"): self.answers.get_member_tags,
            ("GET", "/lists/{list_id}/tag-search"): self.answers.search_tags,
            ("GET", "/lists/{list_id}/segments"): self.answers.get_segments,
            ("POST", "/lists/{list_id}/segments"): self.answers.post_segment,
            ("POST", member + "/actions/delete-permanent"): self.answers.delete_member,
            ("POST", segment): self.answers.change_segment,
            ("PATCH", segment): self.answers.patch_segment,
            ("GET", segment + "/members"): self.answers.get_segment_members,
        }
        return [
            Route(self.base_path + path, functools.partial(self._answer, handler, path), methods=[method])
            for (method, path), handler in handlers.items()
        ]

    async def _answer(self, handler: Callable[[Request, Any], Any], template: str, request: Request) -> Response:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            with self._lock:
                self._count(f"{request.method} {template}", request.method)
            if self.bare_403_every and self._served % self.bare_403_every == 0:
                return HTMLResponse("<html><body><h1>403 Forbidden</h1></body></html>", 403)
            if self._at_once > self.most_connections:
                return _problem(
                    Problem(429, "Too Many Requests", "You have exceeded the limit of 10 simultaneous connections.")
                )
            while self.hold():
                await asyncio.sleep(0.002)
            body = await _json(request)
            with self._lock:
                self._authorize(request)
                if request.path_params.get("list_id", LIST) != LIST:
                    raise not_found()
                said = handler(request, body)
                if said is None:
                    return Response(status_code=204)
                return JSONResponse(chosen(said, *(request.query_params.get(n, "") for n in ("fields", "exclude_fields"))))
        except Problem as problem:
            return _problem(problem)
        finally:
            self._at_once -= 1

    def _count(self, what: str, method: str) -> None:
        self._served += 1
        self.requests[what] += 1
        if method != "GET":
            self.writes[what] += 1

    def _authorize(self, request: Request) -> None:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() in ("oauth", "bearer") and self.desk.welcomes(credentials):
            return
        try:
            given = base64.b64decode(credentials).decode().partition(":")[2]
        except ValueError:
            given = ""
        if scheme.lower() != "basic" or given != KEY:
            detail = "Your API key may be invalid, or you've attempted to access the wrong datacenter."
            raise Problem(401, "API Key Invalid", detail)


SANDBOX = MailchimpSandbox


def _only_members(what: str) -> None:
    if what != "members":
        raise KeyError(what)


async def _json(request: Request) -> Any:
    if request.method == "GET" or request.url.path.endswith("/delete-permanent"):
        return None
    try:
        body = await request.json()
    except ValueError as error:
        raise Problem(400, "JSON Parse Error", "We encountered an unspecified JSON parsing error.") from error
    if not isinstance(body, dict):
        raise invalid("Schema describes object.")
    return body


def _problem(problem: Problem) -> Response:
    body = {
        "type": "https://mailchimp.com/developer/marketing/docs/errors/",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": str(uuid4()),
    }
    return JSONResponse(body | problem.more, problem.status, media_type="application/problem+json")
