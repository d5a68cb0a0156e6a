"""
Any text at all in `where`: a segment or an error with a caret; nothing run, nothing written, and never long to read.

Time is no measure on a busy machine: what is counted is the calls that reading makes, which 100 ms on the slowest one hold.
"""

from __future__ import annotations

import string
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from smallworld import AS_OF, World, ago, make_config, vocabulary

from core.config.model import Config
from core.errors import ConfigError
from core.segments.definitions import Definitions, define
from core.segments.evaluate import evaluate
from core.segments.language import MAX_CHARS, MAX_DEPTH
from core.segments.vocabulary import Seen, Vocabulary
from core.segments.words import CALLS, NAMES
from core.segments.words.reference import SECTIONS
from core.store import Store

MAX_CALLS = 600_000
"""Python makes seven million a second and more, so these are less than 100 ms, a small config around the text included."""
MAX_S = 5.0
"""Of the processor, for what is no call; fifty times what is allowed, for machines that are slower or do much else besides."""
WORDS = vocabulary()
LIST = "vip.csv"
EXAMPLES = [entry.example for section in SECTIONS for entry in section.entries]
BASE = {"vips": "mrr > 1000", "base": "exists(email)"}
PARTITIONS = {"lifecycle": {"at_risk": "paying", "active": "exists(country)"}}
FORBIDDEN = (
    "exec",
    "os.system",
    "os.exec",
    "subprocess.Popen",
    "socket.connect",
    "os.remove",
    "os.rename",
    "shutil.",
    "ctypes.",
)


# --- what must hold of any text -------------------------------------------------------------------------------------


class Watch:
    """What the interpreter does while a text is read: code that runs, files that are written."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "exec" and Path(args[0].co_filename).is_file():
            return  # a module that is imported at first sight
        if event.startswith(FORBIDDEN) or (event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")):
            self.seen.append(f"{event} {args!r}"[:200])


WATCH = Watch()


def config_of(folder: Path, text: str, *, trait: bool = False) -> Config:
    """Return a config with *text* as a segment, or as a trait that a segment looks at."""
    segments = {**BASE, "s": "exists(t)" if trait else text}
    return make_config(segments, partitions=PARTITIONS, traits={"t": text} if trait else {}, folder=folder)


def defined(folder: Path, text: str, words: Vocabulary = WORDS, *, trait: bool = False) -> Definitions | ConfigError:
    """Read *text* as a segment of a config, and hold what must hold."""
    config = config_of(folder, text, trait=trait)
    WATCH.seen.clear()
    WATCH.on = True
    try:
        found: Definitions | ConfigError = define(config, words)
    except ConfigError as error:
        found = error
    finally:
        WATCH.on = False
    assert [] == WATCH.seen
    if isinstance(found, ConfigError):
        for problem in found.problems:
            assert problem.message
            assert problem.source is not None
            assert problem.column is not None
            assert 0 <= problem.column <= len(problem.source)
            lines = str(problem).encode("utf-8", "replace").decode().splitlines()
            assert any(line.strip() == "^" for line in lines), str(problem)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config's folder, with a list in it."""
    made = tmp_path_factory.mktemp("fuzz")
    (made / LIST).write_text("email\np1@example.com\n")
    for text in EXAMPLES:
        assert isinstance(define(config_of(made, text), WORDS), Definitions)  # and what is loaded at first sight is loaded
    for text in ('country == "?"', 'language == "?"'):
        assert isinstance(defined(made, text), ConfigError)  # and all the names to say which was meant
    return made


