"""Files as records: formats, types, what is missing, what is bad, and what is not read again."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from files_rows import ACCOUNTS, PAYMENTS, USAGE, bad, pull, records, stream_of, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.files.columns import Inference
from connectors.files.config import CANONICAL
from core.contract import Amount, Deletions, Kind, Money, Trust, pick
from core.errors import ConfigError, NotFoundError, ProtocolError, TransientError
from core.store.schema import CANONICAL as STORED

HEADER = "account_id,owner_email,country,account_name"


def test_reads_the_issue_s_example(api: Any, tmp_path: Path) -> None:
    """A profile stream by config alone: identifiers, canonical fields, the company's, and all other columns as they are."""
    write(tmp_path, "data/accounts.csv", f"{HEADER},seats,trial\nA-1, Ann@Example.com ,SE,Nordkart,12,TRUE\n")
    stream = stream_of(ACCOUNTS)
    (record,) = records(pull(api, ACCOUNTS))

    assert {
        "account_id": "A-1",
        "owner_email": "Ann@Example.com",
        "country": "SE",
        "account_name": "Nordkart",
        "seats": 12,
        "trial": True,
    } == record
    assert "A-1" == pick(record, stream.key)
    assert {"user_id": "A-1", "email": "Ann@Example.com"} == {k: pick(record, where) for k, where in stream.identifiers.items()}
    assert {"country": "SE", "company.name": "Nordkart"} == {k: pick(record, where) for k, where in stream.fields.items()}
    assert (Trust.KEY, Deletions.ABSENCE) == (stream.trust, stream.deletions)


def test_an_event_s_other_columns_are_its_properties(api: Any, tmp_path: Path) -> None:
    """Key, time, name and identifiers are not properties; empty cells are none either."""
    head = "usage_id,subscription_id,usage_date,feature_name,count,beta,note,until"
    write(
        tmp_path, "data/usage.csv", f"{head}\nU1,S1,2026-01-05,feature_3,4,False,,2026-02-01\nU2,S1,2026-01-06,x,5,True,hi,\n"
    )
    stream = stream_of(USAGE)
    first, second = records(pull(api, USAGE))
    assert stream.rows is not None
    (row,), (other,) = stream.rows(first), stream.rows(second)

    assert (Kind.EVENT, "U1") == (row.kind, row.key)
    assert {
        "name": "feature_3",
        "time": datetime(2026, 1, 5, tzinfo=UTC),
        "properties": {"count": 4, "beta": False, "until": "2026-02-01"},
    } == row.values
    assert {"count": 5, "beta": True, "note": "hi"} == other.values["properties"]
    assert Deletions.NONE is stream.deletions


