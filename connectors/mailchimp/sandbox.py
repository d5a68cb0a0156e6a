"""
A small Mailchimp: one list, its members and its tags, behind the endpoints that the connector uses, and as unkind.

What no page of the vendor's settles is a switch of the constructor, so that the tests can have it both ways.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from core.contract import ListChange, Sandbox

KEY, CENTRE, LIST = "0123456789abcdef0123456789abcdef-us19", "us19", "a6b5da1054"
CONNECTIONS, MAX_COUNT, MAX_BATCH, TAGS_SHOWN = 10, 1000, 500, 50
STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional")
FORGOTTEN = "{} was permanently deleted and cannot be re-imported. The contact must re-subscribe to get back on the list."
DEEP = "A deep internal error has occurred during the processing of your request. Support has been alerted."
FAKE = "{} looks fake or invalid, please enter a real email address."


@dataclass(slots=True)
class Member:
    """Somebody on the list."""

    address: str
    contact_id: str
    status: str
    changed_at: datetime
    opted_at: datetime | None = None
    merge: dict[str, str] = field(default_factory=dict)
    language: str = ""
    country: str = ""
    tags: set[int] = field(default_factory=set)

    @property
    def key(self) -> str:
        return _md5(self.address)


@dataclass(slots=True)
class Segment:
    """A tag (`static`) or a rule of the vendor's own (`saved`)."""

    id: int
    name: str
    type: str
    created_at: datetime


