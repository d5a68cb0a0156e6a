"""Who is in a cohort: a download job, and a file of no documented layout."""

from __future__ import annotations

import io
from typing import Any

import pytest
from amplitude_rows import adds, make_cohort, refs, spoil

from connectors.amplitude.cohort_file import user_ids
from core.contract import Fault
from core.errors import ProtocolError, RateLimited, TransientError
from core.sandbox import Reset, Rewritten


def test_members_are_read_by_a_job(make_project: Any, cohort: Any) -> None:
    """Quirk 19: one job, asked after every 15 s until it has ended, with more than a page of members."""
    api = make_project(job_looks=3)
    api.sandbox.load("users", [{"id": f"user-{n}"} for n in range(2300)])
    id_ = cohort.create(api, "At risk", refs(1))
    cohort.apply(api, id_, adds(*range(2300)), ())
    pages = [[ref.remote_id for ref in page] for page in cohort.members(api, id_)]

    assert [1000, 1000, 300] == [len(page) for page in pages]
    assert {f"user-{n}" for n in range(2300)} == {who for page in pages for who in page}
    assert [15.0] * 3 == api.slept
    assert 1 == len(api.recorder.said(r"GET /api/5/cohorts/request/0\w+"))


def test_members_are_not_read_unless_asked(project: Any, cohort: Any) -> None:
    """Quirk 19: neither finding, making nor changing a cohort costs one of the month's downloads."""
    id_ = cohort.create(project, "At risk", refs(1))
    cohort.lookup(project, "At risk")
    cohort.apply(project, id_, adds(2), refs(1))

    assert not project.sandbox.jobs


def test_a_job_is_not_begun_twice(project: Any, cohort: Any) -> None:
    """Quirk 19: a lost answer may have cost one of 500 already."""
    id_ = cohort.create(project, "At risk", refs(1))
    spoil(project, 1, Reset(act=True))
    with pytest.raises(TransientError):
        list(cohort.members(project, id_))

    assert 1 == len(project.sandbox.jobs)


def test_a_month_s_downloads_used_up_are_told(project: Any, cohort: Any) -> None:
    """Quirk 19: an error of this reading, and no pause of the connection: its pulls go on."""
    id_ = cohort.create(project, "At risk", refs(1))
    project.sandbox.jobs |= {f"r{n}": None for n in range(1, 501)}
    with pytest.raises(RateLimited, match="500 a month"):
        list(cohort.members(project, id_))
    assert project.get("/api/3/cohorts")


@pytest.mark.parametrize("said", ["JOB FAILED", None])
def test_a_job_that_fails_is_told(project: Any, cohort: Any, said: str | None) -> None:
    id_ = cohort.create(project, "At risk", refs(1))
    spoil(project, 2, Rewritten(lambda _: b'{"async_status":"%s"}' % str(said).encode()))
    project.sandbox.job_looks = 0
    with pytest.raises(TransientError, match="job failed"):
        list(cohort.members(project, id_))


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "lines", "array"])
def test_members_whatever_the_file(make_project: Any, cohort: Any, kind: str, elsewhere: bool) -> None:
    """Quirk 20: the layout is not documented, nor whether it comes by a redirect."""
    api, id_ = make_cohort(make_project, cohort, cohort_file=kind, file_elsewhere=elsewhere)
    cohort.apply(api, id_, adds(2, 3), ())

    assert [refs(1, 2, 3)] == list(cohort.members(api, id_))


def test_credentials_stay_when_the_file_lies_elsewhere(project: Any, cohort: Any) -> None:
    """Quirk 20: storage refuses two sorts of credentials, and ours are none of its business."""
    id_ = cohort.create(project, "At risk", refs(1))
    list(cohort.members(project, id_))
    sent = {asked.split("/")[1]: headers for asked, _, headers in project.recorder.seen}

    assert "authorization" not in sent["storage"]
    assert "authorization" in sent["api"]


def test_an_expired_address_is_asked_for_anew(project: Any, cohort: Any) -> None:
    """Quirk 20: the signed address is good for a minute; refused for good, it is no failure of the keys."""
    id_ = cohort.create(project, "At risk", refs(1))
    project.sandbox.job_looks = 0
    spoil(project, 4, Fault(403, {}, b""))
    assert [refs(1)] == list(cohort.members(project, id_))

    project.served.faults = lambda _method, path, _n: Fault(403, {}, b"") if path.startswith("/storage") else None
    with pytest.raises(TransientError):
        list(cohort.members(project, id_))


FILES = [
    ("nothing", b"", []),
    ("a header", b"amplitude_id,user_id\n", []),
    ("somebody anonymous", b"amplitude_id,user_id\n1,\n2,u\n", ["u"]),
    ("marked and spelled", b'\xef\xbb\xbfAmplitude_ID, User_ID \r\n1,"a,b"\r\n', ["a,b"]),
    ("numbers", b'{"user_id": 42}\n{"user_id": null}\n', ["42"]),
    ("an array over lines", b' [\n {"user_id": "a"},\n {"user_id": "\xc3\xa5"}\n]\n', ["a", "å"]),
    ("an empty array", b"[]", []),
]


@pytest.mark.parametrize(("content", "ids"), [one[1:] for one in FILES], ids=[one[0] for one in FILES])
def test_layouts_of_a_file(content: bytes, ids: list[str]) -> None:
    """Quirk 20: by its first character; who was never identified is nobody's member."""
    assert ids == list(user_ids(io.BytesIO(content)))


@pytest.mark.parametrize(
    "content",
    [
        b"id,name\n1,a\n",
        b'{"id": 1}',
        b'[{"user_id": "a"}, {"user',
        b'[{"user_id": "a"}, {"user_id": "b"}',
        b'[{"user_id": "a"},',
        b"[",
        b'[{"user_id": "a"}, 7]',
        b"user_id\n\xff\xfe\n",
    ],
    ids=["no-user-id", "no-user-id-json", "cut-short", "cut-between", "cut-after-a-comma", "begun", "no-object", "not-text"],
)
def test_files_of_no_cohort(content: bytes) -> None:
    """Quirk 20: refused, never taken for an empty cohort."""
    with pytest.raises(ProtocolError):
        list(user_ids(io.BytesIO(content)))


def test_many_members_in_one_array_are_read_piece_by_piece() -> None:
    content = b"[" + b",".join(b'{"user_id": "u%d"}' % n for n in range(20_000)) + b"]"

    assert [f"u{n}" for n in range(20_000)] == list(user_ids(io.BytesIO(content)))
