"""Somebody who looks on is shown the answers to writes, errors too, and nobody else gets to see them."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from support import acme

from core.errors import RejectedError
from core.http.observe import Seen

BASE = "https://api.acme.test/v2"
PERSON = "ann.secretperson@example.com"


def test_answers_to_writes_are_shown_and_kept_out_of_the_log(respx_mock, fake_api):
    """Not those to reading; a refusal is shown before it is an error, with the body that the error does not tell."""
    seen: list[Seen] = []
    respx_mock.get(f"{BASE}/people").respond(200, json={"people": [PERSON]})
    respx_mock.post(f"{BASE}/lists/7").respond(200, json={"added": [PERSON]})
    respx_mock.delete(f"{BASE}/lists/7").respond(422, text=f"no {PERSON}")
    api = fake_api(acme, observer=seen.append)
    with capture_logs() as logs:
        api.get("/people")
        api.post("/lists/7", params={"who": PERSON}, json={"add": [PERSON]})
        with pytest.raises(RejectedError) as caught:
            api.delete("/lists/7")

    assert [("POST", "/lists/7", 200), ("DELETE", "/lists/7", 422)] == [(s.method, s.path, s.status) for s in seen]
    assert all(PERSON in s.body for s in seen)
    assert "secretperson" not in f"{seen!r} {logs!r} {caught.value!r}"


def test_nobody_looks_on_as_a_rule(respx_mock, fake_api):
    """Then nothing is kept."""
    respx_mock.post(f"{BASE}/lists/7").respond(200, json={})

    assert fake_api(acme).post("/lists/7", json={}) == {}
