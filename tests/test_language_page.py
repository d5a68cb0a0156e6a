"""The reference page of the segment language: every word is on it, and every example is a segment."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "segments"))  # the small world

from smallworld import AS_OF, ZONE, World, ago, make_config, vocabulary

from core.config.model import Config
from core.segments.definitions import define
from core.segments.evaluate import evaluate
from core.segments.language import ExpressionError
from core.segments.reader import Scope, read
from core.segments.tree import How
from core.segments.vocabulary import COMPANY_FIELDS
from core.segments.words import CALLS, NAMES
from core.segments.words.entry import Entry
from core.segments.words.reference import SECTIONS
from core.store import Store

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "language.md"
ENTRIES = [entry for section in SECTIONS for entry in section.entries]
WORDS = {entry.word: entry for entry in ENTRIES if entry.word in {*NAMES, *CALLS}}


def config_of(folder: Path, *texts: str) -> Config:
    """Return a config whose segments are *texts*, with what the examples name beside them."""
    (folder / "vip.csv").write_text("email\np1@example.com\n")
    segments = {"vips": "mrr > 1000", **{f"s{number}": text for number, text in enumerate(texts)}}
    lifecycle = {"at_risk": 'paying and not did("Page Viewed", last="30d")', "active": "paying"}
    return make_config(segments, partitions={"lifecycle": lifecycle}, folder=folder)


@pytest.fixture(scope="module")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two people of a company, one with something of everything and one with nothing."""
    world = World()
    world.companies.append({"id": 1, "name": "Ann AB", "domain": "example.com", "employees": 60, "live": 1})
    world.person(company_id=1, country="SE", language="sv", created_at=ago(days=20), user_id="u1")
    world.person(company_id=1)
    world.subscriptions.append({"company_id": 1, "status": "active", "plan": "team", "mrr": 90_000, "currency": "EUR"})
    world.contacts.append({"profile_id": 1, "stage": "customer", "score": 12, "$city": "Umeå"})
    world.event(1, "Order", ago(days=3), amount=70, status="failed")
    with Store(tmp_path_factory.mktemp("page") / "tagalong.db") as store:
        world.write(store)
        yield store


def test_every_word_is_on_the_page() -> None:
    """Names, called words, methods, and the fields of a company; none twice, none that is no word."""
    page = PAGE.read_text(encoding="utf-8")
    words = [entry.word for entry in ENTRIES if entry.word in WORDS and entry is WORDS[entry.word]]

    assert set() == {*NAMES, *CALLS} - set(WORDS)
    assert len(words) == len(set(words))
    assert {f".{how}" for how in How} <= {entry.word for entry in ENTRIES}
    assert all(name in WORDS_OF_COMPANY for name in COMPANY_FIELDS)
    assert all(f"`{entry.signature}`".replace("|", "&#124;") in page for entry in ENTRIES)


WORDS_OF_COMPANY = next(entry.says for entry in ENTRIES if entry.word == "company")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.word)
def test_every_entry_is_whole(entry: Entry) -> None:
    """A signature and an example with the word in it, and one sentence."""
    assert entry.says.endswith(".")
    assert ". " not in entry.says
    bare = entry.word.lstrip(".")
    assert bare in entry.signature
    assert bare in entry.example or bare in ("CONNECTION", "PROPERTY")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.word)
def test_every_example_is_a_segment(entry: Entry, peopled: Store, tmp_path: Path) -> None:
    """It is read, evaluated, and can be told from its complement."""
    config = config_of(tmp_path, entry.example, f"not ({entry.example})")

    found = evaluate(peopled, define(config, vocabulary()), as_of=AS_OF)

    assert {} == found.failed
    assert {1, 2} == set(found.sets["segment.s0"]) | set(found.sets["segment.s1"])
    assert set() == set(found.sets["segment.s0"]) & set(found.sets["segment.s1"])


@pytest.mark.parametrize(
    ("entry", "name", "value"),
    [(entry, *more) for entry in WORDS.values() for more in (("last", "'90d'"), ("where", "prop('x') == 1"))],
    ids=lambda value: value.word if isinstance(value, Entry) else str(value),
)
def test_what_takes_a_window_or_a_filter_is_told(entry: Entry, name: str, value: str, tmp_path: Path) -> None:
    """The flags of an entry are what the word really takes."""
    root = ast.parse(entry.example, mode="eval").body
    calls = [node for node in ast.walk(root) if isinstance(node, ast.Call) and getattr(node.func, "id", None) == entry.word]
    if not calls:
        return  # a word that stands alone
    called = calls[-1]
    spans = ("last", "between_ago", "since", "until", "during")
    called.keywords = [one for one in called.keywords if one.arg not in ((*spans,) if name == "last" else ("where",))]
    called.keywords.append(ast.keyword(name, ast.parse(value, mode="eval").body))
    config_of(tmp_path)
    scope = Scope(
        vocabulary(), ZONE, segments=frozenset({"vips"}), partitions={"lifecycle": ("at_risk", "active")}, folder=tmp_path
    )
    takes = entry.window if name == "last" else entry.filter
    if takes:
        read(ast.unparse(root), scope)
    else:
        with pytest.raises(ExpressionError):
            read(ast.unparse(root), scope)
