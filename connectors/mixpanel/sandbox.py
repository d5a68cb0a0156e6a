"""
A small Mixpanel: one project behind the four endpoints that the connector uses, and as unkind.

What no page of the vendor's settles is a switch of the constructor, so that the tests can have it both ways.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4
from zoneinfo import ZoneInfo

from connectors.mixpanel.sandbox_state import Bulk, Project, broken_off
from core.contract import Ask, Endpoint, Refused, Reply, Sandbox, Window, make_app

PROJECT, ACCOUNT, SECRET = "1234567", "tagalong.3f2a1c.mp-service-account", "Zk3vT9qLw2Xr8bNc5mHs7dPf1gJy4aUe"
PROJECT_SECRET, TOKEN = "7d1e2f3a4b5c6d7e8f9a0b1c2d3e4f50", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
MAX_UPDATES = 2000
_WHERE = re.compile(r'(?:(defined)\()?properties\[("(?:[^"\\]|\\.)*")\](?:\)|\s*(>|==)\s*(.+))')


class MixpanelSandbox(Sandbox):
    """
    The vendor.

    Args:
        rate_factor: times the limits of 60 an hour (export and query each) and 3 a second (export).
        timezone: the project's; days later than today there are refused.
        old_project: whether it was made before 2023, so that days begin at its own midnight.
        wall_clock: whether events are dated by its wall clock; as *old_project* if left out.
        twice_every: each so-many-th event of an export comes twice; 0 is none.
        bulk_events: made-up events besides, over the last *bulk_days* days, written as they are asked for.
        page_size: profiles a page.
        integer_ids: whether distinct ids that are numbers come as such.
        session_over: how a session that is over shows: a 400, or a new session.
        has_engage: whether the plan has the Engage API.
        bad_batch: what a batch with a bad update is answered: `stored`, 400 with the places, the others stored and counted;
            `places`, 400 with the places, and nothing stored; `nobody`, 200 with an error and no place, and nothing stored;
            `deaf`, 200 with `1`, as without strict and verbose.
        wrong_key: the status that wrong credentials are answered with.
        patience: what a 429 says: `retry_after`, `nothing`, or that it is the `hour`.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        rate_factor: float = 1.0,
        timezone: str = "Europe/Stockholm",
        old_project: bool = False,
        wall_clock: bool | None = None,
        twice_every: int = 0,
        bulk_events: int = 0,
        bulk_days: int = 30,
        page_size: int = 1000,
        integer_ids: bool = False,
        session_over: Literal["refused", "new"] = "refused",
        has_engage: bool = True,
        bad_batch: Literal["stored", "places", "nobody", "deaf"] = "stored",
        wrong_key: int = 401,
        patience: Literal["retry_after", "nothing", "hour"] = "retry_after",
    ) -> None:
        super().__init__(now=now)
        self.twice_every, self.page_size, self.integer_ids = twice_every, page_size, integer_ids
        self.session_over, self.has_engage, self.bad_batch = session_over, has_engage, bad_batch
        self.wrong_key, self.patience = wrong_key, patience
        self.project = Project(
            lambda: self.now(), self.change_log, zone=ZoneInfo(timezone), old=old_project,
            wall_clock=old_project if wall_clock is None else wall_clock,
            bulk=Bulk(bulk_events, bulk_days, lambda: self.now()),
        )  # fmt: skip
        self.refused: set[str] = set()
        """Distinct ids whose updates are bad."""
        self.break_off: tuple[int, bytes] | None = None
        """Pieces after which an export ends, and what it ends with."""
        self.sessions: dict[str, list[str]] = {}
        """Who is in each query's snapshot; clear it, and all sessions are over."""
        self.cohorts = [{"id": 1001, "name": "Active trials", "count": 180, "is_visible": 1, "project_id": int(PROJECT)}]
        hour = {plane: Window(60 * rate_factor, 3600) for plane in ("export", "query")}
        self._limits = {"export": [hour["export"], Window(3 * rate_factor, 1)], "query": [hour["query"]]}
        self._lock = threading.RLock()
        self.app = make_app(self, self._endpoints(), self._admit, self._lock)

    # What a test or the demo does to it ----------------------------------------------------------------------------

    def settings(self) -> Mapping[str, object]:
        zone = self.project.zone if self.project.old else UTC
        days = [one.at.astimezone(zone).date() for one in self.project.events.values()]
        bulk = self.project.bulk
        days.append((self.now() - timedelta(days=bulk.days if bulk.count else 30)).astimezone(zone).date())
        return {
            "project_id": PROJECT, "service_account": ACCOUNT, "secret": SECRET, "token": TOKEN, "start": min(days).isoformat(),
            "timezone": self.project.zone.key, "days": "project" if self.project.old else "utc",
            "times": "project" if self.project.wall_clock else "utc",
        }  # fmt: skip

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        put = {"users": self.project.load_user, "events": self.project.load_event}[what]
        with self._lock:
            for row in rows:
                put(row)

    def delete(self, what: str, ids: Iterable[str]) -> None:
        held: Mapping[str, dict[str, Any]] = {"users": self.project.profiles, "events": self.project.events}
        with self._lock:
            for id_ in ids:
                held[what].pop(id_, None)

    def merge(self, what: str, loser: str, winner: str) -> None:
        """Join two ids; a device's is `$device:` and its id."""
        if what != "users":
            raise KeyError(what)
        with self._lock:
            self.project.merge(loser, winner)

    def audiences(self) -> Mapping[str, frozenset[str]]:
        with self._lock:
            return self.project.flags()

    # HTTP ----------------------------------------------------------------------------------------------------------

    def _endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/api/2.0/export", self._export),
            Endpoint("POST", "/api/query/engage", self._profiles),
            Endpoint("POST", "/api/query/cohorts/list", self._cohorts),
            Endpoint("POST", "/engage", self._update, write=True),
        ]

    def _admit(self, ask: Ask) -> None:
        if ask.path == "/engage":  # updates are signed by the token within them
            return
        scheme, _, credentials = ask.headers.get("authorization", "").partition(" ")
        try:
            name, _, password = base64.b64decode(credentials).decode().partition(":")
        except ValueError:
            name = password = ""
        if scheme.lower() != "basic" or (name, password) not in ((ACCOUNT, SECRET), (PROJECT_SECRET, "")):
            raise _refused(self.wrong_key, "Unable to authenticate request: invalid service account credentials")
        if name == ACCOUNT and ask.one("project_id") is None:
            raise _refused(400, "project_id is a required parameter for service accounts")
        if name == ACCOUNT and ask.one("project_id") != PROJECT:
            raise _refused(403, "The service account has no permission for this project")
        for limit in self._limits["export" if ask.path.endswith("/export") else "query"]:
            if not limit.admits():
                self._slow_down()

    def _slow_down(self) -> None:
        said = "Query rate limit exceeded" + (": maximum of 60 queries per hour" if self.patience == "hour" else "")
        headers = {"retry-after": "30"} if self.patience == "retry_after" else {}
        raise Refused(429, {"error": said, "status": "error"}, headers=headers)

    def _export(self, ask: Ask) -> Reply:
        try:
            first, last = (date.fromisoformat(ask.one(name) or "") for name in ("from_date", "to_date"))
        except ValueError:
            raise _refused(400, "from_date and to_date are required: YYYY-MM-DD") from None
        if last > self.now().astimezone(self.project.zone).date():
            raise _refused(400, "to_date cannot be later than today")
        if last < first:
            raise _refused(400, "from_date is after to_date")
        lines = self.project.exported(first, last, ms=ask.one("time_in_ms") == "true", twice_every=self.twice_every)
        limit = ask.one("limit")
        if limit is not None:
            lines = iter([line for _, line in zip(range(int(limit)), lines, strict=False)])
        if self.break_off is not None:
            lines = broken_off(lines, *self.break_off)
        return Reply(content=lines, content_type="text/plain")

    def _cohorts(self, ask: Ask) -> Reply:
        return Reply(self.cohorts)

    def _profiles(self, ask: Ask) -> Reply:
        if not self.has_engage:
            raise _refused(402, "Your plan does not include access to this API")
        form = ask.form()
        if "page_size" in form:
            raise _refused(400, "page_size cannot be set")
        session, page = form.get("session_id", ""), int(form.get("page", 0))
        if session not in self.sessions:
            if session and self.session_over == "refused":
                raise _refused(400, "session_id is not valid any more")
            session = f"{int(self.now().timestamp())}-{uuid4().hex[:6]}"  # a page without one is of a query of its own
            self.sessions[session] = [id_ for id_, profile in self.project.profiles.items() if _chosen(form, id_, profile)]
        names = json.loads(form["output_properties"]) if "output_properties" in form else None
        ids = self.sessions[session][page * self.page_size : (page + 1) * self.page_size]
        results = [self._result(id_, names) for id_ in ids if id_ in self.project.profiles]
        return Reply(
            {
                "page": page, "page_size": self.page_size, "session_id": session, "status": "ok", "total": len(results),
                "computed_at": self.now().replace(tzinfo=None).isoformat(), "results": results,
            }
        )  # fmt: skip

    def _result(self, id_: str, names: list[str] | None) -> Any:
        profile = self.project.profiles[id_]
        shown = {name: value for name, value in profile.items() if names is None or name in names}
        number = self.integer_ids and id_.isdigit() and str(int(id_)) == id_
        return {"$distinct_id": int(id_) if number else id_, "$properties": shown}

    def _update(self, ask: Ask) -> Reply:
        try:
            updates = ask.json()
        except ValueError:
            updates = None
        if not isinstance(updates, list) or len(updates) > MAX_UPDATES:
            raise Refused(400, {"error": f"a list of at most {MAX_UPDATES} updates is due", "status": 0})
        if any(update.get("$token") != TOKEN for update in updates):
            return Reply({"error": "token, missing or invalid", "status": 0})
        heard = self.bad_batch != "deaf" and ask.one("strict") == "1" and ask.one("verbose") == "1"
        bad = [at for at, update in enumerate(updates) if self._fault(update)]
        store = not bad or not heard or self.bad_batch == "stored"
        for at, update in enumerate(updates):
            if store and at not in bad:
                self._apply(update, located=ask.one("ip") != "0")
        if not heard:
            return Reply(content=b"1", content_type="text/plain")
        if not bad:
            return Reply({"error": None, "status": 1})
        if self.bad_batch == "nobody":
            return Reply({"error": "some updates failed validation", "status": 0})
        body = {
            "code": 400, "error": "some data points in the request failed validation", "status": "Bad Request",
            "failed_records": [{"index": at, "field": "$distinct_id", "message": "is not valid"} for at in bad],
        }  # fmt: skip
        return Reply({**body, "num_records_imported": len(updates) - len(bad)} if store else body, 400)

    def _fault(self, update: Mapping[str, Any]) -> bool:
        operations = update.keys() - {"$token", "$distinct_id", "$ip", "$ignore_time", "$time"}
        return (
            not update.get("$distinct_id") or operations not in ({"$set"}, {"$unset"}) or update["$distinct_id"] in self.refused
        )

    def _apply(self, update: Mapping[str, Any], *, located: bool) -> None:
        values = dict(update.get("$set", {}))
        self.project.forget_properties(update["$distinct_id"], update.get("$unset", ()))
        if located and update.get("$ip") not in ("0", 0):
            values |= {"$city": "Frankfurt", "$country_code": "DE"}  # where the request came from
        self.project.update(update["$distinct_id"], values, silent=update.get("$ignore_time") is True)


SANDBOX = MixpanelSandbox


def _refused(status: int, error: str) -> Refused:
    return Refused(status, {"error": error, "status": "error", "request": "/api"})


def _chosen(form: Mapping[str, str], id_: str, profile: Mapping[str, Any]) -> bool:
    if "distinct_ids" in form and id_ not in json.loads(form["distinct_ids"]):
        return False
    if "where" not in form:
        return True
    match = _WHERE.fullmatch(form["where"].strip())
    if match is None:
        raise _refused(400, "where cannot be parsed")
    defined, name, operator, literal = match.groups()
    value = profile.get(json.loads(name))
    if defined:
        return value is not None
    wanted = json.loads(literal)
    return value == wanted if operator == "==" else value is not None and value > wanted