def test_a_constant_event_name(api: Any, tmp_path: Path) -> None:
    """`event = "Feature Used"` names every row's event."""
    write(tmp_path, "data/usage.csv", "usage_id,subscription_id,usage_date,feature_name\nU1,S1,2026-01-05,search\n")
    spec = {**{k: v for k, v in USAGE.items() if k != "event_column"}, "event": "Feature Used"}
    stream = stream_of(spec)
    assert stream.rows is not None
    (row,) = stream.rows(records(pull(api, spec))[0])

    assert ("Feature Used", {"feature_name": "search"}) == (row.values["name"], row.values["properties"])


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        pytest.param(["1", "-20", ""], [1, -20, None], id="integer"),
        pytest.param(["1", "2.5", "1e3"], [1.0, 2.5, 1000.0], id="number"),
        pytest.param(["true", "FALSE", "True"], [True, False, True], id="boolean-in-any-case"),
        pytest.param(["2026-01-02", ""], [datetime(2026, 1, 2, tzinfo=UTC), None], id="date"),
        pytest.param(["2026-01-02T03:04:05+02:00"], [datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)], id="time-with-zone"),
        pytest.param(["2026-01-02 03:04:05"], [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)], id="time-without-zone-is-utc"),
        pytest.param(["2026-01-02", "2026-01-02 03:04Z"], None, id="date-and-time-are-times"),
        pytest.param(["1", "x"], ["1", "x"], id="mixed-is-text"),
        pytest.param(["1", "true"], ["1", "true"], id="number-and-boolean-are-text"),
        pytest.param(["007", "12"], ["007", "12"], id="a-leading-zero-is-a-code"),
        pytest.param(["+4612345"], ["+4612345"], id="a-leading-plus-is-a-phone"),
        pytest.param(["12345678901234567890"], ["12345678901234567890"], id="more-digits-than-a-number-holds"),
        pytest.param(["2026-13-45"], ["2026-13-45"], id="no-such-day"),
        pytest.param(["nan", "inf"], ["nan", "inf"], id="not-a-number-is-text"),
        pytest.param(["", " "], [None, None], id="empty-is-missing"),
        pytest.param(["0", "1"], [0, 1], id="zero-and-one-are-numbers"),
    ],
)
def test_infers_types(api: Any, tmp_path: Path, cells: list[str], values: list[Any] | None) -> None:
    """Integer, number, boolean in any case, ISO date or time, else text; empty is missing."""
    lines = "".join(f"A{i},{cell}\n" for i, cell in enumerate(cells))
    write(tmp_path, "data/accounts.csv", f"account_id,x\n{lines}")
    spec = {**ACCOUNTS, "identifiers": {"user_id": "account_id"}, "fields": {}}
    found = [record["x"] for record in records(pull(api, spec))]

    if values is None:
        assert all(isinstance(value, datetime) for value in found)
    else:
        assert values == found
        assert [type(value) for value in values] == [type(value) for value in found]


def test_types_are_those_of_the_whole_file(api: Any, tmp_path: Path) -> None:
    """The last of many rows decides as much as the first: no row has another type than the others."""
    lines = "".join(f"A{i},{i}\n" for i in range(2500))
    write(tmp_path, "data/accounts.csv", f"account_id,x\n{lines}A9999,n/a\n")
    spec = {**ACCOUNTS, "identifiers": {"user_id": "account_id"}, "fields": {}}

    assert {str} == {type(record["x"]) for record in records(pull(api, spec))}


def test_keys_and_identifiers_are_text(api: Any, tmp_path: Path) -> None:
    """An id is compared with another tool's text; `0042` and `42` are two."""
    write(tmp_path, "data/accounts.csv", f"{HEADER}\n42,a@example.com,SE,x\n43,b@example.com,SE,x\n")
    assert ["42", "43"] == [record["account_id"] for record in records(pull(api, ACCOUNTS))]


