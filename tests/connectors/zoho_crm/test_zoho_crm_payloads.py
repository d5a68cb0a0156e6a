"""Each payload file is answered to the request that it names and read as Zoho means it: our reading of the docs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.contract import Change, Page, Person, Ref, Stream
from core.errors import ProtocolError, RejectedError

PAYLOADS = sorted((Path(__file__).parent / "payloads").glob("*.json"))
ANN, BOB, CARL = "4150868000004353001", "4150868000004353002", "4150868000004353003"
TAG = "4150868000001234567//VIP"
SETTINGS = {"client_id": "1000.C", "client_secret": "s", "refresh_token": "1000.r", "data_centre": "eu", "leads": False}
FIELDS = ("Email", "First_Name", "Last_Name", "Email_Opt_Out", "Account_Name", "Owner", "Tag", "Created_Time")


@pytest.fixture
def play(respx_mock: Any, fake_api: Callable[..., Any], payload: Callable[[str], Any]) -> Callable[..., Any]:
    """`play(*names)`: an api to which these files answer, each only to the request that it names."""

    def make(*names: str) -> Any:
        files = [payload(name) for name in ("token", *names)]

        def answer(request: httpx.Request) -> httpx.Response:
            for file in files:
                asked, told = file["request"], file["response"]
                same = (request.method, request.url.path) == (asked["method"], asked["path"])
                if same and ("body" not in asked or json.loads(request.content) == asked["body"]):
                    return httpx.Response(told["status"], headers=told["headers"], json=told["body"])
            raise AssertionError(f"nothing was recorded for {request.method} {request.url.path}")

        fields = {"fields": [{"api_name": name, "data_type": "text"} for name in FIELDS]}
        respx_mock.get(path="/crm/v8/settings/fields").respond(json=fields)
        respx_mock.route().mock(side_effect=answer)
        respx_mock._assert_all_called = False
        return fake_api("zoho_crm", SETTINGS)

    return make


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_every_payload_says_where_it_is_from_and_names_nobody_real(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    source = json.loads(text)["source"]

    assert "own construction after the vendor's documentation" == source["from"]
    assert source["url"].startswith("https://www.zoho.com/")
    assert date.fromisoformat(source["date"])
    assert set(re.findall(r"[\w.]+@([\w.]+)", text)) <= {"example.com"}


def test_a_pull(play: Callable[..., Any], stream: Callable[[Any, str], Stream]) -> None:
    api = play("contacts_page", "deleted")

    first, gone = (page for page in stream(api, "contacts").pull(api, None, None))

    (record,) = first.records
    assert (ANN, "Ann@example.com", True, ["VIP"]) == tuple(record[name] for name in ("id", "Email", "Email_Opt_Out", "Tag"))
    assert "2026-05-06T07:08:09+00:00" == _utc(first)
    assert [BOB, CARL] == list(gone.deleted)


def _utc(page: Page) -> str:
    assert isinstance(page.cursor, datetime)
    return page.cursor.astimezone(UTC).isoformat()


def test_a_tag_by_name(play: Callable[..., Any], tag: Any) -> None:
    api = play("tags", "tag_duplicate")
    assert TAG == tag.lookup(api, "vip")
    assert TAG.replace("VIP", "vip") == tag.create(api, "vip", ())


def test_a_new_tag(play: Callable[..., Any], tag: Any) -> None:
    assert TAG == tag.create(play("tag_made"), "VIP", ())


def test_tags_put_on_with_mixed_rows(play: Callable[..., Any], tag: Any) -> None:
    outcomes = tag.apply(play("add_tags_partial"), TAG, [Change(Ref(id_)) for id_ in (ANN, "999", BOB, CARL)], [])

    assert ["done", "not_found", "rejected", "rejected"] == [str(one.verdict) for one in outcomes]
    assert "RECORD_LOCKED" == outcomes[3].reason


def test_tags_taken_off_with_objects_for_tags(play: Callable[..., Any], tag: Any) -> None:
    (outcome,) = tag.apply(play("remove_tags_objects"), TAG, [], [Ref(ANN)])
    assert "done" == outcome.verdict


def test_people_by_address(play: Callable[..., Any], tag: Any) -> None:
    assert {"ann@example.com": [Ref(ANN)]} == tag.find(play("coql"), ["ann@example.com", "no@example.com"])


def test_people_made(play: Callable[..., Any], tag: Any) -> None:
    made = tag.create_people(play("upsert"), [Person(f"{who}@example.com") for who in ("ann", "bob", "carl")])

    assert ["done", "noop", "rejected"] == [str(one.verdict) for one in made]
    assert [Ref(ANN), Ref(BOB), Ref("carl@example.com")] == [one.ref for one in made]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([{"code": "INVALID_DATA", "details": {"id": "1"}, "status": "error"}], "a record nobody asked for"),
        ([{"code": "INVALID_DATA", "details": {}, "status": "error"}] * 2, "two nameless rows"),
    ],
)
def test_an_answer_about_nobody_we_asked_for_is_a_refusal(
    play: Callable[..., Any], respx_mock: Any, tag: Any, rows: list[Any], what: str
) -> None:
    """Quirk 21: the core halves the batch then."""
    respx_mock.post(path="/crm/v8/Contacts/actions/add_tags").respond(json={"data": rows})
    with pytest.raises(RejectedError):
        tag.apply(play(), TAG, [Change(Ref(ANN))], [])


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ({"code": "SUCCESS", "details": {}}, "done"),
        ({"code": "SUCCESS", "details": {"id": ANN, "tags": ["Other"]}}, "retry"),
        ({"code": "INTERNAL_ERROR", "details": {"id": ANN}}, "retry"),
        ({"code": "RECORD_IN_BLUEPRINT", "details": {"id": ANN}}, "rejected"),
        ({"code": "NOT_APPROVED", "details": {"id": ANN}}, "rejected"),
        ({"code": "CANNOT_PROCESS", "details": {"id": ANN}}, "rejected"),
    ],
)
def test_what_a_row_means(play: Callable[..., Any], respx_mock: Any, tag: Any, row: dict[str, Any], verdict: str) -> None:
    """Quirk 21: done only for what the answer confirms; what a person must clear up is tried again at the next run."""
    respx_mock.post(path="/crm/v8/Contacts/actions/add_tags").respond(202, json={"data": [row]})

    (outcome,) = tag.apply(play(), TAG, [Change(Ref(ANN))], [])

    assert verdict == outcome.verdict


def test_a_member_whom_the_answer_leaves_out_is_asked_for_again(play: Callable[..., Any], respx_mock: Any, tag: Any) -> None:
    row = {"code": "SUCCESS", "details": {"id": ANN, "tags": ["VIP"]}}
    respx_mock.post(path="/crm/v8/Contacts/actions/add_tags").respond(json={"data": [row]})

    outcomes = tag.apply(play(), TAG, [Change(Ref(ANN)), Change(Ref(BOB))], [])

    assert ["done", "retry"] == [str(one.verdict) for one in outcomes]


@pytest.mark.parametrize("path", ["/crm/v8/Contacts", "/crm/v8/Contacts/deleted"])
def test_a_200_without_a_body_is_not_the_end(
    play: Callable[..., Any], respx_mock: Any, stream: Callable[[Any, str], Stream], path: str
) -> None:
    """Quirk 6: only 204 and 304 may be empty; anything else lost its body on the way."""
    respx_mock.get(path=path).respond(200)
    api = play("contacts_page", "deleted")

    with pytest.raises(ProtocolError, match="has none"):
        list(stream(api, "contacts").pull(api, None, None))


def test_a_row_that_comes_twice_is_one_person(play: Callable[..., Any], respx_mock: Any, tag: Any) -> None:
    """Paged by offset, rows move; that makes nobody a duplicate."""
    row = {"id": ANN, "Email": "ann@example.com"}
    pages = [{"data": [row], "info": {"count": 1, "more_records": more}} for more in (True, False)]
    respx_mock.post(path="/crm/v8/coql").mock(side_effect=[httpx.Response(200, json=page) for page in pages])

    assert {"ann@example.com": [Ref(ANN)]} == tag.find(play(), ["ann@example.com"])