@pytest.fixture(scope="module")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A few people with something of everything."""
    world = World()
    world.companies.append({"id": 1, "name": "Ann AB", "domain": "example.com", "employees": 60, "live": 1})
    for number in range(6):
        world.person(company_id=1 if number < 3 else None, country="SE", language="sv", created_at=ago(days=number * 10))
        world.subscriptions.append(
            {"profile_id": number + 1, "status": "active", "plan": "team", "mrr": number * 9_000, "currency": "EUR"}
        )
        world.contacts.append(
            {"profile_id": number + 1, "stage": "customer", "score": number, "tags": ["a", "b"], "$city": "Umeå"}
        )
        for name in ("Order", "Page Viewed")[: number % 3]:
            world.event(number + 1, name, ago(days=number * 7), amount=number * 10, path="/pricing")
    with Store(tmp_path_factory.mktemp("fuzz") / "tagalong.db") as store:
        world.write(store)
        yield store


def contents(store: Store) -> bytes:
    """Return every byte of the store."""
    return bytes(store.conn.serialize())


def evaluated(store: Store, definitions: Definitions) -> None:
    """Evaluate, and see that the store is what it was."""
    before = contents(store)
    found = evaluate(store, definitions, as_of=AS_OF)
    for reason in found.failed.values():
        assert reason.startswith("sql"), reason
    assert before == contents(store)


def calls_to_read(folder: Path, text: str, words: Vocabulary = WORDS) -> int:
    """Return how many calls, into Python and C, reading *text* takes."""
    count = 0

    def counted(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        defined(folder, text, words)
    finally:
        sys.setprofile(before)
    return count


# --- the grammar ----------------------------------------------------------------------------------------------------

TEXTS = st.sampled_from(
    ["SE", "Sweden", "team", "Order", "a", "2026-01-01", "30d", "vips", "lifecycle", "at_risk", LIST, "(", "", "å"]
) | st.text(max_size=6)
QUOTED = TEXTS.map(repr)
SPANS = st.sampled_from(["'30d'", "'7d'", "'1h'", "'52w'", "'0d'", "'99999999w'", "'x'", "30"])
EVENTS = st.sampled_from(["'Order'", "'Page Viewed'", "'Never Sent'", "''"]) | QUOTED
NUMBERS = st.integers(-3, 2000).map(str) | st.floats(allow_nan=False, allow_infinity=False).map(repr)
FIELDS = st.sampled_from(
    [*NAMES, "crm.stage", "crm.score", "crm.contacts.tags", "company.employees", "company.country", "crm.nothing"]
)
PERIODS = st.builds(
    "{}('{}')".format,
    st.sampled_from(["this", "previous"]),
    st.sampled_from(["day", "week", "month", "quarter", "year", "decade"]),
)
MOMENTS = st.sampled_from(
    ["date('2026-01-01')", "date('2026-02-30')", "'2026-01-01'", "date('0001-01-01')", "date('9999-12-31T23:59')"]
)
PROPERTIES = st.sampled_from(["path", "'amount'", "prop('$b')", "ms", """prop('$.a"b[0]')"""]) | QUOTED.map("prop({})".format)
TESTS = st.builds("{} {} {}".format, PROPERTIES, st.sampled_from(["==", "<", ">=", "!="]), NUMBERS | QUOTED)
OPTIONS = st.one_of(
    SPANS.map("last={}".format),
    st.builds("between_ago=({}, {})".format, SPANS, SPANS),
    MOMENTS.map("since={}".format),
    MOMENTS.map("until={}".format),
    PERIODS.map("during={}".format),
    TESTS.map("where={}".format),
    st.sampled_from(["source='web'", "source='crm'", "path='/pricing'", "path=['a', 'b']", "amount=1", "any=True"]),
    st.sampled_from(["case=True", "start='last'", "same='path'"]),
    SPANS.map("within={}".format),
    st.sampled_from(["of=4", "of=0", "every='7d'", "to='team'", "from_=['team']", "nothing=1", "**email"]),
)  # fmt: skip


def called(arguments: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    given_ = st.lists(arguments | EVENTS | FIELDS | SPANS | NUMBERS | PROPERTIES | PERIODS, max_size=3)
    return st.builds(
        lambda word, first, named: f"{word}({', '.join([*first, *named])})",
        st.sampled_from([*CALLS]),
        given_,
        st.lists(OPTIONS, max_size=3),
    )


def grown(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return what can be made of *parts*: conditions and values alike, for both stand everywhere in the texts of people."""
    signs = st.sampled_from(
        ["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "and", "or", "in", "not in", "is", "**", "//", "&"]
    )
    return st.one_of(
        st.builds("{} {} {}".format, parts, signs, parts),
        st.builds("({})".format, parts),
        st.builds("not {}".format, parts),
        st.builds("-{}".format, parts),
        st.builds("{} if {} else {}".format, parts, parts, parts),
        st.builds("{} in [{}, {}]".format, parts, parts, parts),
        st.builds(
            "{}.{}({})".format, parts, st.sampled_from(["contains", "startswith", "endswith", "matches", "upper"]), QUOTED
        ),
        called(parts),
    )


GRAMMAR = st.recursive(FIELDS | NUMBERS | QUOTED | MOMENTS | called(FIELDS) | st.sampled_from(EXAMPLES), grown, max_leaves=12)
NOISE = st.text(max_size=200) | st.text(string.printable, max_size=80)
HURT = st.builds(
    lambda text, at, span, put: text[: at % (len(text) + 1)] + put + text[at % (len(text) + 1) + span :],
    st.sampled_from(EXAMPLES) | GRAMMAR,
    st.integers(0, 400),
    st.integers(0, 5),
    st.text(max_size=3)
    | st.sampled_from(["(", ")", "'", '"', "\\", ",", "=", "#", "\n", ".", "[", "__class__", "lambda: ", "*", "@"]),
)
QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(QUICK, max_examples=500)
@given(text=GRAMMAR | HURT | NOISE)
@example(text="round(1, 99999999999999999999) > mrr")
@example(text="'\ud800' == country")
def test_any_text_is_a_segment_or_an_error_with_a_caret(folder: Path, text: str) -> None:
    """Sentences of the grammar, right and wrong, sentences with a piece changed, and noise."""
    defined(folder, text)


@settings(QUICK, max_examples=150)
@given(
    text=GRAMMAR
    | st.builds(
        "{} {} ({})".format, st.sampled_from(EXAMPLES), st.sampled_from(["and", "or", "and not"]), st.sampled_from(EXAMPLES)
    )
)
def test_whatever_is_read_can_be_evaluated_and_changes_nothing(folder: Path, peopled: Store, text: str) -> None:
    """No byte of the store differs after it."""
    found = defined(folder, text)
    if isinstance(found, Definitions):
        evaluated(peopled, found)


@settings(QUICK, max_examples=200)
@given(text=GRAMMAR | HURT | NOISE)
def test_any_text_is_a_trait_or_an_error_with_a_caret(folder: Path, peopled: Store, text: str) -> None:
    """The value of a trait is the same language, and what looks at it can be evaluated."""
    found = defined(folder, text, trait=True)
    if isinstance(found, Definitions):
        evaluated(peopled, found)


@settings(QUICK, max_examples=100)
@given(text=GRAMMAR | HURT)
def test_reading_takes_few_calls(folder: Path, text: str) -> None:
    """A bound for each text, by what is counted."""
    assert calls_to_read(folder, text) < MAX_CALLS


# --- as long as a text may be ---------------------------------------------------------------------------------------


def _many(unit: str, between: str, whole: str = "{}") -> str:
    """Return as much of *unit* as a text can hold."""
    parts: list[str] = []
    size = len(whole)
    while size + len(one := unit.replace("@", str(len(parts)))) + len(between) < MAX_CHARS - 2:
        parts.append(one)
        size += len(one) + len(between)
    return whole.format(between.join(parts))


LONG = {
    "or": _many("mrr == @", " or "),
    "and": _many("not did('E@')", " and "),
    "numbers": _many("@", ",", "mrr in [{}]"),
    "countries": _many("'Sweden'", ",", "country in [{}]"),
    "no country": _many("'Zz@'", ",", "country in [{}]"),
    "addresses": _many("'@x@example.com'", ",", "email in [{}]"),
    "groups": _many("'active'", ",", "partition('lifecycle') in [{}]"),
    "chain": _many("mrr", " < "),
    "unequal": _many("mrr", " != "),
    "sum": _many("mrr", " + ", "{} > 1"),
    "minus": "-" * (MAX_CHARS - 10) + "1 < mrr",
    "smallest": _many("mrr", ",", "min({}) > 1"),
    "choices": _many("(@ if did('E@') else 1)", " + ", "({}) > 1"),
    "events": _many("did('E@', last='1@d', path='x')", " or "),
    "sequences": _many("sequence('A@', 'B', 'C', 'D', 'E', within='7d', x='y')", " or "),
    "ranks": _many("percentile(mrr + @) > 5", " or "),
    "changes": _many("changed(plan, to='a@')", " or "),
    "dates": _many("created_at < date('2026-01-01T00:00:00.@')", " or "),
    "fields": _many("crm.stage@ == 'x'", " or "),
    "files": _many(f"in_list('{LIST}')", " or "),
    "queries": _many("sql('select @ as profile_id')", " or "),
    "patterns": _many("email.matches('(a|b@)+c?')", " or "),
    "classes": " or ".join(rf"email.matches('\\pL{{100}}{number}')" for number in range(300)),
    "users": "any_user(" * MAX_DEPTH + "paying" + ")" * MAX_DEPTH,
    "deep": "(" * MAX_DEPTH + "paying" + ")" * MAX_DEPTH,
    "deeper": "(" * 5_000,
    "brackets": "[" * 4_999 + "]" * 4_999,
    "nots": "not " * 2_400 + "paying",
    "dots": "a." * 4_000 + "b",
    "word": "x" * 9_999,
    "text": "plan == '" + "x" * 9_900 + "'",
    "backslashes": "plan == '" + "\\" * 9_900 + "'",
    "quotes": "'" * 9_999,
    "comment": "paying #" + "#" * 9_900,
    "lines": "paying" + "\n" * 9_900,
    "too long": "paying or " * 2_000 + "paying",
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_no_text_takes_long_to_read(folder: Path, name: str) -> None:
    """As many calls as 100 ms hold, and, generously, the clock."""
    text = LONG[name]
    defined(folder, text)
    began = time.process_time()
    defined(folder, text)
    took = time.process_time() - began

    assert took < MAX_S, f"{took:.2f} s"
    assert calls_to_read(folder, text) < MAX_CALLS


def test_reading_among_many_known_names_is_no_slower(folder: Path) -> None:
    """Looking for the nearest of thousands of names is done a few times, not for each that is wrong."""
    seen = Seen(frozenset({"web.events"}), True)
    words = vocabulary(events={f"Known Event {number}": seen for number in range(3_000)})

    assert isinstance(defined(folder, LONG["events"], words), Definitions)
    assert calls_to_read(folder, LONG["events"], words) < 20 * MAX_CALLS  # for each of them it would be 500


# --- refused, with the reason ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LONG["deeper"], "nested deeper than 40"),
        (LONG["nots"], "nested deeper than 40"),
        (LONG["users"], "nested deeper than 40"),
        (LONG["chain"], "more than 4,000 parts"),
        (LONG["too long"], "longer than 10,000 characters"),
        (LONG["files"], "more than 10 files"),
        (LONG["queries"], "more than 5 queries"),
        (LONG["classes"], "pattern"),
        (r"email.matches('" + r"\\pL" * 21 + "')", "more than 20 classes"),
        ("email.matches('" + "(x{0,30}){0,30}" * 60 + "')", "pattern too large"),
        ("email.matches('" + "a" * 1001 + "')", "a pattern longer than 1000"),
        ("email.matches('(a')", "not a pattern"),
        (r"email.matches('(a)\\1')", "not a pattern"),
        ("email.matches('(?=a)')", "not a pattern"),
        ("sql('delete from profiles')", "may only read: DELETE is refused"),
        ("sql('drop table profiles')", "may only read: DROP is refused"),
        ("sql('pragma journal_mode=delete')", "may only read: PRAGMA is refused"),
        ("sql('attach \"x.db\" as x')", "may only read: ATTACH is refused"),
        ("sql('vacuum into \"x.db\"')", "may only read: VACUUM is refused"),
        ("sql('with x as (select 1) delete from profiles')", "may only read"),
        ("sql('with x as (select 1) insert into profiles (id) select 7')", "may only read"),
        ("sql('with x as (select 1) update profiles set live = 0')", "may only read"),
        ("sql('select 1 as profile_id; delete from profiles')", "sql "),
        ("sql('select load_extension(\"x\") as profile_id')", "sql "),
        ("sql('select writefile(\"x\", 1) as profile_id')", "sql "),
        ("sql('select profile_id from pragma_table_info(\"profiles\")')", "sql "),
        ("sql('select name as profile_id from sqlite_master')", "sql may not read"),
        ("sql(') or (select 1')", "sql "),
        ("sql('select 1 as profile_id) where 1 in (delete from profiles')", "sql "),
        ("sql('select randomblob(1000000000) as profile_id')", "sql may not call"),
        ("sql('select profile_id from events, \\'x')", "sql "),
        ("in_list('../../etc/passwd')", "lies outside"),
        ("in_list('/etc/passwd')", "lies outside"),
        ("in_list('nothing.csv')", "is not there"),
        ("in_list('.')", "is not a file"),
        ("__import__('os').system('touch x')", "not a known word"),
        ("open('x', 'w')", "not a known word"),
        ("(lambda: 1)()", "lambda is not in the language"),
        ("email.__class__ == 'x'", "email is not a connection"),
        ("paying.__class__.__mro__", "paying is not a connection"),
        ("[x for x in email]", "a comprehension is not in the language"),
        ("f'{paying}'", "f-string is not in the language"),
        ("email[0] == 'a'", "an index in brackets is not in the language"),
        ("(x := 5) > 4", "an assignment"),
        ("2 ** 99999 > mrr", "arithmetic"),
        ("'a' * 99999 == plan", "not a number"),
        ("mrr > 1e999", "too large to be exact"),
        ("mrr > 9007199254740993", "too large to be exact"),
        ("mrr > 9007199254740992 * 9007199254740992", "too large to be exact"),
        ("mrr / 0 > 1 / 0", "divided by zero"),
        ("bucket('a') < 1j", "not in the language"),
        ("paying\x00", "null bytes"),
    ],
)  # fmt: skip
def test_hostile_texts_are_refused_with_the_reason(folder: Path, text: str, said: str) -> None:
    """Each by one sentence with a caret under it."""
    found = defined(folder, text)

    assert isinstance(found, ConfigError)
    (problem,) = found.problems
    assert said in problem.message + (problem.remedy or ""), str(problem)


@pytest.mark.parametrize(
    "query",
    [
        "with recursive t(x) as (select 1 union all select x + 1 from t) select x as profile_id from t",
        "select a.profile_id from events a, events b, events c, events d, events e, events f, events g",
    ],
)
def test_a_query_that_runs_long_fails_its_segment_with_the_reason(
    folder: Path, peopled: Store, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """Its own segment only: the others are evaluated, and the store stays as it was."""
    monkeypatch.setattr("core.segments.compile_sql.LIMIT_S", 0.05)
    found = defined(folder, f"sql('{query}')")
    assert isinstance(found, Definitions)
    before = contents(peopled)

    evaluation = evaluate(peopled, found, as_of=AS_OF)

    assert ["segment.s"] == list(evaluation.failed)
    assert "ran longer than" in evaluation.failed["segment.s"]
    assert 6 == len(evaluation.sets["segment.base"])
    assert before == contents(peopled)
