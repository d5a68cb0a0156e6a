"""Plain values as a query, a form, a path."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from urllib.parse import parse_qsl

import pytest
from pydantic import SecretStr
from support import acme

from core.errors import ProtocolError
from core.http.encode import encode_pairs

BASE = "https://api.acme.test/v2"


class Size(StrEnum):
    BIG = "big"


VALUES = [
    ("none is left out", {"a": None, "b": 1}, "b=1"),
    ("a list repeats its name", {"id": ["1", 2, None]}, "id=1&id=2"),
    ("an empty list is nothing", {"id": []}, ""),
    ("booleans", {"a": True, "b": False}, "a=true&b=false"),
    ("utc", {"t": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}, "t=2026-01-02T03%3A04%3A05Z"),
    ("microseconds", {"t": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)}, "t=2026-01-02T03%3A04%3A05.000678Z"),
    ("another zone", {"t": datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))}, "t=2026-01-02T01%3A00%3A00Z"),
    ("a day", {"t": date(2026, 1, 2)}, "t=2026-01-02"),
    ("numbers", {"a": 1.5, "b": Decimal("2.50")}, "a=1.5&b=2.50"),
    ("an enum", {"a": Size.BIG}, "a=big"),
    ("brackets and text", {"created[gte]": "å&="}, "created%5Bgte%5D=%C3%A5%26%3D"),
]


@pytest.mark.parametrize(("values", "text"), [case[1:] for case in VALUES], ids=[case[0] for case in VALUES])
def test_values_have_one_spelling(values, text):
    """As the contract says."""
    assert text == encode_pairs(values)


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), {"a": 1}, SecretStr("hush-hush"), object()])  # noqa: DTZ001 - of no zone
def test_what_has_no_spelling_is_not_guessed(value):
    """A time without a zone, a mapping, a secret."""
    with pytest.raises((TypeError, ValueError)):
        encode_pairs({"a": value})


def test_a_query_joins_what_the_path_has(respx_mock, fake_api):
    """A next page given as a path with a query keeps it; params and keywords are added."""
    route = respx_mock.get(url__startswith=f"{BASE}/contacts").respond(json={})
    fake_api(acme).get("/contacts?page=2", params={"filter[a]": "b"}, limit=5)

    assert parse_qsl(route.calls.last.request.url.query.decode()) == [("page", "2"), ("filter[a]", "b"), ("limit", "5")]


def test_a_form_is_flat_and_encoded(respx_mock, fake_api):
    """As browsers send it."""
    route = respx_mock.post(f"{BASE}/x").respond(json={"ok": True})
    fake_api(acme).post("/x", form={"a b": "c&d", "on": True, "expand[]": ["x", "y"], "no": None})

    sent = route.calls.last.request
    assert sent.content == b"a+b=c%26d&on=true&expand%5B%5D=x&expand%5B%5D=y"
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"


def test_a_request_has_one_body(fake_api):
    """Both is a mistake of the connector, found before anything is sent; so is a word that nobody knows."""
    with pytest.raises(TypeError):
        fake_api(acme).post("/x", json={}, form={})
    with pytest.raises(TypeError):
        fake_api(acme).post("/x", jsn={})


@pytest.mark.parametrize("path", ["/lists/../account", "/lists/..", "https://api.acme.test/v2/../x", "/a\nb"])
def test_paths_do_not_climb(respx_mock, fake_api, path):
    """An id that holds dots or line ends does not become another request."""
    with pytest.raises(ProtocolError):
        fake_api(acme).get(path)
