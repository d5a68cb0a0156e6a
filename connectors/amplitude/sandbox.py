"""
A small Amplitude: one project behind the endpoints that the connector uses, and as unkind. Regions and hosts are one here.

What no page of the vendor's settles is a switch of the constructor, so that the tests can have it both ways.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final, Literal

from connectors.amplitude.sandbox_archive import members_file
from connectors.amplitude.sandbox_events import MAX_RANGE, EventAnswers, refused
from connectors.amplitude.sandbox_state import APP_ID, Cohort, State
from core.contract import Ask, Endpoint, Refused, Reply, Sandbox, Window, make_app

KEY, SECRET, OWNER = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210", "owner@example.com"
MAX_IDS, DOWNLOADS_A_MONTH, MAX_BODY = 100_000, 500, 1_000_000
NOBODY: Final = frozenset({"anonymous", "nil", "none", "null", "n/a", "undefined", "unknown", "0"})


class AmplitudeSandbox(Sandbox):
    """
    The vendor.

    Args:
        rate_factor: times the downloads in ten minutes and the identified users a second that are allowed.
        bulk: events made on the fly beside those that were loaded, the newest of them exportable now.
        iso_times: times as the documents have them, not as real files do.
        malformed_every: each so-many-th line is followed by half of one.
        heavy_hours: a longer range is answered 504.
        heavy_events: a range with more events is answered 400.
        cohort_file: how a cohort's members are written.
        file_elsewhere: whether they are had by a redirect to storage.
        job_looks: how often a job is asked after before it has ended.
        busy_after: changes of a cohort that are refused after each one.
        errors_with_200: whether cohort errors come with status 200.
        heeds_min_id_length: whether identifying heeds the form field.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        rate_factor: float = 1.0,
        bulk: int = 0,
        app_id: int = APP_ID,
        iso_times: bool = False,
        malformed_every: int = 0,
        heavy_hours: int | None = None,
        heavy_events: int | None = None,
        cohort_file: Literal["csv", "lines", "array", "csv.gz"] = "csv",
        file_elsewhere: bool = True,
        job_looks: int = 1,
        busy_after: int = 0,
        errors_with_200: bool = False,
        heeds_min_id_length: bool = True,
    ) -> None:
        super().__init__(now=now)
        self.state = State(lambda: self.now(), self.change_log, app_id=app_id)
        self._events = EventAnswers(
            self.state, lambda: self.now(), bulk=bulk, iso_times=iso_times, malformed_every=malformed_every,
            heavy_hours=heavy_hours, heavy_events=heavy_events,
        )  # fmt: skip
        self.cohort_file, self.file_elsewhere, self.job_looks = cohort_file, file_elsewhere, job_looks
        self.busy_after, self.errors_with_200, self.heeds_min_id_length = busy_after, errors_with_200, heeds_min_id_length
        self.jobs: dict[str, tuple[Cohort, Iterator[int]]] = {}
        self.signed: dict[str, str] = {}
        """Signed addresses that are still good, and the job of each."""
        self._downloads = Window(60 * rate_factor, 600.0)
        self._identified = Window(1000 * rate_factor, 1.0)
        self.staged: set[str] = set()
        """Users who are to be deleted."""
        self._lock = threading.RLock()
        self.app = make_app(self, self._endpoints(), self._admit, self._lock)

    def _endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/api/2/export", self._events.export),
            Endpoint("GET", "/api/2/events/list", self._events.list_events),
            Endpoint("GET", "/api/3/cohorts", self._list_cohorts),
            Endpoint("POST", "/api/3/cohorts/upload", self._upload, write=True),
            Endpoint("POST", "/api/3/cohorts/membership", self._membership, write=True),
            Endpoint("GET", "/api/5/cohorts/request/{cohort}", self._request_members),
            Endpoint("GET", "/api/5/cohorts/request-status/{job}", self._job_status),
            Endpoint("GET", "/api/5/cohorts/request/{job}/file", self._job_file),
            Endpoint("GET", "/storage/{signature}", self._stored_file),
            Endpoint("POST", "/identify", self._identify, write=True),
            Endpoint("POST", "/api/2/deletions/users", self._delete_users, write=True),
        ]

    def settings(self) -> Mapping[str, object]:
        times = [event.uploaded_at.astimezone(UTC) for event in self.state.events.values()]
        return {
            "api_key": KEY, "secret_key": SECRET, "app_id": self.state.app_id, "owner": OWNER, "min_id_length": 1,
            "start": min(times, default=self.now() - MAX_RANGE).date().isoformat(),
        }  # fmt: skip

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        with self._lock:
            add = {"users": self.state.load_user, "events": self.state.load_event}[what]
            for row in rows:
                add(row)

    def delete(self, what: str, ids: Iterable[str]) -> None:
        """Delete the way a privacy request does: nothing tells of it."""
        with self._lock:
            self.state.forget(what, ids)

    def merge(self, what: str, loser: str, winner: str) -> None:
        """From now on the loser's events are the winner's; what was uploaded before stays as it is."""
        if what != "users":
            raise KeyError(what)
        self.state.merged[loser] = winner

    def audiences(self) -> Mapping[str, frozenset[str]]:
        with self._lock:
            return self.state.audiences()

    # Signing in ------------------------------------------------------------------------------------------------------

    def _admit(self, ask: Ask) -> None:
        said = ask.headers.get("authorization")
        if ask.path.startswith("/storage/"):
            if said is not None:
                raise Refused(400, {"error": "Only one auth mechanism allowed"})
            return
        if ask.path == "/identify":
            if ask.form().get("api_key") != KEY:
                raise Refused(400, {"code": 400, "error": "invalid_api_key"})
            return
        if said != "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode():
            raise Refused(401, {"error": {"http_code": 401, "type": "unauthorized", "message": "Invalid keys."}})
        if ask.path.startswith("/api/5/") and not self._downloads.admits():
            raise refused(429, "too_many_requests")

    # Deletion --------------------------------------------------------------------------------------------------------

    def _delete_users(self, ask: Ask) -> Reply:
        """Stage users for deletion; who is not known is an error unless it is to be passed over."""
        body = ask.json()
        users = [str(id_) for id_ in body.get("user_ids", [])]
        if not 0 < len(users) <= 100:
            raise refused(400, "between 1 and 100 users")
        unknown = [id_ for id_ in users if id_ not in self.state.users]
        if unknown and body.get("ignore_invalid_id") != "True":
            raise refused(400, "invalid user ids")
        self.staged |= set(users) - set(unknown)
        day = self.now().date().isoformat()
        asked = [{"requester": body.get("requester"), "requested_on_day": day}]
        return Reply({"day": day, "status": "staging", "amplitude_ids": asked})

    # Cohorts ---------------------------------------------------------------------------------------------------------

    def _list_cohorts(self, ask: Ask) -> Reply:
        return Reply({"cohorts": [self.state.cohort_json(cohort) for cohort in self.state.cohorts.values()]})

    def _upload(self, ask: Ask) -> Reply:
        body = ask.json()
        if body.get("app_id") != self.state.app_id or body.get("id_type") != "BY_USER_ID" or not body.get("name"):
            return self._error("invalid_request")
        if body.get("owner") != OWNER:
            return self._error("invalid_owner")
        ids = body.get("ids") or []
        matched = [id_ for id_ in ids if id_ in self.state.users]
        if not matched or len(ids) > MAX_IDS:
            return self._error("no_matching_ids")
        cohort = self.state.make_cohort(body["name"], matched, body["owner"])
        totals = {"matched": len(matched), "totals": len(ids), "invalid_ids_sample": sorted(set(ids) - set(matched))[:5]}
        return Reply({"cohortId": cohort.id, "metadata": totals})

    def _membership(self, ask: Ask) -> Reply:
        body = ask.json()
        cohort = self.state.cohorts.get(str(body.get("cohort_id")))
        if cohort is None:
            raise refused(404, "cohort_not_found")
        if cohort.busy:
            cohort.busy -= 1
            raise refused(429, "concurrent_access")
        results = []
        for part in body["memberships"]:
            ids = part["ids"]
            if part["id_type"] != "BY_NAME" or not ids or len(ids) > MAX_IDS or len(ids) != len(set(ids)):
                return self._error("invalid_ids")
            skipped = self.state.change(cohort, part["operation"], ids)
            if skipped and not body.get("skip_invalid_ids"):
                return self._error("invalid_ids")
            results.append({"skipped_ids": skipped, "id_type": part["id_type"], "operation": part["operation"]})
        cohort.busy = self.busy_after
        return Reply({"cohort_id": cohort.id, "memberships_result": results})

    def _error(self, code: str) -> Reply:
        error = {"http_code": 400, "type": code, "message": f"Refused: {code}.", "metadata": {}}
        return Reply({"error": error}, 200 if self.errors_with_200 else 400)

    def _request_members(self, ask: Ask) -> Reply:
        cohort = self.state.cohorts.get(ask.params["cohort"])
        if cohort is None:
            raise refused(404, "cohort_not_found")
        if len(self.jobs) >= DOWNLOADS_A_MONTH:
            raise refused(429, "monthly_quota_exceeded")
        job = f"r{len(self.jobs) + 1}"
        self.jobs[job] = (cohort, count())
        return Reply({"request_id": job, "cohort_id": cohort.id}, 202)

    def _job_status(self, ask: Ask) -> Reply:
        cohort, looks = self._job(ask)
        done = next(looks) >= self.job_looks
        said = "JOB COMPLETED" if done else "JOB INPROGRESS"
        body = {"request_id": ask.params["job"], "cohort_id": cohort.id, "async_status": said}
        return Reply(body, 200 if done else 202)

    def _job(self, ask: Ask) -> tuple[Cohort, Iterator[int]]:
        if ask.params["job"] not in self.jobs:
            raise refused(404, "request_not_found")
        return self.jobs[ask.params["job"]]

    def _job_file(self, ask: Ask) -> Reply:
        cohort, _ = self._job(ask)
        if not self.file_elsewhere:
            return self._members_file(cohort)
        signature = f"s{len(self.signed) + 1}"
        self.signed[signature] = ask.params["job"]
        return Reply(status=302, headers={"location": f"{ask.url.partition('/api/')[0]}/storage/{signature}"})

    def _stored_file(self, ask: Ask) -> Reply:
        job = self.signed.get(ask.params["signature"])
        if job is None:
            raise Refused(403)
        return self._members_file(self.jobs[job][0])

    def _members_file(self, cohort: Cohort) -> Reply:
        members = [{"amplitude_id": self.state.users[id_].amplitude_id, "user_id": id_} for id_ in sorted(cohort.members)]
        content, content_type = members_file(members, self.cohort_file)
        return Reply(content=content, content_type=content_type)

    # Identifying -----------------------------------------------------------------------------------------------------

    def _identify(self, ask: Ask) -> Reply:
        form = ask.form()
        said = json.loads(form.get("identification") or "null")
        users = [said] if isinstance(said, dict) else said
        if not users:
            raise Refused(400, {"code": 400, "error": "missing_field", "missing_field": "identification"})
        if len(ask.body) > MAX_BODY:
            raise Refused(413, {"code": 413, "error": "Payload too large"})
        if not self._identified.admits(len(users)):
            throttled = {user["user_id"]: 31 for user in users[:1]}
            raise Refused(429, {"code": 429, "error": "Too many requests for some devices and users", "eps_threshold": 30,
                                "throttled_devices": {}, "throttled_users": throttled, "throttled_events": [0]})  # fmt: skip
        shortest = int(form.get("min_id_length", 5)) if self.heeds_min_id_length else 5
        for user in users:
            if len(user["user_id"]) < shortest or user["user_id"].lower() in NOBODY:
                continue  # dropped, and nobody is told
            for name, value in user["user_properties"]["$set"].items():
                self.state.set_property(user["user_id"], name, value)
            for name in user["user_properties"].get("$unset", {}):
                self.state.user(user["user_id"]).properties.pop(name, None)
        return Reply(content=b"success", content_type="text/html;charset=utf-8")


SANDBOX = AmplitudeSandbox
