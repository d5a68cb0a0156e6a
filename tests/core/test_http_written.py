"""What a block has written by the time something fails, as the wire counts it."""

from __future__ import annotations

import httpx
import pytest
from support import acme

from core.errors import RateLimited
from core.http.written import counting

BASE = "https://api.acme.test/v2"


def test_what_was_carried_out_is_counted_and_what_was_refused_or_only_read_is_not(respx_mock, fake_api):
    """A 429 says that nothing was done; a request of before, or of another block, is none of this one's."""
    respx_mock.get(f"{BASE}/x").mock(return_value=httpx.Response(200, json={}))
    respx_mock.post(f"{BASE}/x").mock(side_effect=[httpx.Response(200, json={}), *[httpx.Response(429)] * 20])
    respx_mock.put(f"{BASE}/x").mock(return_value=httpx.Response(204))
    api = fake_api(acme)
    api.put("/x")
    with counting() as written:
        api.get("/x")
        assert 0 == written.requests
        api.post("/x", json={})
        with counting() as inner:
            api.put("/x")
        with pytest.raises(RateLimited):
            api.post("/x", json={})
    assert (1, 1) == (written.requests, inner.requests)