class Problem(Exception):  # noqa: N818 - the vendor's word
    """An `application/problem+json` to answer with."""

    def __init__(self, status: int, title: str, detail: str, **more: object) -> None:
        super().__init__(title)
        self.status, self.title, self.detail, self.more = status, title, detail, more


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
        self.lists_archived, self.tags_unsubscribed = lists_archived, tags_unsubscribed
        self.confirms_again, self.requires_name = confirms_again, requires_name
        self.people: dict[str, Member] = {}
        self.forgotten: set[str] = set()
        self.segments = {1: Segment(1, "New subscribers", "saved", self.now())}
        self.breaking: set[str] = set()
        """Addresses that sink a whole batch with a 500."""
        self.most_at_once = self._at_once = self._served = self._serial = 0
        self._lock = threading.RLock()
        self.app = Starlette(routes=self._routes())

    # What a test or the demo does to it ------------------------------------------------------------------------------

    def settings(self) -> Mapping[str, object]:
        return {"api_key": KEY, "list_id": LIST}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        _only_members(what)
        with self._lock:
            for row in rows:
                self._load(row)

    def _load(self, row: Mapping[str, Any]) -> None:
        stamp = row.get("updated_at") or self.now()
        member = self.people.pop(_md5(str(row["id"])), None)
        if member is None:
            member = self._new(str(row["id"]), "subscribed", stamp)
        member.address = str(row.get("email") or row["id"])
        self.people[member.key] = member  # a change of address keeps the contact id and the tags
        if row.get("status", member.status) == "subscribed" and (member.status != "subscribed" or not member.opted_at):
            member.opted_at = stamp
        member.status = row.get("status", member.status)
        member.language, member.country = row.get("language", member.language) or "", row.get("country", member.country) or ""
        for name, tag in (("first_name", "FNAME"), ("last_name", "LNAME")):
            if name in row:
                member.merge[tag] = row[name] or ""
        member.changed_at = stamp

    def delete(self, what: str, ids: Iterable[str]) -> None:
        """Delete for good: the person vanishes, and can never be imported again."""
        _only_members(what)
        with self._lock:
            for id_ in ids:
                self.people.pop(_md5(id_), None)
                self.forgotten.add(_md5(id_))

    def audiences(self) -> Mapping[str, frozenset[str]]:
        with self._lock:
            tags = (s for s in self.segments.values() if s.type == "static")
            return {tag.name: frozenset(m.address.lower() for m in self._tagged(tag.id)) for tag in tags}

    def statuses(self) -> Mapping[str, str]:
        """Return everybody's status by lower-cased address."""
        with self._lock:
            return {m.address.lower(): m.status for m in self.people.values()}

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
                    raise _not_found()
                return JSONResponse(_chosen(handler(request, body), request))
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
        try:
            given = base64.b64decode(credentials).decode().partition(":")[2]
        except ValueError:
            given = ""
        if scheme.lower() != "basic" or given != KEY:
            detail = "Your API key may be invalid, or you've attempted to access the wrong datacenter."
            raise Problem(401, "API Key Invalid", detail)

    # Reading ---------------------------------------------------------------------------------------------------------

    def _get_list(self, request: Request, body: Any) -> Any:
        subscribed = sum(m.status == "subscribed" for m in self.people.values())
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
            for m in self.people.values()
            if (m.status == status if status else m.status != "archived" or self.lists_archived)
            and (since is None or _second(m.changed_at) > since)
            and (before is None or _second(m.changed_at) < before)
        ]
        if query.get("sort_field") == "last_changed":
            found.sort(key=lambda m: (_second(m.changed_at), m.contact_id), reverse=query.get("sort_dir") == "DESC")
        return {"members": [self._member_json(m) for m in _page(found, request)], "list_id": LIST, "total_items": len(found)}

    def _get_member(self, request: Request, body: Any) -> Any:
        return self._member_json(self._one(request))

    def _get_member_tags(self, request: Request, body: Any) -> Any:
        tags = sorted(self._one(request).tags)
        found = [{"id": id_, "name": self.segments[id_].name} for id_ in _page(tags, request)]
        return {"tags": found, "total_items": len(tags)}

    def _one(self, request: Request) -> Member:
        who = request.path_params["who"]
        member = self.people.get(who) or self.people.get(_md5(who))
        if member is None:
            raise _not_found()
        return member

    def _search_tags(self, request: Request, body: Any) -> Any:
        prefix = request.query_params.get("name", "").casefold()
        found = [s for s in self.segments.values() if s.type == "static" and s.name.casefold().startswith(prefix)]
        return {"tags": [{"id": s.id, "name": s.name} for s in found[:10]], "total_items": len(found)}

    def _get_segments(self, request: Request, body: Any) -> Any:
        kind = request.query_params.get("type")
        found = [s for s in self.segments.values() if kind in (None, s.type)]
        return {"segments": [self._segment_json(s) for s in _page(found, request)], "list_id": LIST, "total_items": len(found)}

    def _get_segment_members(self, request: Request, body: Any) -> Any:
        segment = self._segment(request)
        flags = {name for name in STATUSES if request.query_params.get(f"include_{name}") == "true"}
        found = [m for m in self._tagged(segment.id) if m.status == "subscribed" or m.status in flags]
        return {"members": [self._member_json(m) for m in _page(found, request)], "total_items": len(found)}

    # Writing ---------------------------------------------------------------------------------------------------------

    def _post_segment(self, request: Request, body: Any) -> Any:
        name = body.get("name")
        if not name or ("static_segment" in body) == ("options" in body):
            raise _invalid("Give a name, and one of static_segment and options.")
        if any(s.name.casefold() == name.casefold() for s in self.segments.values()):
            raise _invalid("Sorry, that tag already exists.")
        id_ = max(self.segments) + 1000
        self.segments[id_] = Segment(id_, name, "static" if "static_segment" in body else "saved", self.now())
        for who in body.get("static_segment", []):
            self._tag(id_, str(who))
        return self._segment_json(self.segments[id_])

    def _patch_segment(self, request: Request, body: Any) -> Any:
        """Replace all members: an empty array wipes the tag."""
        segment = self._segment(request)
        if "static_segment" in body:
            for member in self._tagged(segment.id):
                self._untag(segment.id, member.address)
            for who in body["static_segment"]:
                self._tag(segment.id, str(who))
        return self._segment_json(segment)

    def _change_segment(self, request: Request, body: Any) -> Any:
        segment = self._segment(request)
        adds, removes = ([str(who) for who in body.get(f"members_to_{verb}", [])] for verb in ("add", "remove"))
        if max(len(adds), len(removes)) > MAX_BATCH:
            raise _invalid(f"A maximum of {MAX_BATCH} members can be sent.")
        if self.breaking & {_md5(who) for who in adds}:
            raise Problem(
                500, "Internal Server Error", "A deep internal error has occurred during the processing of your request."
            )
        # An address that is not on the list is an error or silently absent: here by its hash, for nobody may rely on either.
        unknown = [who for who in adds + removes if self._listed(who) is None and int(_md5(who), 16) % 2]
        added = [m for who in adds if (m := self._tag(segment.id, who))]
        removed = [m for who in removes if (m := self._untag(segment.id, who))]
        errors = [{"email_addresses": unknown, "error": "The email addresses are not on the list."}] if unknown else []
        return {
            "members_added": [self._member_json(m) for m in added],
            "members_removed": [self._member_json(m) for m in removed],
            "errors": errors,
            "total_added": len(added),
            "total_removed": len(removed),
            "error_count": len(unknown),
        }

    def _tag(self, id_: int, who: str) -> Member | None:
        member = self._listed(who)
        if member is None or (member.status in ("unsubscribed", "cleaned") and not self.tags_unsubscribed):
            return None
        if id_ in member.tags:
            return member if self.confirms_again else None
        member.tags.add(id_)
        member.changed_at = self.now()
        self.change_log.append(ListChange(self.segments[id_].name, "add", member.address.lower()))
        return member

    def _untag(self, id_: int, who: str) -> Member | None:
        member = self._listed(who)
        if member is None or id_ not in member.tags:
            return None
        member.tags.remove(id_)
        member.changed_at = self.now()
        self.change_log.append(ListChange(self.segments[id_].name, "remove", member.address.lower()))
        return member

    def _post_members(self, request: Request, body: Any) -> Any:
        rows = body.get("members", [])
        if len(rows) > MAX_BATCH:
            raise _invalid(f"A maximum of {MAX_BATCH} members can be sent.")
        if self.breaking & {_md5(str(row.get("email_address"))) for row in rows}:
            raise Problem(
                500, "Internal Server Error", "A deep internal error has occurred during the processing of your request."
            )
        answer: dict[str, list[Any]] = {"new_members": [], "updated_members": [], "errors": []}
        lenient = request.query_params.get("skip_merge_validation") == "true" or not self.requires_name
        for row in rows:
            where, what = self._subscribe(row, update=body.get("update_existing") is True, lenient=lenient)
            answer[where].append(what)
        totals = {"total_created": "new_members", "total_updated": "updated_members", "error_count": "errors"}
        return answer | {name: len(answer[of]) for name, of in totals.items()}

    def _subscribe(self, row: Mapping[str, Any], *, update: bool, lenient: bool) -> tuple[str, Any]:
        who, status = str(row.get("email_address")), row.get("status")

        def error(text: str, code: str = "ERROR_GENERIC") -> tuple[str, Any]:
            return "errors", {"email_address": who, "error": text, "error_code": code, "field": "", "field_message": ""}

        if status not in STATUSES or not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", who):
            return error("Please provide a valid email address and status.")
        if _md5(who) in self.forgotten:
            return error(FORGOTTEN.format(who))
        if who.lower().startswith(("test@", "fake@")):
            return error(FAKE.format(who))
        merge = {str(tag): str(value) for tag, value in (row.get("merge_fields") or {}).items()}
        if not lenient and not merge.get("FNAME"):
            return error("Your merge fields were invalid.")
        member = self.people.get(_md5(who))
        if member and member.status != "archived" and not update:
            return error(f"{who} is already a list member.", "ERROR_CONTACT_EXISTS")
        where = "updated_members" if member else "new_members"
        if member is None:
            member = self.people[_md5(who)] = self._new(who, status, self.now())
        member.status, member.changed_at = status, self.now()  # an archived person is back, without the opt-out they had
        member.merge |= merge
        return where, self._member_json(member)

    def _new(self, address: str, status: str, at: datetime) -> Member:
        self._serial += 1
        return Member(address, f"c{self._serial:07x}", status, at)

    # Shapes ----------------------------------------------------------------------------------------------------------

    def _listed(self, who: str) -> Member | None:
        member = self.people.get(_md5(who))
        return member if member and member.status != "archived" else None

    def _tagged(self, id_: int) -> list[Member]:
        return [m for m in self.people.values() if id_ in m.tags and m.status != "archived"]

    def _segment(self, request: Request) -> Segment:
        id_ = request.path_params["segment_id"]
        segment = self.segments.get(int(id_)) if id_.isdigit() else None
        if segment is None:
            raise _not_found()
        if segment.type != "static" and request.method == "POST":
            raise _invalid(f"A Static Segment with an id of {id_} does not exist.")
        return segment

    def _segment_json(self, segment: Segment) -> dict[str, Any]:
        mailable = sum(m.status == "subscribed" for m in self._tagged(segment.id))
        stamp = segment.created_at.isoformat(timespec="seconds")
        return {"id": segment.id, "name": segment.name, "member_count": mailable, "type": segment.type, "created_at": stamp,
                "updated_at": stamp, "list_id": LIST, "_links": []}  # fmt: skip

    def _member_json(self, m: Member) -> dict[str, Any]:
        tags = [{"id": id_, "name": self.segments[id_].name} for id_ in sorted(m.tags)]
        return {
            "id": m.key,
            "email_address": m.address,
            "contact_id": m.contact_id,
            "unique_email_id": m.key[:10],
            "status": m.status,
            "unsubscribe_reason": "N/A (Unsubscribed by admin)" if m.status == "unsubscribed" else "",
            "merge_fields": {"FNAME": m.merge.get("FNAME", ""), "LNAME": m.merge.get("LNAME", "")},
            "stats": {"avg_open_rate": 0, "avg_click_rate": 0},
            "timestamp_signup": "",
            "timestamp_opt": m.opted_at.astimezone(UTC).isoformat(timespec="seconds") if m.opted_at else "",
            "last_changed": _second(m.changed_at).isoformat(),
            "language": m.language,
            "location": {"latitude": 0, "longitude": 0, "country_code": m.country, "timezone": ""},
            "tags_count": len(tags),
            "tags": tags[:TAGS_SHOWN],
            "list_id": LIST,
            "_links": [{"rel": "self", "method": "GET"}],
        }


