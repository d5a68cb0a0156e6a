"""What the sandbox answers: about members, tags and segments of its one list, over `sandbox_state`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from starlette.requests import Request

from connectors.mailchimp.sandbox_state import (
    LIST,
    STATUSES,
    MailingList,
    Member,
    Problem,
    Segment,
    invalid,
    md5,
    not_found,
    second,
)

MAX_COUNT: Final = 1000
MAX_BATCH: Final = 500
DEEP: Final = "A deep internal error has occurred during the processing of your request. Support has been alerted."


class Answers:
    """One method an endpoint: the request and its JSON, and back what is answered; None for nothing."""

    def __init__(self, of: MailingList, *, lists_archived: bool, requires_name: bool) -> None:
        self._list, self._lists_archived, self._requires_name = of, lists_archived, requires_name
        self.breaking: set[str] = set()
        """Addresses that sink a whole batch with a 500."""

    def get_list(self, request: Request, body: Any) -> Any:
        subscribed = sum(m.status == "subscribed" for m in self._list.people.values())
        return {"id": LIST, "name": "Example news", "stats": {"member_count": subscribed}}

    def get_members(self, request: Request, body: Any) -> Any:
        query = request.query_params
        status = query.get("status")
        if "unsubscribed_since" in query and status != "unsubscribed":
            raise Problem(400, "Invalid Resource", "unsubscribed_since needs the status unsubscribed.")
        if status is not None and status not in (*STATUSES, "archived"):
            raise Problem(400, "Invalid Resource", "No such status.")
        since, before = (_time(query.get(f"{edge}_last_changed")) for edge in ("since", "before"))
        found = [
            m
            for m in self._list.people.values()
            if (m.status == status if status else m.status != "archived" or self._lists_archived)
            and (since is None or second(m.changed_at) > since)
            and (before is None or second(m.changed_at) < before)
        ]
        if query.get("sort_field") == "last_changed":
            found.sort(key=lambda m: (second(m.changed_at), m.contact_id), reverse=query.get("sort_dir") == "DESC")
        return {
            "members": [self._list.member_json(m) for m in _page(found, request)],
            "list_id": LIST,
            "total_items": len(found),
        }

    def get_member(self, request: Request, body: Any) -> Any:
        return self._list.member_json(self._one(request))

    def get_member_tags(self, request: Request, body: Any) -> Any:
        tags = sorted(self._one(request).tags)
        found = [{"id": id_, "name": self._list.segments[id_].name} for id_ in _page(tags, request)]
        return {"tags": found, "total_items": len(tags)}

    def _one(self, request: Request) -> Member:
        who = request.path_params["who"]
        member = self._list.people.get(who) or self._list.people.get(md5(who))
        if member is None:
            raise not_found()
        return member

    def search_tags(self, request: Request, body: Any) -> Any:
        prefix = request.query_params.get("name", "").casefold()
        found = [s for s in self._list.segments.values() if s.type == "static" and s.name.casefold().startswith(prefix)]
        return {"tags": [{"id": s.id, "name": s.name} for s in found[:10]], "total_items": len(found)}

    def get_segments(self, request: Request, body: Any) -> Any:
        kind = request.query_params.get("type")
        found = [s for s in self._list.segments.values() if kind in (None, s.type)]
        return {
            "segments": [self._list.segment_json(s) for s in _page(found, request)],
            "list_id": LIST,
            "total_items": len(found),
        }

    def get_segment_members(self, request: Request, body: Any) -> Any:
        segment = self._segment(request)
        flags = {name for name in STATUSES if request.query_params.get(f"include_{name}") == "true"}
        found = [m for m in self._list.tagged(segment.id) if m.status == "subscribed" or m.status in flags]
        return {"members": [self._list.member_json(m) for m in _page(found, request)], "total_items": len(found)}

    def post_segment(self, request: Request, body: Any) -> Any:
        name = body.get("name")
        if not name or ("static_segment" in body) == ("options" in body):
            raise invalid("Give a name, and one of static_segment and options.")
        if any(s.name.casefold() == name.casefold() for s in self._list.segments.values()):
            raise invalid("Sorry, that tag already exists.")
        made = self._list.make(name, "static" if "static_segment" in body else "saved")
        for who in body.get("static_segment", []):
            self._list.tag(made.id, str(who))
        return self._list.segment_json(made)

    def patch_segment(self, request: Request, body: Any) -> Any:
        """Replace all members: an empty array wipes the tag."""
        segment = self._segment(request)
        if "static_segment" in body:
            for member in self._list.tagged(segment.id):
                self._list.untag(segment.id, member.address)
            for who in body["static_segment"]:
                self._list.tag(segment.id, str(who))
        return self._list.segment_json(segment)

    def change_segment(self, request: Request, body: Any) -> Any:
        segment = self._segment(request)
        adds, removes = ([str(who) for who in body.get(f"members_to_{verb}", [])] for verb in ("add", "remove"))
        if max(len(adds), len(removes)) > MAX_BATCH:
            raise invalid(f"A maximum of {MAX_BATCH} members can be sent.")
        if self.breaking & {who.lower() for who in adds}:
            raise Problem(500, "Internal Server Error", DEEP)
        # An address that is not on the list is an error or silently absent: here by its hash, for nobody may rely on either.
        unknown = [who for who in adds + removes if self._list.listed(who) is None and int(md5(who), 16) % 2]
        added = [m for who in adds if (m := self._list.tag(segment.id, who))]
        removed = [m for who in removes if (m := self._list.untag(segment.id, who))]
        errors = [{"email_addresses": unknown, "error": "The email addresses are not on the list."}] if unknown else []
        return {
            "members_added": [self._list.member_json(m) for m in added],
            "members_removed": [self._list.member_json(m) for m in removed],
            "errors": errors,
            "total_added": len(added),
            "total_removed": len(removed),
            "error_count": len(unknown),
        }

    def post_members(self, request: Request, body: Any) -> Any:
        rows = body.get("members", [])
        if len(rows) > MAX_BATCH:
            raise invalid(f"A maximum of {MAX_BATCH} members can be sent.")
        if self.breaking & {str(row.get("email_address")).lower() for row in rows}:
            raise Problem(500, "Internal Server Error", DEEP)
        answer: dict[str, list[Any]] = {"new_members": [], "updated_members": [], "errors": []}
        lenient = request.query_params.get("skip_merge_validation") == "true" or not self._requires_name
        for row in rows:
            where, what = self._list.subscribe(row, update=body.get("update_existing") is True, lenient=lenient)
            answer[where].append(what)
        totals = {"total_created": "new_members", "total_updated": "updated_members", "error_count": "errors"}
        return answer | {name: len(answer[of]) for name, of in totals.items()}

    def delete_member(self, request: Request, body: Any) -> None:
        self._list.forget(self._one(request).address)

    def _segment(self, request: Request) -> Segment:
        id_ = request.path_params["segment_id"]
        segment = self._list.segments.get(int(id_)) if id_.isdigit() else None
        if segment is None:
            raise not_found()
        if segment.type != "static" and request.method == "POST":
            raise invalid(f"A Static Segment with an id of {id_} does not exist.")
        return segment


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
