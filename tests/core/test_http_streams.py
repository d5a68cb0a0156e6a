"""Lines, downloads and jobs, against a served sandbox."""

from __future__ import annotations

import gzip

import httpx
import pytest
from support import acme
from support.acme.sandbox import said

from core.contract import Fault
from core.errors import AuthError, NotFoundError, ProtocolError, RejectedError, TransientError
from core.sandbox import Reset, Truncated

BASE = "https://api.acme.test/v2"


def test_lines_are_cut_at_line_feeds_only(sandbox_api):
    """A JSON string may hold a character that Python would call the end of a line."""
    assert [(0, "one\u2028line"), (1, "one\u2028line")] == [
        (line["n"], line["text"]) for line in sandbox_api(acme).lines("/lines", count=2)
    ]


def test_lines_begin_again_only_before_the_first(sandbox_api):
    """A vendor that says 503 is asked again; a stream that breaks is not: the slice starts anew."""
    api = sandbox_api(acme)
    api.served.faults = lambda method, path, number: Fault(503, {}, b"") if number == 1 else None

    assert len(list(api.lines("/lines", count=500))) == 500
    assert api.served.count == 2

    api.served.faults = lambda method, path, number: Reset(sent=2000)
    seen = []
    with pytest.raises(TransientError):
        for line in api.lines("/lines", count=500):
            seen.append(line["n"])  # noqa: PERF401 - what came before the break counts
    assert api.served.count == 3
    assert seen
    assert seen[-1] < 499


BAD_LINES = [
    ("half a line", 200, b'{"n": 1}\n{"n": 2', {}, ProtocolError),
    ("a page", 200, b"<html>", {"content_type": "text/html"}, ProtocolError),
    ("not json", 200, b'{"n": 1}\nhello\n', {}, ProtocolError),
    ("refused", 401, b"{}", {}, AuthError),
    ("wrong", 400, b"{}", {}, RejectedError),
]


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind"), [one[1:] for one in BAD_LINES], ids=[one[0] for one in BAD_LINES]
)
def test_lines_that_are_none_are_typed_errors(sandbox_api, status, body, headers, kind):
    """What was understood is handed out, and then the error comes."""
    api = sandbox_api(acme)
    api.sandbox.said = [said(status, body, **headers)]
    with pytest.raises(kind):
        list(api.lines("/stream"))


def test_lines_wait_for_nothing_and_keep_nothing(sandbox_api):
    """Stopping midway lets go of the connection."""
    api = sandbox_api(acme)
    lines = api.lines("/lines", count=20_000)
    assert next(lines)["n"] == 0
    lines.close()

    assert {"id": "acme-1"} == api.get("/account")


def test_a_download_is_unpacked_and_capped(sandbox_api):
    """gzip is undone; the cap is on what comes of it, and what came is gone."""
    api = sandbox_api(acme)
    url = f"{api.served.base_url}/export.json.gz"
    with api.download(f"{url}?size=1000000", max_bytes=1_000_000) as file:
        assert file.read() == b"x" * 1_000_000
    with pytest.raises(ProtocolError, match="more than 999999 bytes"), api.download(f"{url}?size=1000000", max_bytes=999_999):
        pass
    assert all("authorization" not in heard["headers"] for heard in api.sandbox.heard)


ROWS = b"a,b\n" * 1000
PACKED = gzip.compress(ROWS)
FILES = [
    ("plain", ROWS, {}, ROWS),
    ("packed", PACKED, {}, ROWS),
    ("packed for the transfer", PACKED, {"content-encoding": "gzip"}, ROWS),
    ("both", gzip.compress(PACKED), {"content-encoding": "gzip"}, ROWS),
    ("two in a row", PACKED + gzip.compress(b"more"), {}, ROWS + b"more"),
    ("empty", b"", {}, b""),
    ("one byte", b"\x1f", {}, b"\x1f"),
    ("damaged", PACKED[:10] + b"????" + PACKED[14:], {}, ProtocolError),
    ("cut short", PACKED[:-9], {}, TransientError),
    ("unasked", b"...", {"content-encoding": "br"}, ProtocolError),
    ("a bomb", gzip.compress(b"\0" * 50_000_000), {}, ProtocolError),
]


@pytest.mark.parametrize(("body", "headers", "result"), [case[1:] for case in FILES], ids=[case[0] for case in FILES])
def test_files_of_every_kind(respx_mock, fake_api, body, headers, result):
    """Plain or packed, by the header or by the first bytes."""
    respx_mock.get("https://files.test/x").mock(
        side_effect=lambda request: httpx.Response(200, stream=httpx.ByteStream(body), headers=headers)
    )
    api = fake_api(acme)
    if isinstance(result, bytes):
        with api.download("https://files.test/x", max_bytes=10_000) as file:
            assert result == file.read()
    else:
        with pytest.raises(result), api.download("https://files.test/x", max_bytes=10_000):
            pass


def test_a_download_begins_anew_after_a_lost_connection(sandbox_api):
    """Half of the first try is not in the file."""
    api = sandbox_api(acme)
    api.served.faults = lambda method, path, number: Reset(sent=20) if number == 1 else None
    with api.download(f"{api.served.base_url}/export.json.gz?size=500", max_bytes=1000) as file:
        assert file.read() == b"x" * 500
    assert api.served.count == 2
    api.sandbox.said = [said(404)]
    with pytest.raises(NotFoundError), api.download(f"{api.served.base_url}/open/none", max_bytes=1000):
        pass


def test_a_job_is_asked_about_until_it_ends(fake_api):
    """The wait is not longer than the limit, and the last look is at its end."""
    api = fake_api(acme)
    answers = iter([None, None, "done"])

    assert api.poll(lambda: next(answers), every_s=5, limit_s=60) == "done"
    assert [5, 5] == api.slept
    with pytest.raises(TransientError):
        api.poll(lambda: None, every_s=5, limit_s=12)
    assert len(api.slept) == 5
    assert sum(api.slept[2:]) == pytest.approx(12, abs=2)


def test_a_truncated_body_is_not_an_answer(sandbox_api):
    """Well-formed HTTP around half of a JSON: no retry, no data. Half of the bytes promised: the connection was lost."""
    api = sandbox_api(acme)
    api.served.faults = lambda method, path, number: Truncated()
    with pytest.raises(ProtocolError):
        api.get("/account")
    assert api.served.count == 1
    api.served.faults = lambda method, path, number: Reset(sent=5) if number == 2 else None

    assert {"id": "acme-1"} == api.get("/account")
    assert dict(api.requests) == {"GET": 3}
