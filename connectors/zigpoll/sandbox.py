"""
Zigpoll on loopback: one user, accounts, polls, slides, and responses newest first, in envelopes that differ like the vendor's.

It is as strict as the vendor: the key alone and without a prefix, 422 for whatever is wrong, exactly one of account, poll and
slide. What is not confirmed of the vendor is a switch of the constructor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from core.contract import Ask, Endpoint, Json, Refused, Reply, Sandbox, Window, make_app

KEY: Final = "6f1c2f0e-1d2b-4c3a-9e8f-0123456789ab"
USER: Final = "user-sandbox"
PER_S: Final = 10  # nobody says; enough for a client that keeps to 2
MOST, USUAL = 5000, 100
TYPES: Final = {
    "nps": "range",
    "rating": "star-rating",
    "opinion": "slider",
    "choice": "question",
    "choices": "dropdown",
    "text": "long-answer",
    "number": "short-answer",
    "yes_no": "binary",
    "email": "email-capture",
}
"""Neutral kind of a question to the vendor's type of slide."""
CHOOSING: Final = frozenset({"choice", "choices", "yes_no", "nps", "rating", "opinion"})


@dataclass
class Poll:
    """One poll."""

    id: str
    account: str
    title: str = ""
    questions: list[Mapping[str, Any]] = field(default_factory=list)
    created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    changed_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


