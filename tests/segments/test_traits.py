"""The rules of computed values, each by its name: what they come to, what a missing one does, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from asking import PLACE, members, wrong
from smallworld import AS_OF, STREAMS, World, ago, definitions

from core.clock import to_us
from core.config.model import Rule, Segment, Trait
from core.errors import ConfigError
from core.pushing.trait_values import of_everybody, of_person
from core.segments import dialect
from core.segments.compile import relation
from core.segments.evaluate import evaluate, read_facts
from core.segments.traits_config import FORMULAS, QUINTILE, REVENUE, formula
from core.store import Store


def values(store: Store, world: World, trait: str | Trait, **traits: str | Trait) -> list[Any]:
    """Return the trait of each person in order."""
    world.write(store)
    defined = definitions({}, traits={**traits, "it": trait})
    dialect.register(store.conn)
    sql = relation(defined.traits["it"].value, read_facts(store, defined, to_us(AS_OF))).sql
    found = dict(store.conn.execute(sql.text, sql.params).fetchall())
    return [found[p["id"]] for p in world.profiles]


def problems(
    traits: dict[str, Any], segments: dict[str, Any] | None = None, **options: Any
) -> list[tuple[str, str | None, int]]:
    with pytest.raises(ConfigError) as caught:
        definitions(segments or {}, traits=traits, **options)
    return [(p.message, p.key, p.column or 0) for p in caught.value.problems]


def busy(*counts: int, **fields: Any) -> World:
    """Return a world of people with so many orders each."""
    world = World()
    for count in counts:
        id_ = world.person(**fields)
        for n in range(count):
            world.event(id_, "Order", ago(days=n + 1), ms=10 * (n + 1))
    return world


def built_in(name: str, **settings: Any) -> Trait:
    return Trait(name, built_in=name, place=PLACE, **settings)


# --- what they come to -----------------------------------------------------------------------------------------------


def test_arithmetic_is_that_of_numbers_not_of_whole_ones(shared: Store) -> None:
    world = busy(0, 3)
    assert [0.0, 1.5] == values(shared, world, 'count("Order") / 2')
    assert [1.0, 7.0] == values(shared, world, '1 + 2 * count("Order")')
    assert [9.0, 0.0] == values(shared, world, '(3 - count("Order")) * 3')
    assert [0.0, -3.0] == values(shared, world, '-count("Order")')


def test_a_condition_counts_as_one_or_nothing(shared: Store) -> None:
    world = busy(0, 2, 9)
    score = '10 * did("Order", last="30d") + 5 * min(count("Order"), 5) + (count("Order") > 8) + (not did("Order"))'
    assert [1.0, 20.0, 36.0] == values(shared, world, score)


def test_a_choice_takes_one_side_and_asks_the_other_nothing(shared: Store) -> None:
    world = busy(0, 2)
    assert ["none", "some"] == values(shared, world, '"some" if did("Order") else "none"')
    assert [0.0, 0.5] == values(shared, world, '1 / count("Order") if did("Order") else 0')


def test_a_missing_operand_makes_the_value_missing_and_coalesce_mends(shared: Store) -> None:
    world = busy(0, 2)
    world.contacts = [{"profile_id": 2, "score": 7, "deleted_at": None}]
    assert [None, 9.0] == values(shared, world, 'crm.score + count("Order")')
    assert [0.0, 9.0] == values(shared, world, 'coalesce(crm.score, 0) + count("Order")')
    assert [None, 2.0] == values(shared, world, 'min(crm.score, count("Order"))')
    assert [None, None] == values(shared, world, "max(crm.score, mrr)")


def test_division_by_zero_is_missing(shared: Store) -> None:
    assert [None, 0.5] == values(shared, busy(0, 2), '1 / count("Order")')
    assert [2] == members(shared, busy(0, 2), '1 / count("Order") < 5')
    assert [1] == members(shared, busy(0, 2), "missing(share)", traits={"share": '1 / count("Order")'})


def test_a_missing_value_fails_every_comparison_and_not_is_the_complement(shared: Store) -> None:
    world = busy(0, 2)
    share = {"share": '1 / count("Order")'}
    assert [2] == members(shared, world, "share >= 0", traits=share)
    assert [1] == members(shared, world, "not share >= 0", traits=share)
    assert [1] == members(shared, world, "share != 0.5", traits=share)


def test_halves_are_rounded_away_from_zero(shared: Store) -> None:
    world = busy(1, 3, 5)
    assert [1.0, 2.0, 3.0] == values(shared, world, 'round(count("Order") / 2)')
    assert [-1.0, -2.0, -3.0] == values(shared, world, 'round(count("Order") / -2)')
    assert [0.3, 1.0, 1.7] == values(shared, world, 'round(count("Order") / 3, 1)')


def test_days_are_whole_ones_of_24_hours(shared: Store) -> None:
    world = World()
    for at in (ago(hours=23), ago(hours=24), ago(days=10, hours=1), ago(hours=-1), ago(hours=-24), None):
        world.person(created_at=at)
    assert [0, 1, 10, -1, -1, None] == values(shared, world, "days_since(created_at)")


def test_several_values_of_a_field_count_with_the_largest(shared: Store) -> None:
    world = busy(0)
    world.contacts = [{"profile_id": 1, "score": n, "deleted_at": None} for n in (3, 8, 5)]
    assert [9.0] == values(shared, world, "crm.score + 1")


def test_texts_are_put_together(shared: Store) -> None:
    world = World()
    world.person(lifecycle_stage="lead", country="SE")
    world.person(lifecycle_stage=None, country="SE")
    assert ["lead/SE", None] == values(shared, world, 'lifecycle_stage + "/" + country')
    assert ["lead", "none"] == values(shared, world, 'coalesce(lifecycle_stage, "none")')
    tier = {"tier": 'coalesce(lifecycle_stage, "none") + "!"'}
    assert [1] == members(shared, world, 'tier == "lead!"', traits=tier)
    assert [2] == members(shared, world, 'tier.startswith("NO")', traits=tier)


def test_computed_values_stand_in_a_segment_without_a_trait(shared: Store) -> None:
    assert [3] == members(shared, busy(0, 2, 4), 'count("Order") * 2 - 1 > 5')
    assert [1] == members(shared, busy(0, 2, 4), '(5 if did("Order") else 1) == 1')


# --- traits, segments and ranks that name each other ---------------------------------------------------------------


def test_traits_name_traits(shared: Store) -> None:
    traits = {"twice": '2 * count("Order")', "thrice": "twice * 1.5"}
    assert [0.0, 6.0] == values(shared, busy(0, 2), "thrice", **traits)


def test_a_trait_names_segments_and_groups_as_those_see_people(shared: Store) -> None:
    """Who has no address is in no segment that does not say so; the first group wins."""
    world = busy(2, 2, 0)
    world.profiles[1]["email"] = None
    segments = {"buyers": 'did("Order")', "all_buyers": Segment("all_buyers", 'did("Order")', place=PLACE, anonymous=True)}
    partition = {"p": {"many": 'count("Order") > 1', "some": 'count("Order") >= 0'}}
    world.write(shared)
    score = '100 * segment("buyers") + 10 * segment("all_buyers") + (partition("p") == "some")'
    defined = definitions(segments, partitions=partition, traits={"it": score})
    dialect.register(shared.conn)
    sql = relation(defined.traits["it"].value, read_facts(shared, defined, to_us(AS_OF))).sql
    assert [(1, 110.0), (2, 10.0), (3, 1.0)] == shared.conn.execute(sql.text, sql.params).fetchall()


def test_a_rank_of_a_trait_is_among_all_who_have_it(shared: Store) -> None:
    share = {"share": '1 / count("Order")'}
    assert [2] == members(shared, busy(0, 1, 2, 4), "percentile(share) == 100", traits=share)
    assert [3, 4] == members(shared, busy(0, 1, 2, 4), "percentile(share) <= 50", traits=share)
    assert [2, 3] == members(shared, busy(0, 1, 2, 4), "top(share, 2)", traits=share)


def test_what_a_trait_asks_is_part_of_what_the_segment_is() -> None:
    """Another text of the trait, or of a segment in it, is another definition; the same is one leaf."""

    def made(orders: int, base: str = "paying") -> tuple[str, Any]:
        traits = {"score": f'{orders} * count("Order")', "whole": 'score + 5 * segment("base")'}
        one = definitions({"s": "whole > 5", "base": base}, traits=traits).sets["segment.s"]
        return one.definition, one.condition

    assert made(1) == made(1)
    assert 3 == len({made(1), made(2), made(1, "not paying")})


def test_a_segment_rests_on_what_feeds_its_traits() -> None:
    defined = definitions({"s": "score > 5", "t": "exists(country)"}, traits={"score": '5 * (nps > 8) + count("Nothing Yet")'})
    assert {"survey.responses", "web.events", "app.events"} <= defined.sets["segment.s"].rests_on
    assert {'event "Nothing Yet"'} == defined.sets["segment.s"].unseen == defined.traits["score"].unseen
    assert not defined.sets["segment.t"].rests_on & {"survey.responses", "web.events"}


def test_the_past_is_that_of_all_parts(shared: Store) -> None:
    world = busy(3)
    then = AS_OF.replace(day=28, hour=0)
    assert [] == members(shared, world, "score >= 2", traits={"score": 'count("Order")'}, as_of=then)
    assert [1] == members(shared, world, "score == 1", traits={"score": 'count("Order")'}, as_of=then)


# --- built in --------------------------------------------------------------------------------------------------------


def bought(*people: tuple[int, ...]) -> World:
    """Return people who paid so many tens of euros, so many days ago each."""
    world = World()
    for payments in people:
        id_ = world.person()
        world.payments += [
            {"profile_id": id_, "amount": 1000, "currency": "EUR", "status": "paid", "paid_at": ago(days=days)}
            for days in payments
        ]
    return world


def test_recency_frequency_and_monetary_value_are_of_payments(shared: Store) -> None:
    world = bought((3, 40), (7,), ())
    assert [3, 7, None] == values(shared, world, built_in("recency"))
    assert [2.0, 1.0, 0.0] == values(shared, world, built_in("frequency"))
    assert [20.0, 10.0, 0.0] == values(shared, world, built_in("monetary"))


def test_recency_frequency_and_monetary_value_are_of_an_event_where_one_is_named(shared: Store) -> None:
    world = busy(3, 0)
    of = {"event": "Order", "window": "60h"}
    assert [1, None] == values(shared, world, built_in("recency", **of))
    assert [2.0, 0.0] == values(shared, world, built_in("frequency", **of))
    assert [30.0, 0.0] == values(shared, world, built_in("monetary", amount="ms", **of))


def test_the_best_fifth_is_five_and_nobody_without_a_value_has_one(shared: Store) -> None:
    world = bought((1,), (10,), (20,), (30,), (40,), (50,), ())
    assert [5.0, 5.0, 4.0, 3.0, 2.0, 1.0, None] == values(shared, world, built_in("recency_quintile"))


@pytest.mark.parametrize("quintile", ["recency_quintile", "frequency_quintile", "monetary_quintile"])
def test_a_quintile_is_a_rank_among_customers(shared: Store, quintile: str) -> None:
    """However many never paid, or did it: they are no fifth of the customers."""
    paid = bought((1,), (10,), (), (), (), ())
    assert [None] * 4 == values(shared, paid, built_in(quintile))[2:]
    assert None not in values(shared, paid, built_in(quintile))[:2]
    did = busy(2, 3, 0, 0)
    ranks = values(shared, did, built_in(quintile, event="Order", **({"amount": "ms"} if "monetary" in quintile else {})))
    assert [None, None] == ranks[2:]
    assert None not in ranks[:2]


def test_who_paid_least_often_is_in_the_worst_fifth_of_customers(shared: Store) -> None:
    """With those who never paid ranked as 0 they would be among the best."""
    world = bought((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), (1, 2, 3, 4, 5), (), (), (), ())
    assert [1.0, 2.0, 3.0, 4.0, 5.0, *[None] * 4] == values(shared, world, built_in("frequency_quintile"))


def test_lifetime_value_is_revenue_a_month_times_months_times_margin(shared: Store) -> None:
    """Two payments of 10 in two months are 10 a month; a first month counts whole; nothing paid is nothing known."""
    world = bought((61, 1), (2,), ())
    trait = built_in("lifetime_value", expected_months=10, gross_margin=0.5)
    months = 61 / 30.4375
    assert [pytest.approx(20 / months * 10 * 0.5), 50.0, None] == values(shared, world, trait)


def test_lifetime_value_takes_another_revenue(shared: Store) -> None:
    world = busy(2)
    assert [pytest.approx(2 * 24)] == values(shared, world, built_in("lifetime_value", revenue='count("Order")'))


def test_rules_add_up_within_their_bounds(shared: Store) -> None:
    """Points where a condition holds, points for each; a missing number gives none."""
    rules = (
        Rule(40, when='did("Order")'),
        Rule(25, each='min(count("Order"), 3)'),
        Rule(-10, when="missing(nps)"),
        Rule(5, each="nps"),
    )
    score = Trait("it", rules=rules, place=PLACE)
    assert [-10.0, 55.0, 105.0] == values(shared, busy(0, 1, 9), score)
    bound = Trait("it", rules=rules, place=PLACE, least=0, most=100)
    assert [0.0, 55.0, 100.0] == values(shared, busy(0, 1, 9), bound)


def test_a_hundred_rules_are_a_score(shared: Store) -> None:
    rules = tuple(Rule(n, when=f'count("Order") >= {n}') for n in range(1, 101))
    assert [0.0, 6.0] == values(shared, busy(0, 3), Trait("it", rules=rules, place=PLACE))


def test_the_docs_have_the_formulas() -> None:
    page = (Path(__file__).parents[2] / "docs" / "traits.md").read_text()
    for text in (*FORMULAS.values(), REVENUE, QUINTILE):
        assert text in page, text
    assert formula(built_in("recency")) == FORMULAS["recency"]


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said", "at"),
    [
        ("mrr + country > 1", "is a country, not a number to reckon with", "country"),
        ("mrr + created_at > 1", "is a time, not a number", "created_at"),
        ("mrr ** 2 > 1", "other arithmetic than + - * / is not in the language", "mrr"),
        ("mrr / 0 > 1 / 0", "nothing is divided by zero", "0"),
        ("mrr / (1 - 1) > 1", "nothing is divided by zero", "1 - 1"),
        ("(1 if paying else 'x') == 1", "is a text where a number stands beside it", "'x'"),
        ("min(mrr, nps, country) > 1", "is a country where a number stands beside it", "country"),
        ("max(country, language) == 'x'", "a text has no order", "country"),
        ("coalesce(mrr) > 1", "coalesce needs two values or more", "coalesce"),
        ("round(mrr, 99) > 1", "how many digits is a whole number", "99"),
        ("round(mrr, 2, 3) > 1", "round takes 2 here", "3)"),
        ("days_since(mrr) > 1", "is a number, not a time", "mrr"),
        ("min(1, 2) > 1", "says nothing about anybody", "min"),
        ("1 + 2 > 1", "says nothing about anybody", "1"),
        ("did('Order', where=ms * 2 > 1)", "nothing is computed inside where=", "ms"),
        ("mrr * True > 1", "true or false is no value", "True"),
        ("mrr + any_user(paying) > 1", "cannot stand in a computed value", "any_user"),
        ("mrr + 1", "is a number, not true or false", "mrr"),
    ],
)  # fmt: skip
def test_errors_say_what_and_where(text: str, said: str, at: str) -> None:
    message, rest = wrong(text)
    assert said in message
    assert rest.startswith(at)


def test_a_circle_is_an_error_where_it_closes() -> None:
    assert [("goes round in a circle: trait.a -> trait.b -> trait.a", "traits.b.value", 4)] == problems(
        {"a": "b", "b": "2 * a"}
    )
    found = problems({"a": '10 * segment("s")'}, {"s": "a > 1"})
    assert [("goes round in a circle: trait.a -> segment.s -> trait.a", "traits.a.value", 5)] == found
    found = problems({"a": '1 * (partition("p") == "x")'}, partitions={"p": {"x": "exists(a)"}})
    assert [("goes round in a circle: trait.a -> partition.p -> trait.a", "traits.a.value", 5)] == found


def test_a_mistake_is_told_once_where_it_stands() -> None:
    """Not again by each segment and trait that names the trait."""
    traits = {"a": "mrr + oops", "b": "a * 2"}
    assert [("oops is not a known word", "traits.a.value", 6)] == problems(traits, {"s": "b > 1 and a < 3"})
    rules = Trait("r", rules=(Rule(1, when="paying"), Rule(2, each="country")), place=PLACE)
    (message, key, _) = problems({"r": rules})[0]
    assert "not a number" in message
    assert "segments.rules.1.each" == key


def test_a_trait_is_called_as_nothing_else_is() -> None:
    assert ["plan is a word of segments already"] == [m for m, _, _ in problems({"plan": "mrr"})]
    assert ["count is a word of segments already"] == [m for m, _, _ in problems({"count": "mrr"})]
    assert ["crm is a connection already"] == [m for m, _, _ in problems({"crm": "mrr"})]


def test_a_trait_is_a_number_or_a_text_of_somebody() -> None:
    assert ["is a time, and a trait is a number or a text"] == [m for m, _, _ in problems({"a": "created_at"})]
    assert ["says nothing about anybody"] == [m for m, _, _ in problems({"a": "5 + 3"})]


def test_a_misspelt_trait_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean lead_score"):
        definitions({"s": "lead_scor > 5"}, traits={"lead_score": "mrr"})


def test_towers_of_traits_are_refused_not_computed() -> None:
    """Each names two others, so that written out they would fill the disk; and a deep one would fill the stack."""
    tower = {"t0": "mrr", "t1": "t0 + 1"} | {f"t{n}": f"t{n - 1} + t{n - 2}" for n in range(2, 40)}
    began = time.process_time()
    assert any("is made of more than" in message for message, _, _ in problems(tower))
    deep = {"t0": "mrr"} | {f"t{n}": f"t{n - 1}" + " + 1" * 35 for n in range(1, 40)}
    assert any("is made deeper than" in message for message, _, _ in problems(deep))
    assert time.process_time() - began < 5


# --- shown -----------------------------------------------------------------------------------------------------------


def test_a_person_is_shown_with_their_traits(shared: Store) -> None:
    """Those that hang on others too; whole numbers without a point; a missing one is None."""
    busy(0, 2, 4).write(shared)
    traits = {"score": '10 * count("Order")', "best": "percentile(score)", "tier": '"x" if score > 15 else country'}
    defined = definitions({}, traits=traits)
    assert {"score": 20, "best": 50, "tier": "x"} == of_person(shared, defined, 2, AS_OF)
    assert {"score": 0, "best": 0, "tier": None} == of_person(shared, defined, 1, AS_OF)


def test_traits_are_told_with_how_many_have_them(shared: Store) -> None:
    busy(0, 2, 2, 4).write(shared)
    defined = definitions({}, traits={"share": '8 / count("Order")', "never": "nps"})
    assert {"share": (0.75, [4, 2]), "never": (0.0, [])} == of_everybody(shared, defined, AS_OF, 3)


def test_the_streams_of_the_world_are_known() -> None:
    assert set(STREAMS) == {s.text for s in definitions({}).vocabulary.streams}


def test_a_trait_is_computed_once_for_all_who_ask(shared: Store) -> None:
    """Five thresholds, another trait and a rank: its events are read once, and nothing is left of it afterwards."""
    busy(0, 1, 2, 3).write(shared)
    asked: list[str] = []
    segments = {f"s{n}": f"score >= {n}" for n in range(5)} | {"r": "percentile(score) >= 50", "t": "twice > 3"}
    defined = definitions(segments, traits={"score": 'count("Order")', "twice": "2 * score"})
    shared.conn.set_trace_callback(asked.append)
    try:
        found = evaluate(shared, defined, as_of=AS_OF, reuse=False)
    finally:
        shared.conn.set_trace_callback(None)

    assert [4, 3, 2, 1, 0] == [len(found.sets[f"segment.s{n}"]) for n in range(5)]
    assert [[3, 4], [3, 4]] == [list(found.sets[f"segment.{name}"]) for name in "rt"]
    assert 1 == len([sql for sql in asked if "count(*) AS v FROM events" in sql])
    assert [] == shared.conn.execute("SELECT name FROM sqlite_temp_master WHERE name LIKE 'trait%'").fetchall()


def test_a_value_of_too_many_values_fails_alone_with_the_reason(shared: Store) -> None:
    busy(1).write(shared)
    rules = tuple(Rule(1, each=f'count("Order", last="{n}d")') for n in range(1, 61))
    defined = definitions({"s": "it > 0", "t": 'did("Order")'}, traits={"it": Trait("it", rules=rules, place=PLACE)})
    found = evaluate(shared, defined, as_of=AS_OF, reuse=False)
    assert {"segment.s"} == set(found.failed)
    assert "more than 50 values" in found.failed["segment.s"]
    assert [1] == list(found.sets["segment.t"])
