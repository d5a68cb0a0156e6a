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

from connectors.mailchimp.sandbox_login import login_routes
from connectors.mailchimp.sandbox_state import (
    LIST,
    STATUSES,
    MailingList,
    Member,
    Problem,
    Segment,
    chosen,
    invalid,
    md5,
    not_found,
    second,
)
from core.contract import Desk, Sandbox

KEY = "0123456789abcdef0123456789abcdef-us19"
DEEP = "A deep internal error has occurred during the processing of your request. Support has been alerted."
CONNECTIONS, MAX_COUNT, MAX_BATCH = 10, 1000, 500


class MailchimpSandbox(Sandbox):
    """
    The vendor.

    Args:
        rate_factor: times the ten simultaneous connections that are allowed; `inf` for no limit.
        latency_s: how long each answer takes, so that connections overlap.
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
        latency_s: float = 0.0,
        bare_403_every: int = 0,
        lists_archived: bool = False,
        tags_unsubscribed: bool = False,
        confirms_again: bool = False,
        requires_name: bool = True,
    ) -> None:
        super().__init__(now=now)
        self.most_connections = CONNECTIONS * rate_factor
        self.latency_s, self.bare_403_every = latency_s, bare_403_every
        self.lists_archived, self.requires_name = lists_archived, requires_name
        self.list = MailingList(
            lambda: self.now(), self.change_log, tags_unsubscribed=tags_unsubscribed, confirms_again=confirms_again
        )
        self.breaking: set[str] = set()
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
            ("GET", "/lists/{list_id}"): self._get_list,
            ("POST", "/lists/{list_id}"): self._post_members,
            ("GET", "/lists/{list_id}/members"): self._get_members,
            ("GET", member): self._get_member,
            ("GET", member + "/tags"): self._get_member_tags,
            ("GET", "/lists/{list_id}/tag-search"): self._search_tags,
            ("GET", "/lists/{list_id}/segments"): self._get_segments,
            ("POST", "/lists/{list_id}/segments"): self._post_segment,
            ("POST", member + "/actions/delete-permanent"): self._delete_member,
            ("POST", segment): self._change_segment,
            ("PATCH", segment): self._patch_segment,
            ("GET", segment + "/members"): self._get_segment_members,
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
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
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

    # Reading ---------------------------------------------------------------------------------------------------------

    def _get_list(self, request: Request, body: Any) -> Any:
        subscribed = sum(m.status == "subscribed" for m in self.list.people.values())
        return {"id": LIST, "name": "Example news", "stats": {"member_count": subscribed}}

    def _get_members(self, request: Request, body: Any) -> Any:
        query = request.query_params
        status = query.get("status")
        if "unsubscribed_since" in query and status != "unsubscribed":
            raise Problem(400, "Invalid Resource", "unsubscribed_since needs the status unsubscribed.")
        if status is not None and status not in (*STATUSES, "archived"):
            raise Problem(400, "Invalid Resource", "No such status.")
        since, before = (_time(query.get(f"{edge}_last_changed")) for edge in ("since", "before"))
        found = [
            m
            for m in self.list.people.values()
            if (m.status == status if status else m.status != "archived" or self.lists_archived)
            and (since is None or second(m.changed_at) > since)
            and (before is None or second(m.changed_at) < before)
        ]
        if query.get("sort_field") == "last_changed":
            found.sort(key=lambda m: (second(m.changed_at), m.contact_id), reverse=query.get("sort_dir") == "DESC")
        return {
            "members": [self.list.member_json(m) for m in _page(found, request)],
            "list_id": LIST,
            "total_items": len(found),
        }

    def _get_member(self, request: Request, body: Any) -> Any:
        return self.list.member_json(self._one(request))

    def _get_member_tags(self, request: Request, body: Any) -> Any:
        tags = sorted(self._one(request).tags)
        found = [{"id": id_, "name": self.list.segments[id_].name} for id_ in _page(tags, request)]
        return {"tags": found, "total_items": len(tags)}

    def _one(self, request: Request) -> Member:
        who = request.path_params["who"]
        member = self.list.people.get(who) or self.list.people.get(md5(who))
        if member is None:
            raise not_found()
        return member

    def _search_tags(self, request: Request, body: Any) -> Any:
        prefix = request.query_params.get("name", "").casefold()
        found = [s for s in self.list.segments.values() if s.type == "static" and s.name.casefold().startswith(prefix)]
        return {"tags": [{"id": s.id, "name": s.name} for s in found[:10]], "total_items": len(found)}

    def _get_segments(self, request: Request, body: Any) -> Any:
        kind = request.query_params.get("type")
        found = [s for s in self.list.segments.values() if kind in (None, s.type)]
        return {
            "segments": [self.list.segment_json(s) for s in _page(found, request)],
            "list_id": LIST,
            "total_items": len(found),
        }

    def _get_segment_members(self, request: Request, body: Any) -> Any:
        segment = self._segment(request)
        flags = {name for name in STATUSES if request.query_params.get(f"include_{name}") == "true"}
        found = [m for m in self.list.tagged(segment.id) if m.status == "subscribed" or m.status in flags]
        return {"members": [self.list.member_json(m) for m in _page(found, request)], "total_items": len(found)}

    # Writing ---------------------------------------------------------------------------------------------------------

    def _post_segment(self, request: Request, body: Any) -> Any:
        name = body.get("name")
        if not name or ("static_segment" in body) == ("options" in body):
            raise invalid("Give a name, and one of static_segment and options.")
        if any(s.name.casefold() == name.casefold() for s in self.list.segments.values()):
            raise invalid("Sorry, that tag already exists.")
        made = self.list.make(name, "static" if "static_segment" in body else "saved")
        for who in body.get("static_segment", []):
            self.list.tag(made.id, str(who))
        return self.list.segment_json(made)

    def _patch_segment(self, request: Request, body: Any) -> Any:
        """Replace all members: an empty array wipes the tag."""
        segment = self._segment(request)
        if "static_segment" in body:
            for member in self.list.tagged(segment.id):
                self.list.untag(segment.id, member.address)
            for who in body["static_segment"]:
                self.list.tag(segment.id, str(who))
        return self.list.segment_json(segment)

    def _change_segment(self, request: Request, body: Any) -> Any:
        segment = self._segment(request)
        adds, removes = ([str(who) for who in body.get(f"members_to_{verb}", [])] for verb in ("add", "remove"))
        if max(len(adds), len(removes)) > MAX_BATCH:
            raise invalid(f"A maximum of {MAX_BATCH} members can be sent.")
        if self.breaking & {who.lower() for who in adds}:
            raise Problem(
                500, "Internal Server Error", "A deep internal error has occurred during the processing of your request."
            )
        # An address that is not on the list is an error or silently absent: here by its hash, for nobody may rely on either.
        unknown = [who for who in adds + removes if self.list.listed(who) is None and int(md5(who), 16) % 2]
        added = [m for who in adds if (m := self.list.tag(segment.id, who))]
        removed = [m for who in removes if (m := self.list.untag(segment.id, who))]
        errors = [{"email_addresses": unknown, "error": "The email addresses are not on the list."}] if unknown else []
        return {
            "members_added": [self.list.member_json(m) for m in added],
            "members_removed": [self.list.member_json(m) for m in removed],
            "errors": errors,
            "total_added": len(added),
            "total_removed": len(removed),
            "error_count": len(unknown),
        }

    def _post_members(self, request: Request, body: Any) -> Any:
        rows = body.get("members", [])
        if len(rows) > MAX_BATCH:
            raise invalid(f"A maximum of {MAX_BATCH} members can be sent.")
        if self.breaking & {str(row.get("email_address")).lower() for row in rows}:
            raise Problem(
                500, "Internal Server Error", "A deep internal error has occurred during the processing of your request."
            )
        answer: dict[str, list[Any]] = {"new_members": [], "updated_members": [], "errors": []}
        lenient = request.query_params.get("skip_merge_validation") == "true" or not self.requires_name
        for row in rows:
            where, what = self.list.subscribe(row, update=body.get("update_existing") is True, lenient=lenient)
            answer[where].append(what)
        totals = {"total_created": "new_members", "total_updated": "updated_members", "error_count": "errors"}
        return answer | {name: len(answer[of]) for name, of in totals.items()}

    def _delete_member(self, request: Request, body: Any) -> None:
        self.list.forget(self._one(request).address)

    # Shapes ----------------------------------------------------------------------------------------------------------

    def _segment(self, request: Request) -> Segment:
        id_ = request.path_params["segment_id"]
        segment = self.list.segments.get(int(id_)) if id_.isdigit() else None
        if segment is None:
            raise not_found()
        if segment.type != "static" and request.method == "POST":
            raise invalid(f"A Static Segment with an id of {id_} does not exist.")
        return segment


SANDBOX = MailchimpSandbox


def _only_members(what: str) -> None:
    if what != "members":
        raise KeyError(what)


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid("Not an ISO 8601 time.") from error


def _page(found: list[Any], request: Request) -> list[Any]:
    try:
        count, offset = int(request.query_params.get("count", 10)), int(request.query_params.get("offset", 0))
    except ValueError as error:
        raise invalid("Not a number.") from error
    if not 0 <= count <= MAX_COUNT or offset < 0:
        raise invalid(f"count is at most {MAX_COUNT}.")
    return found[offset : offset + count]


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