class ZigpollSandbox(Sandbox):
    """
    What one key sees.

    Args:
        rate_factor: times the requests a second that are let through.
        wrapped: whether polls and slides come as `{data: [...]}`, else as arrays.
        page: how many rows a page holds at most, whatever is asked for.
        repeats_cursor: whether the last page announces a next one with its own cursor.
        votes_listed: whether a chosen option is listed in `answers`, else it stands in `response` alone.
        zones: whether times have one.
        retry_after: whether a 429 says how long to wait.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        rate_factor: float = 1.0,
        wrapped: bool = False,
        page: int = MOST,
        repeats_cursor: bool = False,
        votes_listed: bool = True,
        zones: bool = True,
        retry_after: bool = True,
    ) -> None:
        super().__init__(now=now)
        self.wrapped, self.page, self.repeats_cursor = wrapped, page, repeats_cursor
        self.votes_listed, self.zones, self.retry_after = votes_listed, zones, retry_after
        self.accounts: list[str] = ["acc1"]
        self.polls: dict[str, Poll] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        """Answered slides by `_id`, with `at` beside what is sent."""
        self.revoked = False
        self._window = Window(PER_S * rate_factor, 1.0)
        self.app = make_app(
            self,
            [
                Endpoint("GET", "/me", self._get_me),
                Endpoint("GET", "/accounts", lambda ask: Reply([{"_id": one, "title": "Example"} for one in self.accounts])),
                Endpoint("GET", "/polls", self._get_polls),
                Endpoint("GET", "/slides", self._get_slides),
                Endpoint("GET", "/responses", self._get_responses),
            ],
            self._admit,
        )

    def settings(self) -> Mapping[str, object]:
        return {"api_key": KEY}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """
        Insert or change `surveys` (with `account`, else the first) and `responses`.

        A `responses` row is one submission: a slide a second, the last at `submitted_at`. `participant` names whose it is (else
        each has its own), `metadata` adds to what `user_id` and `email` say.
        """
        load = {"surveys": self._load_poll, "responses": self._load_response}[what]
        for row in rows:
            load(row)

    def delete(self, what: str, ids: Iterable[str]) -> None:
        """Delete polls with all their answers, or submissions: nothing tells of it."""
        if what not in ("surveys", "responses"):
            raise KeyError(what)
        gone = set(ids)
        self.polls = {id_: poll for id_, poll in self.polls.items() if what != "surveys" or id_ not in gone}
        named = "pollId" if what == "surveys" else "submission"
        self.rows = {id_: row for id_, row in self.rows.items() if row[named] not in gone}

    def merge(self, what: str, loser: str, winner: str) -> None:
        raise KeyError(f"Zigpoll merges no {what}")

    def _load_poll(self, row: Mapping[str, Any]) -> None:
        account = row.get("account") or self.accounts[0]
        poll = self.polls.setdefault(row["id"], Poll(row["id"], account, created_at=row.get("created_at") or self.now()))
        poll.title = row.get("title", poll.title)
        poll.questions = list(row.get("questions", poll.questions))
        poll.changed_at = self.now()

    def _load_response(self, row: Mapping[str, Any]) -> None:
        poll = self.polls[row["survey"]]
        kinds = {question["id"]: question for question in poll.questions}
        answered = [(at, value) for at, value in row["answers"].items() if value is not None]
        sent = row.get("submitted_at") or self.now()
        told = {name: row[name] for name in ("user_id", "email") if row.get(name)} | dict(row.get("metadata") or {})
        for n, (at, value) in enumerate(answered):
            id_ = f"{row['id']}.{at}"
            self.rows[id_] = {
                "submission": row["id"],
                "at": sent - timedelta(seconds=len(answered) - 1 - n),
                "_id": id_,
                "accountId": poll.account,
                "pollId": poll.id,
                "slideId": f"{poll.id}.{at}",
                "participantId": row.get("participant") or f"part-{row['id']}",
                "metadata": {"url": "https://shop.example.com/thanks", "original-referrer": "https://example.com", **told},
                **_answer(kinds[at], value),
            }

    # HTTP

    def _admit(self, ask: Ask) -> None:
        if not self._window.admits():
            raise Refused(429, {"error": "Too many requests"}, headers={"Retry-After": "1"} if self.retry_after else {})
        if self.revoked or ask.headers.get("authorization") != KEY:
            raise Refused(422, {"error": "Invalid token"})

    def _get_me(self, ask: Ask) -> Reply:
        return Reply({"_id": USER, "name": "Ana", "email": "ana@example.com", "accounts": self.accounts})

    def _get_polls(self, ask: Ask) -> Reply:
        polls = [poll for poll in self.polls.values() if ask.one("accountId") in (None, poll.account)]
        return self._list([_poll(poll) for poll in polls])

    def _get_slides(self, ask: Ask) -> Reply:
        name, wanted = _one_of(ask)
        slides = [slide for poll in self.polls.values() for slide in _slides(poll)]
        asked = {"accountId": "accountId", "pollId": "pollId", "slideId": "_id"}[name]
        return self._list([slide for slide in slides if slide[asked] == wanted])

    def _list(self, rows: list[Json]) -> Reply:
        return Reply({"data": rows} if self.wrapped else rows)

    def _get_responses(self, ask: Ask) -> Reply:
        name, wanted = _one_of(ask)
        limit = min(_number(ask, "limit", USUAL), MOST, self.page)
        after = _number(ask, "createdAfter", 0)
        found = [row for row in self.rows.values() if row[name] == wanted and row["at"].timestamp() * 1000 >= after]
        found.sort(key=lambda row: (row["at"], row["_id"]), reverse=True)
        begin = 0
        if cursor := ask.one("startCursor"):
            begin = next((n + 1 for n, row in enumerate(found) if row["_id"] == cursor), -1)
            if begin < 0:
                raise Refused(422, {"error": "Invalid cursor"})
        rows = found[begin : begin + limit]
        more = begin + limit < len(found)
        end = rows[-1]["_id"] if rows else (cursor or "")
        if not more and self.repeats_cursor:
            more, end = True, cursor or end
        return Reply({"data": [self._response(row) for row in rows], "hasNextPage": more, "endCursor": end})

    def _response(self, row: Mapping[str, Any]) -> Json:
        at = row["at"].astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        made = {name: row[name] for name in row if name not in ("at", "submission", "answers")}
        if self.votes_listed and row.get("answers"):
            made["answers"] = row["answers"]
        return {**made, "createdAt": f"{at}Z" if self.zones else at}


SANDBOX = ZigpollSandbox


def _poll(poll: Poll) -> Json:
    return {
        "_id": poll.id,
        "createdAt": poll.created_at.isoformat(),
        "title": poll.title,
        "accountId": poll.account,
        "pageRules": [],
        "slides": [f"{poll.id}.{question['id']}" for question in poll.questions],
        "lastModified": poll.changed_at.isoformat(),
        "isVisible": True,
        "isArchived": False,
    }


def _slides(poll: Poll) -> Iterable[Json]:
    for question in poll.questions:
        labels = question.get("choices") or (["Yes", "No"] if question["kind"] == "yes_no" else [])
        answers = [{"title": label, "handle": str(label).lower(), "votes": 0} for label in labels]
        yield {
            "_id": f"{poll.id}.{question['id']}", "createdAt": poll.created_at.isoformat(), "title": question["text"],
            "handle": question["id"], "answers": answers, "type": question.get("type") or TYPES[question["kind"]],
            "pollId": poll.id, "accountId": poll.account, "lastModified": poll.changed_at.isoformat(),
        }  # fmt: skip


def _answer(question: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
    """Return what was chosen or typed, as text and, for what was chosen, as a list."""
    labels = value if isinstance(value, list) else [("Yes" if value else "No") if isinstance(value, bool) else str(value)]
    chosen = question["kind"] in CHOOSING
    told: dict[str, Any] = {"response": ", ".join(labels), "valueType": "vote" if chosen else "dynamic-response"}
    return {**told, "answers": [{"title": label, "handle": label.lower()} for label in labels]} if chosen else told


def _one_of(ask: Ask) -> tuple[str, str]:
    given = [(name, value) for name in ("accountId", "pollId", "slideId") if (value := ask.one(name))]
    if len(given) != 1:
        raise Refused(422, {"message": "Provide exactly one of accountId, pollId and slideId"})
    return given[0]


def _number(ask: Ask, name: str, default: int) -> int:
    value = ask.one(name) or str(default)
    if not value.isdigit():
        raise Refused(422, {"message": f"{name} is a number"})
    return int(value)