@pytest.mark.parametrize(
    ("type_", "cell", "value"),
    [
        ("text", "12", "12"),
        ("integer", "007", 7),
        ("number", "3", 3.0),
        ("boolean", "yes", True),
        ("boolean", "0", False),
        ("time", "1767225600", datetime(2026, 1, 1, tzinfo=UTC)),
        ("time", "1767225600000", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_types_can_be_overridden(api: Any, tmp_path: Path, type_: str, cell: str, value: Any) -> None:
    """`types = { seats = "integer" }`."""
    write(tmp_path, "data/accounts.csv", f"{HEADER},x\nA1,a@example.com,SE,n,{cell}\n")
    (record,) = records(pull(api, {**ACCOUNTS, "types": {"x": type_}}))

    assert (value, type(value)) == (record["x"], type(record["x"]))


def test_a_cell_that_is_not_of_the_stated_type_is_a_bad_record(api: Any, tmp_path: Path) -> None:
    """With its file and line, and without what is in it; the rest goes on."""
    write(tmp_path, "data/accounts.csv", f"{HEADER},x\nA1,a@example.com,SE,n,1\nA2,b@example.com,SE,n,secret\n")
    pages = pull(api, {**ACCOUNTS, "types": {"x": "integer"}})

    assert [("data/accounts.csv:3", "column 'x': no integer")] == bad(pages)
    assert 1 == len(records(pages))


def test_ragged_rows_are_bad_records(api: Any, tmp_path: Path) -> None:
    """Too few or too many cells, counted by the line where the row begins, quoted line ends included."""
    text = f'{HEADER}\nA1,a@example.com,SE\nA2,"b@example.com","S\nE",n\nA3,c@example.com,SE,n,more\n\nA4,d@example.com,SE,n\n'
    pages = pull(api, ACCOUNTS) if write(tmp_path, "data/accounts.csv", text) else []

    assert [
        ("data/accounts.csv:2", "has 3 cells where the header has 4"),
        ("data/accounts.csv:5", "has 5 cells where the header has 4"),
    ] == bad(pages)
    assert ["A2", "A4"] == [record["account_id"] for record in records(pages)]
    assert "S\nE" == records(pages)[0]["country"]


def test_quoting(api: Any, tmp_path: Path) -> None:
    """Commas, doubled quotes and CRLF."""
    write(tmp_path, "data/accounts.csv", f'{HEADER}\r\nA1,a@example.com,SE,"Kart, ""Nord"" AB"\r\n')
    assert 'Kart, "Nord" AB' == records(pull(api, ACCOUNTS))[0]["account_name"]


@pytest.mark.parametrize(
    ("content", "extra"),
    [
        pytest.param(f"\ufeff{HEADER}\nA1,a@example.com,SE,Åre\n".encode(), {}, id="byte-order-mark"),
        pytest.param(
            f"\ufeff{HEADER}\nA1,a@example.com,SE,Åre\n".encode(), {"encoding": "utf-8"}, id="mark-though-utf-8-is-said"
        ),
        pytest.param(f"{HEADER}\nA1,a@example.com,SE,Åre\n".encode("cp1252"), {"encoding": "cp1252"}, id="windows"),
        pytest.param(f"{HEADER}\nA1,a@example.com,SE,Åre\n".encode("utf-16"), {"encoding": "utf-16"}, id="utf-16"),
        pytest.param(f"{HEADER}\nA1,a@example.com,SE,Åre\n".replace(",", ";").encode(), {"delimiter": ";"}, id="semicolons"),
        pytest.param(f"{HEADER}\nA1,a@example.com,SE,Åre\n".replace(",", "\t").encode(), {"format": "tsv"}, id="tsv"),
    ],
)
def test_encodings_and_separators(api: Any, tmp_path: Path, content: bytes, extra: dict[str, Any]) -> None:
    """What spreadsheets write in the north of Europe."""
    write(tmp_path, "data/accounts.csv", content)
    (record,) = records(pull(api, {**ACCOUNTS, **extra}))

    assert ("A1", "Åre") == (record["account_id"], record["account_name"])


def test_a_row_in_another_encoding_costs_only_itself(api: Any, tmp_path: Path) -> None:
    """Never a replacement character in somebody's name."""
    content = f"{HEADER}\nA1,a@example.com,SE,".encode() + "Åre".encode("cp1252") + b"\nA2,b@example.com,SE,Y\n"
    write(tmp_path, "data/accounts.csv", content)
    pages = pull(api, ACCOUNTS)

    assert [("data/accounts.csv:2", "is not utf-8-sig")] == bad(pages)
    assert ["A2"] == [record["account_id"] for record in records(pages)]


@pytest.mark.parametrize("name", ["usage.jsonl", "usage.ndjson", "usage.jsonl.gz"])
def test_json_lines(api: Any, tmp_path: Path, name: str) -> None:
    """Objects a line, native types kept, nested values by a dotted path, texts that are times as times."""
    lines = [
        {
            "id": "e1",
            "user": {"id": 7},
            "at": "2026-01-05T10:00:00Z",
            "name": "Saw",
            "ms": 5,
            "zip": "12345",
            "tags": ["a"],
            "b": "",
        },
        {"id": "e2", "user": {"id": 8}, "at": "2026-01-05T11:00:00Z", "name": "Saw", "ms": 5.5},
    ]
    content = "\n".join(json.dumps(line) for line in lines).encode() + b"\n\n"
    write(tmp_path, f"data/{name}", gzip.compress(content) if name.endswith(".gz") else content)
    spec = {
        "path": f"data/{name}",
        "kind": "event",
        "key": "id",
        "identifiers": {"user_id": "user.id"},
        "time": "at",
        "event_column": "name",
    }
    stream = stream_of(spec)
    first, second = records(pull(api, spec))
    assert stream.rows is not None
    (row,) = stream.rows(first)

    assert 7 == pick(first, stream.identifiers["user_id"])
    assert datetime(2026, 1, 5, 10, tzinfo=UTC) == row.values["time"]
    assert {"user": {"id": 7}, "ms": 5.0, "zip": "12345", "tags": ["a"]} == row.values["properties"]
    assert 5.5 == second["ms"]


def test_bad_lines_of_json(api: Any, tmp_path: Path) -> None:
    """Half an object, a list, what JSON does not have, a wrong byte: each costs its line."""
    lines = [
        b'{"id": "1", "u": "x"}',
        b'{"id": "2"',
        b"[1]",
        b'{"id": NaN}',
        b'{"id": "5", "u": "\xff"}',
        b'{"u": "y"}',
        b'{"id": "7"}',
    ]
    write(tmp_path, "data/a.jsonl", b"\n".join(lines))
    spec = {"path": "data/a.jsonl", "kind": "profile", "key": "id", "identifiers": {"user_id": "u"}}
    pages = pull(api, spec)

    assert [
        ("data/a.jsonl:2", "is no JSON"),
        ("data/a.jsonl:3", "is no JSON object"),
        ("data/a.jsonl:4", "is no JSON"),
        ("data/a.jsonl:5", "is no JSON"),
        ("data/a.jsonl:6", "column 'id', the key, is empty"),
    ] == bad(pages)
    assert ["1", "7"] == [record["id"] for record in records(pages)]


@pytest.mark.parametrize(
    ("spec", "cell", "money"),
    [
        pytest.param({"currency": "EUR"}, "19.99", Money(1999, "EUR"), id="major-units"),
        pytest.param({"currency": "eur", "money": "minor"}, "1999", Money(1999, "EUR"), id="minor-units"),
        pytest.param({"currency": "JPY"}, "500", Money(500, "JPY"), id="a-currency-without-decimals"),
        pytest.param({"currency": "BHD"}, "1.234", Money(1234, "BHD"), id="a-currency-with-three"),
        pytest.param({}, "0.1", Amount(Decimal("0.1")), id="the-workspace-s-currency"),
        pytest.param({"money": "minor"}, "10", Money(10, ""), id="minor-units-of-the-workspace-s-currency"),
        pytest.param({"currency": "SEK"}, "-5", Money(-500, "SEK"), id="negative"),
        pytest.param({"currency": "SEK"}, "", None, id="missing"),
    ],
)
def test_money(api: Any, tmp_path: Path, spec: dict[str, Any], cell: str, money: Money | Amount | None) -> None:
    """Major units unless `money = "minor"`; exact, whatever a float makes of 19.99."""
    write(tmp_path, "data/payments.csv", f"id,user,amount,paid\np1,u1,{cell},2026-01-01\n")
    stream = stream_of({**PAYMENTS, **spec})
    (record,) = records(pull(api, {**PAYMENTS, **spec}))

    assert money == pick(record, stream.fields["amount"])
    assert ("currency" in stream.fields) is bool(spec.get("currency"))


def test_money_with_a_column_of_currencies(api: Any, tmp_path: Path) -> None:
    """Each row has its own."""
    write(tmp_path, "data/payments.csv", "id,user,amount,paid,cur\np1,u1,1.5,2026-01-01,sek\np2,u1,7,2026-01-01,JPY\n")
    spec = {**PAYMENTS, "fields": {**PAYMENTS["fields"], "currency": "cur"}}
    stream = stream_of(spec)

    assert [Money(150, "SEK"), Money(7, "JPY")] == [
        pick(record, stream.fields["amount"]) for record in records(pull(api, spec))
    ]


def test_what_is_no_amount_is_a_bad_record(api: Any, tmp_path: Path) -> None:
    """An amount is never guessed; neither are minor units with decimals."""
    write(
        tmp_path,
        "data/payments.csv",
        'id,user,amount,paid\np1,u1,"1,5",2026-01-01\np2,u1,free,2026-01-01\np3,u1,3,2026-01-01\n',
    )
    assert [
        ("data/payments.csv:2", "column 'amount': no amount of money"),
        ("data/payments.csv:3", "column 'amount': no amount of money"),
    ] == bad(pull(api, {**PAYMENTS, "currency": "SEK"}))
    write(tmp_path, "data/payments.csv", "id,user,amount,paid\np1,u1,1.5,2026-01-01\n")
    assert 1 == len(bad(pull(api, {**PAYMENTS, "currency": "SEK", "money": "minor"})))


def test_consent(api: Any, tmp_path: Path) -> None:
    """Yes and no in their usual spellings; a word that is neither must not become either."""
    cells = ["granted", "TRUE", "Unsubscribed", "opted out", "no", "", "perhaps"]
    write(tmp_path, "data/c.csv", "email,news\n" + "".join(f"p{i}@example.com,{cell}\n" for i, cell in enumerate(cells)))
    spec = {
        "path": "data/c.csv",
        "kind": "consent",
        "key": "email",
        "identifiers": {"email": "email"},
        "fields": {"state": "news"},
        "constants": {"channel": "email"},
    }
    stream, pages = stream_of(spec), pull(api, spec)
    states = [pick(record, stream.fields["state"]) for record in records(pages)]

    assert ["granted", "granted", "denied", "denied", "denied", "unknown"] == states
    assert ["data/c.csv:8"] == [where for where, _ in bad(pages)]
    assert "email" == pick({}, stream.fields["channel"])


def test_a_survey_by_constants(api: Any, tmp_path: Path) -> None:
    """Any kind by config alone: what the file does not say, the config does; claims join nobody."""
    write(tmp_path, "data/nps.csv", "id,mail,score,at\nr1,a@example.com,9,2026-01-01\n")
    spec = {
        "path": "data/nps.csv",
        "kind": "answer",
        "key": "id",
        "identifiers": {"email": "mail"},
        "trust": "claim",
        "fields": {"number": "score", "answered_at": "at"},
        "constants": {"survey": "NPS", "question": "score", "kind": "score"},
    }
    stream = stream_of(spec)
    (record,) = records(pull(api, spec))

    assert {
        "number": 9,
        "answered_at": datetime(2026, 1, 1, tzinfo=UTC),
        "survey": "NPS",
        "question": "score",
        "kind": "score",
    } == {name: pick(record, where) for name, where in stream.fields.items()}
    assert Trust.CLAIM is stream.trust


def test_an_unchanged_file_is_not_read_again(api: Any, tmp_path: Path) -> None:
    """No page at all, so the core counts its rows as seen; a changed one is read again, whole."""
    write(tmp_path, "data/accounts.csv", f"{HEADER}\nA1,a@example.com,SE,n\n")
    first = pull(api, ACCOUNTS)
    cursor = first[-1].cursor
    assert isinstance(cursor, str)
    assert [] == pull(api, ACCOUNTS, cursor)

    write(tmp_path, "data/accounts.csv", f"{HEADER}\nA2,b@example.com,SE,n\n")
    again = pull(api, ACCOUNTS, cursor)
    assert ["A2"] == [record["account_id"] for record in records(again)]
    assert all(page.whole for page in again)
    assert cursor != again[-1].cursor
    assert [] == pull(api, ACCOUNTS, again[-1].cursor)


def test_a_changed_mapping_reads_the_file_again(api: Any, tmp_path: Path) -> None:
    """What a column means is part of the checkpoint, and of the picks' names, by which the core sees that records differ."""
    write(tmp_path, "data/accounts.csv", f"{HEADER}\nA1,a@example.com,SE,n\n")
    cursor = pull(api, ACCOUNTS)[-1].cursor
    other = {**ACCOUNTS, "fields": {"lifecycle_stage": "country"}}

    assert 1 == len(records(pull(api, other, cursor)))
    key, changed = stream_of(ACCOUNTS).key, stream_of(other).key
    assert key.__qualname__ != changed.__qualname__
    assert key.__qualname__ == stream_of(ACCOUNTS).key.__qualname__


def test_each_file_of_a_glob_is_a_slice(api: Any, tmp_path: Path) -> None:
    """Pulled apart, each with its own checkpoint."""
    for day in ("b", "a", "c"):
        write(tmp_path, f"data/{day}.csv", f"{HEADER}\nA-{day},a@example.com,SE,n\n")
    stream = stream_of({**ACCOUNTS, "path": "data/*.csv"})
    assert stream.slices is not None

    assert ["data/a.csv", "data/b.csv", "data/c.csv"] == list(stream.slices(api))


@pytest.mark.parametrize("path", ["data/none.csv", "data/*.csv"])
def test_a_path_that_matches_nothing_fails(api: Any, path: str) -> None:
    """A typed error: an export that did not come is no empty export."""
    stream = stream_of({**ACCOUNTS, "path": path})
    assert stream.slices is not None
    with pytest.raises(NotFoundError, match="no file matches"):
        stream.slices(api)


def test_a_link_out_of_the_folder_is_refused(api: Any, tmp_path: Path, tmp_path_factory: Any) -> None:
    """Paths are confined, links followed first."""
    outside = write(tmp_path_factory.mktemp("outside"), "x.csv", HEADER)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts.csv").symlink_to(outside)
    with pytest.raises(ConfigError, match="outside"):
        pull(api, ACCOUNTS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("", "is empty", id="no-header"),
        pytest.param("\n\n", "is empty", id="an-empty-header"),
        pytest.param("account_id,country,country\n", "two columns are called 'country'", id="a-column-twice"),
        pytest.param(
            "acount_id,owner_email,country,account_name\n1,2,3,4\n",
            "has no column 'account_id'; did you mean 'acount_id'",
            id="a-column-renamed",
        ),
        pytest.param("x" * (9 << 20), "a line of more than", id="no-line-ends"),
    ],
)
def test_a_file_that_makes_no_sense_is_a_protocol_error(api: Any, tmp_path: Path, content: str, said: str) -> None:
    """The stream stops and its checkpoint stays: no row is lost for a header that somebody changed."""
    write(tmp_path, "data/accounts.csv", content)
    with pytest.raises(ProtocolError, match=said):
        pull(api, ACCOUNTS)


def test_a_file_of_a_header_only_is_complete_and_empty(api: Any, tmp_path: Path) -> None:
    """It says that nobody is there; whether to believe it is the guard's business."""
    write(tmp_path, "data/accounts.csv", HEADER + "\n")
    (page,) = pull(api, ACCOUNTS)

    assert ([], True) == (list(page.records), page.whole)
    assert page.cursor


@pytest.mark.parametrize("cut", [True, False])
def test_damaged_gzip(api: Any, tmp_path: Path, cut: bool) -> None:
    """Half an upload is no file; nothing of it counts as the whole."""
    packed = gzip.compress("".join([HEADER + "\n", *(f"A{i},a{i}@example.com,SE,n\n" for i in range(5000))]).encode())
    write(tmp_path, "data/accounts.csv.gz", packed[: len(packed) // 2] if cut else b"plain text")
    with pytest.raises(ProtocolError, match="gzip"):
        pull(api, {**ACCOUNTS, "path": "data/accounts.csv.gz"})


def test_a_file_written_to_while_it_is_read_is_not_complete(api: Any, tmp_path: Path) -> None:
    """The rows that were read are stored, but not as all there is, and not as read."""
    path = write(tmp_path, "data/accounts.csv", HEADER + "\n" + "".join(f"A{i},a{i}@example.com,SE,n\n" for i in range(1500)))
    pages = stream_of(ACCOUNTS).pull(api, None, None, "data/accounts.csv")
    first = next(pages)
    with path.open("a") as file:
        file.write("A9999,z@example.com,SE,n\n")
    with pytest.raises(TransientError, match="written to"):
        list(pages)
    assert first.cursor is None


def test_no_file_is_held_in_memory(api: Any, tmp_path: Path) -> None:
    """A page at a time, whatever the file's size."""
    count = 25_000
    path = write(tmp_path, "data/accounts.csv", HEADER + "\n" + f"A,a@example.com,SE,{'n' * 500}\n" * count)
    tracemalloc.start()
    try:
        assert count == sum(len(page.records) for page in stream_of(ACCOUNTS).pull(api, None, None, "data/accounts.csv"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < path.stat().st_size / 2


def test_a_thousand_rows_twice_are_no_page_twice(api: Any, tmp_path: Path) -> None:
    """A file may repeat itself; the core would take the same page twice for paging that goes in circles."""
    lines = "".join(f"A{i},a{i}@example.com,SE,n\n" for i in range(1000))
    write(tmp_path, "data/accounts.csv", f"{HEADER}\n{lines * 3}")
    pages = [page for page in pull(api, ACCOUNTS) if page.records]

    assert 3000 == len(records(pages))
    assert all(list(one.records) != list(two.records) for one, two in pairwise(pages))


def test_event_without_a_time_or_name(api: Any, tmp_path: Path) -> None:
    """Each costs its row."""
    head = "usage_id,subscription_id,usage_date,feature_name"
    write(tmp_path, "data/usage.csv", f"{head}\nU1,S1,,x\nU2,S1,2026-01-01,\n,S1,2026-01-01,x\nU4,S1,yesterday,x\n")
    assert [
        ("data/usage.csv:2", "column 'usage_date', the time, is empty"),
        ("data/usage.csv:3", "column 'feature_name', the event's name, is empty"),
        ("data/usage.csv:4", "column 'usage_id', the key, is empty"),
        ("data/usage.csv:5", "column 'usage_date': no ISO date or time"),
    ] == bad(pull(api, USAGE))


def test_the_canonical_names_are_the_store_s() -> None:
    """Kept apart because a connector imports only the contract; held together here."""
    for kind, names in CANONICAL.items():
        assert kind is Kind.EVENT or list(STORED[kind]) == list(names)
    assert {name for kind in STORED for name, type_ in STORED[kind].items() if type_ == "money"} == {
        "amount",
        "refunded",
        "mrr",
    }


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    rows=st.lists(
        st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00")), min_size=2, max_size=2),
        max_size=8,
    )
)
def test_whatever_csv_can_write_is_read_back(api: Any, tmp_path: Path, rows: list[list[str]]) -> None:
    """Any text survives, but for the space around it."""
    import csv
    import io

    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerows([["id", "a", "b"], *([f"k{i}", *row] for i, row in enumerate(rows))])
    write(tmp_path, "data/accounts.csv", out.getvalue())
    spec = {**ACCOUNTS, "key": "id", "identifiers": {"user_id": "id"}, "fields": {}, "types": {"a": "text", "b": "text"}}
    pages = pull(api, spec)

    assert [] == bad(pages)
    assert [[cell.strip() or None for cell in row] for row in rows] == [[r["a"], r["b"]] for r in records(pages)]


@given(
    st.lists(
        st.one_of(st.none(), st.integers(-(10**17), 10**17), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
    )
)
def test_inference_does_not_depend_on_order(values: list[Any]) -> None:
    """The narrowest type of all values, whichever comes first."""

    def of(some: list[Any]) -> Any:
        inference = Inference(native=True)
        for value in some:
            inference.see({"x": value})
        return inference.types({}, ()).get("x")

    assert of(values) == of(list(reversed(values)))
