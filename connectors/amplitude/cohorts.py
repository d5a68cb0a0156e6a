"""
The audience `cohort`: a static cohort of the project, members in and out by user id.

A cohort can neither be made empty nor be asked who is in it, but by a job of which a project has 500 a month.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import IO, Final

from connectors.amplitude.cohort_file import user_ids
from core.contract import Api, Audience, AudienceSet, Change, Json, Op, Outcome, Ref, Verdict
from core.errors import AuthError, ConfigError, ProtocolError, RejectedError, TransientError

AUDIENCES = AudienceSet()

MAX_IDS: Final = 100_000  # in one request. DOCS/behavioral-cohorts
MAX_FILE_BYTES: Final = 1024**3  # a cohort has at most 2 million members
PAGE_SIZE: Final = 1000
LOOK_EVERY_S: Final = 15.0  # 60 requests in 10 minutes are allowed
JOB_LIMIT_S: Final = 1800.0
BY_USER_ID: Final = "BY_USER_ID"  # in uploads
BY_NAME: Final = "BY_NAME"  # the same in membership changes (Quirk 18)


@AUDIENCES.add("cohort")
class Cohort(Audience):
    """A static cohort."""

    key_kind = "user_id"
    max_batch = MAX_IDS
    concurrency = 1  # Quirk 16: one request at a time for each cohort
    repeat = "safe"  # putting in twice is putting in once
    seeded = True

    def check_name(self, name: str) -> str | None:
        if not name.strip() or name != name.strip():
            return "a cohort's name has no space at its ends and is not empty"
        return None if name.isprintable() else "a cohort's name holds no control characters"

    def lookup(self, api: Api, name: str) -> str | None:
        """Read all cohorts, there are no pages: the exact spelling first, then the oldest; archived ones are none."""
        same = [
            cohort
            for cohort in read_cohorts(api)
            if str(cohort.get("name")).casefold() == name.casefold() and not cohort.get("archived")
        ]
        best = min(same, key=lambda cohort: (cohort["name"] != name, cohort.get("createdAt") or 0), default=None)
        return None if best is None else str(best["id"])

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """Make the cohort with its first member; one that Amplitude does not know will not do (Quirk 17)."""
        settings = api.settings
        if not settings.owner:
            raise ConfigError(
                f"the cohort {name!r} cannot be made without an owner: set owner on the connection to the address with which"
                " somebody signs in to Amplitude"
            )
        stand_in = settings.seed_user_id
        if not seed and not stand_in:
            raise ConfigError("Amplitude makes no empty cohort: set seed_user_id to the id of a user whom the project knows")
        if seed:
            try:
                return _upload(api, name, seed[0].remote_id)
            except RejectedError as error:
                if not stand_in:
                    raise RejectedError(
                        "the cohort was not made: either owner is not the address with which somebody signs in to Amplitude, or"
                        " the first member is unknown there; set seed_user_id to the id of a user whom the project knows",
                        status=error.status,
                        code=error.code,
                    ) from error
        made = _upload(api, name, stand_in)
        _change(api, made, Op.REMOVE, [stand_in])
        return made

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """
        Put members in, and when that is answered take others out (Quirk 16).

        Returns:
            One outcome per member, adds first, in the order given; NOT_FOUND for a user whom Amplitude does not know.
        """
        added = [change.ref for change in adds]
        unknown = {op: _change(api, audience_id, op, [ref.remote_id for ref in refs])
                   for op, refs in ((Op.ADD, added), (Op.REMOVE, removes)) if refs}  # fmt: skip
        return [
            *(_outcome(Op.ADD, ref, ref.remote_id in unknown[Op.ADD]) for ref in added),
            *(_outcome(Op.REMOVE, ref, ref.remote_id in unknown[Op.REMOVE]) for ref in removes),
        ]

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        """Everybody with a user id, by a download job; each costs one of 500 a month (Quirk 19)."""
        # it is begun once: sending it again could begin a second job
        begun = api.request("GET", f"/api/5/cohorts/request/{audience_id}", params={"props": 0}, repeat=False).body
        request_id = str(begun["request_id"])
        api.poll(lambda: _ended(api, request_id), every_s=LOOK_EVERY_S, limit_s=JOB_LIMIT_S)
        with ExitStack() as stack:
            page: list[Ref] = []
            for user_id in user_ids(_file(api, request_id, stack)):
                page.append(Ref(user_id))
                if len(page) == PAGE_SIZE:
                    yield page
                    page = []
            yield page

    def cost(self, adds: int, removes: int) -> int:
        """Additions and removals are requests of their own."""
        return -(-adds // MAX_IDS) + -(-removes // MAX_IDS)


def read_cohorts(api: Api) -> Sequence[Json]:
    """Return all cohorts of the project."""
    found = api.get("/api/3/cohorts")["cohorts"]
    if not isinstance(found, list):
        raise ProtocolError("the answer does not list cohorts")
    return found


def _upload(api: Api, name: str, user_id: str) -> str:
    settings = api.settings
    body = api.post(
        "/api/3/cohorts/upload",
        json={
            "name": name,
            "app_id": settings.app_id,
            "id_type": BY_USER_ID,
            "ids": [user_id],
            "owner": settings.owner,
            "published": True,
            "skip_invalid_ids": True,
        },
    )
    if not isinstance(body, dict) or not body.get("cohortId"):
        raise ProtocolError("the answer does not say which cohort was made")
    return str(body["cohortId"])


def _change(api: Api, cohort_id: str, op: Op, ids: Sequence[str]) -> frozenset[str]:
    """Change the membership of *ids* one way; return those whom Amplitude does not know."""
    operation, asked = op.upper(), list(dict.fromkeys(ids))  # an id twice in a batch is refused
    body = api.post(
        "/api/3/cohorts/membership",
        json={
            "cohort_id": cohort_id,
            "skip_invalid_ids": True,
            "memberships": [{"ids": asked, "id_type": BY_NAME, "operation": operation}],
        },
        repeat=True,
    )
    results = body.get("memberships_result") if isinstance(body, dict) else None
    result = results[0] if isinstance(results, list) and len(results) == 1 and isinstance(results[0], dict) else {}
    if result.get("operation") != operation or not isinstance(result.get("skipped_ids"), list):
        raise ProtocolError("the answer does not say whose membership was changed")
    skipped = frozenset(map(str, result["skipped_ids"]))
    if skipped - set(asked):
        raise RejectedError("the answer leaves out somebody whom we did not name")
    return skipped


def _outcome(op: Op, ref: Ref, unknown: bool) -> Outcome:
    if not unknown:
        return Outcome(ref, Verdict.DONE)
    if op is Op.REMOVE:
        return Outcome(ref, Verdict.NOOP, reason="unknown to Amplitude")
    return Outcome(ref, Verdict.NOT_FOUND, reason="unknown to Amplitude")


def _ended(api: Api, request_id: str) -> bool | None:
    """Return True once the job is done, None while it runs."""
    answer = api.request("GET", f"/api/5/cohorts/request-status/{request_id}")
    said = str(answer.body.get("async_status")).upper().replace(" ", "")
    if answer.status == 202 or said.endswith("INPROGRESS"):
        return None
    if not said.endswith("COMPLETED"):
        raise TransientError("the cohort's download job failed at the vendor; it can be begun anew", status=answer.status)
    return True


def _file(api: Api, request_id: str, stack: ExitStack) -> IO[bytes]:
    """Return the members' file: from Amplitude itself, or from where it says, without our credentials (Quirk 20)."""
    path = f"/api/5/cohorts/request/{request_id}/file"
    for _ in range(2):
        got = stack.enter_context(api.fetch(path, max_bytes=MAX_FILE_BYTES, allow=(302,)))
        if got.status != 302:
            return got.file
        try:
            return stack.enter_context(api.download(got.headers["location"], max_bytes=MAX_FILE_BYTES))
        except AuthError:  # the signed address is good for one minute; ours for a new one, 7 days
            continue
    raise TransientError("the cohort's file cannot be had at the address that Amplitude gives; try again later")
