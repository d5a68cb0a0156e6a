"""Any text at all gives a tree or an error with a caret: quickly, and never another exception."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smallworld import ZONE, definitions, vocabulary

from core.errors import ConfigError, HubError
from core.segments.language import MAX_CHARS, ExpressionError
from core.segments.reader import Scope, read
from core.segments.words import CALLS, NAMES

SCOPE = Scope(vocabulary(), ZONE, segments=frozenset({"base"}), partitions={"p": ("high", "low")})
PIECES = [
    *NAMES,
    *CALLS,
    "company",
    "crm",
    "crm.stage",
    "crm.score",
    ".contains",
    ".matches",
    " and ",
    " or ",
    " not ",
    " in ",
    "==",
    "!=",
    "<",
    "<=",
    "(",
    ")",
    "[",
    "]",
    ",",
    "=",
    ".",
    "-",
    "1",
    "0.5",
    '"a"',
    '"30d"',
    '"Order"',
    "last=",
    "where=",
    "any=True",
    "prop",
    "date",
    '"2026-01-01"',
    "lambda",
    "import",
    "__class__",
    "#",
    "\n",
    "'",
    '"',
    "\\",
    "if",
    "else",
    "for",
    "await",
    "None",
    "True",
    "{",
    "}",
    "@",
    ":",
    ":=",
    "**",
    "*",
    "f'{x}'",
    "b''",
    "1j",
    "is",
    "\0",
    "\ud800",
    "é",
    "\uff19",
    "\ufb01eld",
]


def _reads(text: str) -> None:
    began = time.process_time()
    try:
        read(text, SCOPE)
    except ExpressionError as error:
        assert 0 <= error.column <= len(text), text
        assert error.message
        assert str(error.problem(text.encode("utf-8", "replace").decode(), file="f", line=1, key="k"))
    assert time.process_time() - began < 1, text[:200]


@settings(max_examples=400, deadline=None)
@given(
    st.text(max_size=200) | st.text(string.printable, max_size=80) | st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
)
def test_any_text_gives_an_error_or_a_tree(text: str) -> None:
    _reads(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "[" * 5000,
        "not " * 2400 + "paying",
        "-" * 9000 + "1",
        "a." * 4000 + "b",
        "1 < " * 2000 + "mrr",
        "did(" * 1000,
        "x" * (MAX_CHARS + 1),
        '"' + "a" * 9000,
        '"\\' * 4000,
        "9" * 5000 + " < mrr",
        "1e999 < mrr",
        "1 if paying else 2",
        "__import__('os').system('x')",
        "().__class__.__bases__",
        "[x for x in email]",
        "(lambda: 1)()",
        "f'{paying}'",
        "paying; paying",
        "a) or (b",
        "\x00",
        "\ud800",
        "'\\ud800' == country",
        "'\\x00' == plan",
        "exists(**email)",
        "exists(*email)",
        "did('a', last='1d', last='2d')",
        "# only",
        "",
    ],
)
def test_hostile_texts_are_refused_quickly(text: str) -> None:
    """None of them is a segment, and none takes the process along."""
    began = time.process_time()
    with pytest.raises(ExpressionError):
        read(text, SCOPE)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "said", "at"),
    [
        ("paying and contry == 'SE'", "contry is not a known word", "contry"),
        ("country = 'SE'", "cannot be read", "="),
        ("within_last(email, '3d')", "is a text, not a time", "email"),
        ("within_last(crm.score, '3d')", "is a time where a number is compared", "crm"),
        ("paying & past_due", "for `and` or `or` is not in the language", "paying"),
        ("paying > 1", "is true or false, not a value", "paying"),
        ("country == 5", "is a number where a text is compared", "5"),
        ("created_at > '2026-01-01'", "is a text where a time is compared", "'2026"),
        ("country > 'SE'", "has no order", "country"),
        ("mrr", "is a number, not true or false", "mrr"),
        ("company.staff > 5", "a company has no staff", "company"),
        ("crm.stag == 'x'", "crm has no field stag", "crm.stag"),
        ("crm.contacts.score == 'x'", "is a text where a number is compared", "'x'"),
        ("crn.stage == 'x'", "crn is not a connection", "crn"),
        ("did('Order', last='30 days')", "is no duration", "'30 days'"),
        ("did('Order', last='0d')", "a duration of nothing", "'0d'"),
        ("did('Order', between_ago=('7d', '30d'))", "the longer duration comes first", "'7d'"),
        ("did('Order', during=1)", "a period is needed here", "1)"),
        ("did('Order', source='wb')", "wb is not a connection", "'wb'"),
        ("did('Order', where=did('x'))", "inside where= only properties", "did('x')"),
        ("did('Order', where=utm.source == 'x')", "a dot is not read inside where=", "utm"),
        ("country == 'Swedden'", "no country is called", "'Swedden'"),
        ("email.matches('(')", "not a pattern", "'('"),
        ("segment('bse')", "there is no segment bse", "segment"),
        ("partition('p') == 'hig'", "p has no group hig", "'hig'"),
        ("partition('p')", "is compared with a group", "partition"),
        ("base", "base is a segment", "base"),
        ("email == None", "None is not in the language", "None"),
        ("email is 'x'", "is not in the language", None),
        ("mrr % 2 > 1", "other arithmetic than + - * /", "mrr"),
        ("email in 'abc'", "`in` needs a list", "'abc'"),
        ("did(Order)", "the name of an event is needed", "Order"),
        ("did", "did is asked with parentheses", "did"),
        ("prop('x') == 1", "stands inside where= only", "prop"),
        ("date('2026-13-01') < created_at", "is no date", "'2026-13"),
        ("1 == 1", "says nothing about anybody", "1"),
        ("paying\n  and\n  oops", "oops is not a known word", "oops"),
        ("'å' == plan and oops", "oops is not a known word", "oops"),
    ],
)
def test_errors_say_what_and_where(text: str, said: str, at: str | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        read(text, SCOPE)
    assert said in caught.value.message
    if at is not None:
        assert text.index(at) == caught.value.column


def test_the_config_error_holds_every_problem_with_its_caret() -> None:
    """File, line, key, source and column, and the nearest known name."""
    with pytest.raises(ConfigError) as caught:
        definitions({"one": "payng", "two": "exists(email)", "three": "mrr >"})
    one, three = caught.value.problems
    assert ("tagalong.toml", 7, "segments.one.where", "payng", 0) == (one.file, one.line, one.key, one.source, one.column)
    assert "did you mean paying?" == one.remedy
    assert "segments.three.where" == three.key
    assert isinstance(caught.value, HubError)
    assert "    payng\n    ^" in str(one)


def test_a_circle_is_refused_with_its_path() -> None:
    with pytest.raises(ConfigError, match="goes round in a circle") as caught:
        definitions({"a": 'segment("b") or paying', "b": 'not segment("a")', "c": 'segment("c")'})
    assert caught.value.problems[0].source is not None


def test_comments_and_line_ends_are_free() -> None:
    text = "\n    paying  # those who pay\n    and exists(email)\n"
    assert read("paying and exists(email)", SCOPE) == read(text, SCOPE)