SANDBOX = MailchimpSandbox


def _only_members(what: str) -> None:
    if what != "members":
        raise KeyError(what)


def _md5(address: str) -> str:
    return hashlib.md5(address.strip().lower().encode(), usedforsecurity=False).hexdigest()


def _second(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise _invalid("Not an ISO 8601 time.") from error


def _page(found: list[Any], request: Request) -> list[Any]:
    try:
        count, offset = int(request.query_params.get("count", 10)), int(request.query_params.get("offset", 0))
    except ValueError as error:
        raise _invalid("Not a number.") from error
    if not 0 <= count <= MAX_COUNT or offset < 0:
        raise _invalid(f"count is at most {MAX_COUNT}.")
    return found[offset : offset + count]


async def _json(request: Request) -> Any:
    if request.method == "GET":
        return None
    try:
        body = await request.json()
    except ValueError as error:
        raise Problem(400, "JSON Parse Error", "We encountered an unspecified JSON parsing error.") from error
    if not isinstance(body, dict):
        raise _invalid("Schema describes object.")
    return body


def _chosen(answer: Any, request: Request) -> Any:
    """Apply `fields` and `exclude_fields`: comma lists of dotted paths, which go through arrays."""
    keep, drop = (request.query_params.get(name, "") for name in ("fields", "exclude_fields"))
    if keep:
        answer = _kept(answer, [path.split(".") for path in keep.split(",")])
    for path in filter(None, drop.split(",")):
        _dropped(answer, path.split("."))
    return answer


def _kept(value: Any, paths: list[list[str]]) -> Any:
    if isinstance(value, list):
        return [_kept(item, paths) for item in value]
    if not isinstance(value, dict) or [] in paths:
        return value
    inner = {name: [path[1:] for path in paths if path[0] == name] for name in value}
    return {name: _kept(item, inner[name]) for name, item in value.items() if inner[name]}


def _dropped(value: Any, path: list[str]) -> None:
    if isinstance(value, list):
        for item in value:
            _dropped(item, path)
    elif isinstance(value, dict) and path[0] in value:
        if len(path) == 1:
            del value[path[0]]
        else:
            _dropped(value[path[0]], path[1:])


def _not_found() -> Problem:
    return Problem(404, "Resource Not Found", "The requested resource could not be found.")


def _invalid(detail: str) -> Problem:
    return Problem(400, "Invalid Resource", detail, errors=[{"field": "", "message": detail}])


def _problem(problem: Problem) -> Response:
    body = {
        "type": "https://mailchimp.com/developer/marketing/docs/errors/",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": str(uuid4()),
    }
    return JSONResponse(body | problem.more, problem.status, media_type="application/problem+json")
