"""`tagalong recipes`, as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace import CONFIG, Type

from core.recipes.model import recipe_names


def test_the_list_has_every_recipe_with_what_it_needs_and_why(type_: Type) -> None:
    """Without any config too."""
    Path("tagalong.toml").unlink()

    found = type_("recipes", "--json").json["recipes"]

    assert recipe_names() == [one["name"] for one in found]
    assert all(one["why"].endswith(".") and one["streams"] and one["adds"] for one in found)
    assert all(name in type_("recipes").out for name in recipe_names())


def test_the_list_says_what_the_config_can_take(type_: Type) -> None:
    """Ready, there already, or what no stream brings."""
    type_("recipes", "add", "usage")

    here = {one["name"]: one["here"] for one in type_("recipes", "--json").json["recipes"]}

    assert ("ready", "there") == (here["activation"], here["usage"])
    assert "no configured stream brings subscriptions" in here["lifecycle"]
    assert "here" in type_("recipes").out.splitlines()[0]


@pytest.mark.parametrize("name", recipe_names())
def test_one_recipe_shows_its_why_its_words_and_its_text(type_: Type, name: str) -> None:
    told = type_("recipes", name, "--json").json["recipe"]
    said = type_("recipes", name).out

    assert told["why"] in said
    assert f"words    {', '.join(told['words'])}" in said
    assert all(one["means"] in said for one in told["takes"])
    assert all(line.strip() in said for line in told["text"].splitlines())


def test_add_writes_into_the_config_and_the_rest_stays(type_: Type) -> None:
    """The new segments work at once."""
    said = type_("recipes", "add", "usage", "--event", "Page Viewed", "--with", "days=2")

    assert (0, "Added partitions.usage to tagalong.toml.\n") == (said.code, said.out)
    text = Path("tagalong.toml").read_text()
    assert 'days_active("Page Viewed", last="28d") >= 2' in text
    lines = iter(text.splitlines())
    assert [line for line in CONFIG.splitlines() if line not in lines] == []
    assert 0o600 == Path("tagalong.toml").stat().st_mode & 0o777
    type_("pull")
    assert "usage" in [one["name"] for one in type_("segments", "--json").json["partitions"]]


def test_a_name_that_is_there_is_refused(type_: Type) -> None:
    """Whoever wrote it, in this file or an included one."""
    type_("recipes", "add", "usage")
    once = Path("tagalong.toml").read_bytes()

    said = type_("recipes", "add", "usage")

    assert 2 == said.code
    assert "partitions.usage: there is one of this name" in said.err
    assert once == Path("tagalong.toml").read_bytes()


def test_a_dry_run_prints_the_difference_and_writes_nothing(type_: Type) -> None:
    said = type_("recipes", "add", "nordic_countries", "--dry-run")

    assert 0 == said.code
    assert "+[segments.nordics]" in said.out.splitlines()
    assert not [line for line in said.out.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert Path("tagalong.toml").read_text() == CONFIG
    told = type_("recipes", "add", "nordic_countries", "--dry-run", "--json").json
    assert (False, ["segments.nordics"]) == (told["written"], told["added"])


def test_what_the_config_cannot_feed_is_not_written_and_the_error_says_why(type_: Type) -> None:
    """No connection here brings subscriptions."""
    said = type_("recipes", "add", "lifecycle")

    assert 2 == said.code
    assert "no configured stream brings subscriptions" in said.err
    assert "nothing was written" in said.err
    assert "tagalong.toml: partitions.lifecycle" in said.err, "no line: the file does not have it"
    assert "^" in said.err
    assert Path("tagalong.toml").read_text() == CONFIG
    assert not type_("recipes", "add", "lifecycle", "--json").json["ok"]


def test_a_config_that_does_not_load_is_not_written_to(type_: Type) -> None:
    broken = CONFIG.replace("Europe/Stockholm", "Europe/Atlantis")
    Path("tagalong.toml").write_text(broken)

    said = type_("recipes", "add", "usage")

    assert 2 == said.code
    assert "Atlantis" in said.err
    assert Path("tagalong.toml").read_text() == broken


def test_events_that_were_never_seen_are_told(type_: Type) -> None:
    type_("pull")

    said = type_("recipes", "add", "usage", "--event", "Page Viwed")

    assert 0 == said.code
    assert 'warning: event "Page Viwed" was never seen in a complete pull; did you mean Page Viewed?' in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add"], "name one recipe to add"),
        (["usage", "nps"], "name one recipe"),
        (["add", "usge"], "did you mean usage?"),
        (["usage", "--event", "A", "--event", "B"], "usage takes 1 event: 'B' is one too many"),
        (["nps", "--plan", "pro"], "nps takes no plan: 'pro' is one too many"),
        (["usage", "--with", "days"], "--with takes NAME=VALUE"),
        (["usage", "--with", "dys=3"], "did you mean days?"),
        (["usage", "--with", "days=many"], "days is a number"),
        (["usage", "--with", "days=nan"], "days is a number"),
        (["usage", "--with", "days=1", "--with", "days=2"], "days takes one value"),
        (["usage", "--event", "A", "--with", "use=B"], "use is given twice"),
        (["lifecycle", "--with", "quiet=soon"], "quiet:"),
        (["usage", "--event", " "], "use is 1 to 200 printable characters"),
        (["--event", "A"], "the options are for one recipe"),
        (["usage", "--dry-run"], "--dry-run is for"),
    ],
)
def test_bad_usage_says_what_to_type(type_: Type, words: list[str], said: str) -> None:
    answer = type_("recipes", *words)

    assert 2 == answer.code
    assert said in answer.err


@pytest.mark.parametrize(
    "name", ['A" or did("B', "it's", "back\\slash", "${days}", "$", "# no", "å 'and' \"both\"", "'''", '"""']
)
def test_a_value_is_never_read_as_an_expression(type_: Type, name: str) -> None:
    """It stays one text, whatever is in it."""
    from core.cli.definitions import definitions_of
    from core.config.load import load_config
    from core.segments.rests import event_sets

    assert 0 == type_("recipes", "add", "usage", "--event", name).code

    sets = definitions_of(load_config(Path("tagalong.toml"), {})).sets
    assert {name} == {events.name for events in event_sets(sets["partition.usage.advanced"].condition)}
