"""Reading by query jobs: when, that a job outlives the process, that its results come whole, and jobs that fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from connectors.salesforce import pull as reading
from connectors.salesforce import vendor
from core.contract import Fault, Page
from core.errors import ProtocolError, RejectedError, TransientError
from core.registry import load_connector
from core.sandbox import Rewritten, Truncated

SF = load_connector("salesforce")
JOBS = "/services/data/v66.0/jobs/query"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make five rows many, and three a part."""
    monkeypatch.setattr(vendor, "BULK_ABOVE", 5)
    monkeypatch.setattr(reading, "CHUNK", 4)
    monkeypatch.setattr(reading, "PAGE", 2)


def load(api: Any, count: int, **more: Any) -> None:
    api.sandbox.load(
        "people",
        [{"id": str(n), "email": f"p{n}@example.com", "company_id": None, **more} for n in range(1, count + 1)],
    )


def pages(api: Any, cursor: Any = None, resume: str | None = None) -> list[Page]:
    return list(SF.streams(api.settings)["contacts"].pull(api, cursor, resume))


def ids(found: list[Page]) -> list[str]:
    return [record["Id"] for page in found for record in page.records]


def test_many_rows_are_read_by_a_job_in_parts(org: Callable[..., Any]) -> None:
    """Gotcha: the last part's locator is the word null; a first page that says too many costs one request and no more."""
    api = org(polls=3)
    load(api, 11)
    found = pages(api)

    assert (11, 11) == (len(ids(found)), len(set(ids(found))))
    assert 3 == api.sandbox.requests[f"GET {JOBS}/{{job}}/results"]
    assert [0, 2, 2, 2, 2, 2, 1] == [len(page.records) for page in found]
    assert found[-1].resume is None
    assert [5.0, 5.0] == api.slept
    assert 1 == api.sandbox.requests["GET /services/data/v66.0/queryAll"]


def test_a_job_reads_what_a_query_reads(org: Callable[..., Any], clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways give the same records, whose hashes then do not change: empty cells are null, times are times."""
    api = org()
    load(api, 7, extra={"score": 3}, created_at=clock() - timedelta(days=9), first_name='Ann, "the" Berg')
    api.sandbox.delete("people", ["1"])
    api.sandbox.merge("people", "2", "3")
    by_job = pages(api)
    monkeypatch.setattr(vendor, "BULK_ABOVE", 50_000)
    by_query = pages(api)

    def key(record: Any) -> str:
        return str(record["Id"])

    def told(found: list[Page]) -> Any:
        every = [record for page in found for record in page.records]
        return sorted(every, key=key), [p for q in found for p in q.deleted], [p for q in found for p in q.merged]

    assert told(by_job) == told(by_query)
    assert max(p.cursor for p in by_job if p.cursor) == max(p.cursor for p in by_query if p.cursor)
    assert "ORDER BY" not in api.recorder.bodies("POST", "/jobs/query")[0]["query"]


@pytest.mark.parametrize("stop", range(1, 7))
def test_a_job_survives_the_process(org: Callable[..., Any], stop: int) -> None:
    """The job's id is kept before it is asked after, then part and row; a killed pull makes no second job and loses nothing."""
    api = org()
    load(api, 11)
    stream = SF.streams(api.settings)["contacts"].pull(api, None, None)
    before = [next(stream) for _ in range(stop)]
    stream.close()
    after = pages(api, None, before[-1].resume)

    assert (11, 11) == (len(ids([*before, *after])), len(set(ids([*before, *after]))))
    assert 1 == api.sandbox.requests[f"POST {JOBS}"]


def test_a_slow_job_is_left_to_the_next_pull(org: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "POLL_LIMIT_S", 0.0)
    api = org(polls=2)
    load(api, 6)
    stream = SF.streams(api.settings)["contacts"].pull(api, None, None)
    first = next(stream)
    with pytest.raises(TransientError):
        next(stream)

    assert 6 == len(ids(pages(api, None, first.resume)))
    assert 1 == api.sandbox.requests[f"POST {JOBS}"]


def test_a_job_that_fails_is_refused_and_the_next_one_is_another(org: Callable[..., Any]) -> None:
    """A resumed job that failed is a RejectedError before any page: the core then forgets it and starts over."""
    api = org()
    load(api, 6)
    api.sandbox.jobs.failing = 1
    stream = SF.streams(api.settings)["contacts"].pull(api, None, None)
    first = next(stream)
    with pytest.raises(RejectedError) as caught:
        next(stream)
    assert "Failed" == caught.value.code
    with pytest.raises(RejectedError):
        pages(api, None, first.resume)

    assert 6 == len(ids(pages(api)))
    assert 2 == api.sandbox.requests[f"POST {JOBS}"]


def test_a_job_that_the_vendor_forgot_is_refused(org: Callable[..., Any]) -> None:
    """Results are kept seven days; a token of an older job makes the core start over."""
    api = org()

    with pytest.raises(RejectedError):
        pages(api, None, '{"job":"750xx0000009999AAA"}')


@pytest.mark.parametrize("code", ["QUERY_TIMEOUT", "OPERATION_TOO_LARGE"])
def test_a_query_that_takes_too_long_is_given_to_a_job(org: Callable[..., Any], code: str) -> None:
    """Gotcha: big objects time out; a job takes its time."""
    api = org()
    load(api, 3)
    body = f'[{{"message":"x","errorCode":"{code}"}}]'.encode()
    api.served.faults = lambda _m, path, _n: (
        Fault(400, {"content-type": "application/json"}, body) if "queryAll" in path else None
    )

    assert 3 == len(ids(pages(api)))
    assert 1 == api.sandbox.requests[f"POST {JOBS}"]


@pytest.mark.parametrize("status", [414, 431])
def test_an_address_that_is_too_long_is_given_to_a_job(org: Callable[..., Any], status: int) -> None:
    """Gotcha: address and headers together have 16,384 bytes; a job has its query in the body."""
    api = org()
    load(api, 3)
    api.served.faults = lambda _m, path, _n: Fault(status, {}, b"") if "queryAll" in path else None

    assert 3 == len(ids(pages(api)))


def test_many_fields_make_a_job_without_asking(org: Callable[..., Any]) -> None:
    names = [f"f{n:04}_{'x' * 30}" for n in range(400)]
    api = org({"extra_fields": {"contacts": [f"{name}__c" for name in names]}})
    load(api, 1, extra=dict.fromkeys(names, "v"))

    assert 1 == len(ids(pages(api)))
    assert (0, 1) == (api.sandbox.requests["GET /services/data/v66.0/queryAll"], api.sandbox.requests[f"POST {JOBS}"])


def test_results_cut_short_are_not_taken_for_all(org: Callable[..., Any]) -> None:
    """The header says how many rows there are; a file with fewer ends the stream, and what was read stays."""
    api = org()
    load(api, 6)
    api.served.faults = lambda _m, path, _n: (
        Rewritten(lambda body: b"\n".join(body.splitlines()[:2]) + b"\n") if path.endswith("/results") else None
    )

    with pytest.raises(ProtocolError, match="fewer rows"):
        pages(api)


def test_a_row_cut_in_half_is_not_taken_for_one(org: Callable[..., Any]) -> None:
    api = org()
    load(api, 6)
    api.served.faults = lambda _m, path, _n: Truncated(0.3) if path.endswith("/results") else None

    with pytest.raises((ProtocolError, ValueError, TypeError)):
        pages(api)


def test_the_same_part_for_ever_is_a_circle(org: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    api = org()
    load(api, 6)
    place = reading.Place(job="750xx0000000000AAA", locator="4")

    with pytest.raises(ProtocolError, match="part in hand"):
        reading._following_part(place, "4")
    assert reading._following_part(place, "null") is None
    assert reading._following_part(place, "8") == reading.Place(job=place.job, locator="8")
