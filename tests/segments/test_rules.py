"""Every rule of the language that holds everywhere, each by its name, on people small enough to see."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from smallworld import AS_OF, World, ago, definitions, vocabulary

from core.config.model import Partition, Place, Segment
from core.segments.evaluate import Evaluation, evaluate
from core.store import Store

PLACE = Place("tagalong.toml", 7, "segments")


def members(store: Store, world: World, text: str, **options: Any) -> list[int]:
    """Return who is in the segment *text*."""
    world.write(store)
    as_of = options.pop("as_of", AS_OF)
    return list(evaluate(store, definitions({"s": text}, **options), as_of=as_of).sets["segment.s"])


def evaluated(store: Store, world: World, segments: dict[str, Any], **options: Any) -> Evaluation:
    world.write(store)
    return evaluate(store, definitions(segments, **options), as_of=AS_OF)


def test_universe_is_live_profiles_with_an_email_or_a_user_id(shared: Store) -> None:
    """Deleted and anonymous profiles are outside, also of a complement; `anonymous = true` widens it to the live ones."""
    world = World()
    named, user = world.person(country="SE"), world.person(email=None, user_id="u2")
    nobody, _gone = world.person(email=None), world.person(live=0)
    wide = Segment("wide", 'not did("Order")', place=PLACE, anonymous=True)

    found = evaluated(shared, world, {"all": 'not did("Order")', "wide": wide, "not_se": 'country != "SE"'})

    assert [named, user] == list(found.sets["segment.all"])
    assert [named, user, nobody] == list(found.sets["segment.wide"])
    assert [user] == list(found.sets["segment.not_se"])
    assert [named, user] == list(found.universe)


def test_one_clock_rolling_windows_are_hours_start_exclusive_end_inclusive(shared: Store) -> None:
    """720 hours ago sharp is out, a microsecond later is in, now is in, a microsecond ahead is never seen."""
    world = World()
    times = {"start": ago(days=30), "just in": ago(days=30) + 1, "now": ago(), "ahead": ago() + 1}
    for at in times.values():
        world.event(world.person(created_at=at), "Order", at)

    assert [2, 3] == members(shared, world, 'did("Order", last="30d")')
    assert [2, 3] == members(shared, world, 'within_last(created_at, "30d")')
    assert [1, 2, 3] == members(shared, world, 'did("Order")')
    assert [1] == members(shared, world, 'more_than_ago(created_at, "30d")')
    assert [4] == members(shared, world, 'within_next(created_at, "1h")')
    assert [2] == members(shared, world, 'between_ago(created_at, "30d", "1d")')


def test_calendar_words_are_calendar_in_the_zone(shared: Store) -> None:
    """A date is midnight in the segment's zone: 23:00 UTC the day before in Stockholm's winter, 22:00 in its summer."""
    world = World()
    winter = world.person(created_at=ago(days=28) - (10 * 3600 + 1800) * 10**6)  # 2 March 2026, 23:00 UTC
    early = world.person(created_at=world.profiles[winter - 1]["created_at"] - 1)

    assert [winter] == members(shared, world, 'created_at >= date("2026-03-02")')
    assert [early] == members(shared, world, 'created_at < date("2026-03-02")')


def test_days_active_counts_local_days_across_the_change_of_clocks(shared: Store) -> None:
    """22:30 and 23:30 UTC on 28 March are one day apart before the change; on 29 March 21:59 and 22:01 are."""
    world = World()
    one, two = world.person(), world.person()
    midnight = ago(hours=9, minutes=30)  # 30 March 00:00 UTC, 02:00 in Stockholm
    hour = 3600 * 10**6
    for offset in (-24.5, -25.5):  # 28 March 23:30 and 22:30 UTC: the 29th 00:30 and the 28th 23:30 in winter time
        world.event(two, "Order", midnight + int(offset * hour))
    for offset in (-3, -2.5):  # 29 March 21:00 and 21:30 UTC: 23:00 and 23:30 in summer time
        world.event(one, "Order", midnight + int(offset * hour))

    assert [one] == members(shared, world, 'days_active("Order") == 1')
    assert [two] == members(shared, world, 'days_active("Order") == 2')


def test_a_comparison_with_a_missing_value_is_false_and_its_complements_are_true(shared: Store) -> None:
    """Who has no country is neither in it nor before it, and is in both `!=` and `not`."""
    world = World()
    swede, dane, unknown = world.person(country="SE"), world.person(country="DK"), world.person()

    assert [swede] == members(shared, world, 'country == "SE"')
    assert [dane, unknown] == members(shared, world, 'country != "SE"')
    assert [dane, unknown] == members(shared, world, 'not country == "SE"')
    assert [unknown] == members(shared, world, 'country not in ["SE", "DK"]')
    assert [unknown] == members(shared, world, "missing(country)")
    assert [] == members(shared, world, "mrr < 5")
    assert [swede, dane, unknown] == members(shared, world, "not mrr < 5")


def test_has_not_purchased_includes_people_with_no_events_at_all(shared: Store) -> None:
    world = World()
    buyer, visitor, silent = world.person(), world.person(), world.person()
    world.event(buyer, "Order", ago(days=1))
    world.event(visitor, "Page Viewed", ago(days=1))

    assert [visitor, silent] == members(shared, world, 'not did("Order")')
    assert [visitor, silent] == members(shared, world, 'count("Order") == 0')
    assert [visitor, silent] == members(shared, world, 'count("Order") < 1')
    assert [buyer, visitor, silent] == members(shared, world, 'sum("Order", "amount") < 1')
    assert [] == members(shared, world, 'max("Order", "amount") < 1')


def test_an_event_that_was_never_sent_is_zero(shared: Store) -> None:
    world = World()
    world.person()
    assert [1] == members(shared, world, 'count("Never Sent") == 0 and not did("Never Sent")')


def test_counts_are_of_distinct_events(shared: Store) -> None:
    """Two events at one moment are two; the same dedupe id cannot be there twice."""
    world = World()
    person = world.person()
    world.event(person, "Order", ago(days=1))
    world.event(person, "Order", ago(days=1))

    assert [person] == members(shared, world, 'count("Order") == 2')
    with pytest.raises(Exception, match="UNIQUE"), shared.atomic() as conn:
        conn.execute("INSERT INTO events (stream_id, key, name_id, time) SELECT stream_id, key, name_id, time FROM events")


def test_a_source_field_matches_if_any_record_matches(shared: Store) -> None:
    """One record must satisfy a whole chain; a deleted record counts for nothing; `!=` is the complement."""
    world = World()
    both, wide, gone = world.person(), world.person(), world.person()
    world.contacts = [
        {"profile_id": both, "stage": "lead", "score": 5},
        {"profile_id": both, "stage": "customer", "score": 50},
        {"profile_id": wide, "stage": "lead", "score": 0},
        {"profile_id": wide, "score": 10},
        {"profile_id": gone, "stage": "customer", "score": 5, "deleted_at": 1},
    ]

    assert [both] == members(shared, world, 'crm.stage == "customer"')
    assert [wide, gone] == members(shared, world, 'crm.stage != "customer"')
    assert [both] == members(shared, world, "1 < crm.score < 9")
    assert [both, wide] == members(shared, world, "1 < crm.score and crm.score < 9")


def test_errors_never_ask_for_what_no_configured_stream_can_feed() -> None:
    """`paying` without a billing stream is an error at load, and so on for each family."""
    from core.errors import ConfigError

    words = vocabulary()
    bare = type(words)(tuple(s for s in words.streams if s.text == "crm.companies"))
    for text in ("paying", "ltv > 1", "nps > 8", 'did("Order")', 'answered("NPS")', 'country == "SE"'):
        with pytest.raises(ConfigError, match="no configured stream"):
            definitions({"s": text}, words=bare)


def test_money_is_spoken_of_in_major_units_of_the_workspaces_currency(shared: Store) -> None:
    """MRR converts at the run's clock, payments on their own day; without a rate the value is missing, with a warning."""
    world = World()
    euro, krona, pound = world.person(), world.person(), world.person()
    for person, currency in ((euro, "EUR"), (krona, "SEK"), (pound, "GBP")):
        world.subscriptions.append({"profile_id": person, "status": "active", "mrr": 10_000, "currency": currency})
    world.payments.append({"profile_id": krona, "amount": 10_000, "currency": "SEK", "paid_at": ago(days=40)})  # February: 0.09
    world.payments.append({"profile_id": krona, "amount": 10_000, "currency": "SEK", "paid_at": ago(days=1)})  # March: 0.1

    found = evaluated(
        shared, world, {"rich": "mrr == 100", "ten": "mrr == 10 and arr == 120", "none": "missing(mrr)", "ltv": "ltv == 19"}
    )

    assert [[euro], [krona], [pound], [krona]] == [list(bits) for bits in found.sets.values()]
    assert ["no rate for GBP: set [workspace.rates]"] == found.warnings["segment.rich"]
    assert [euro, krona, pound] == members(shared, world, "paying")  # whether somebody pays needs no rate


def test_billing_is_of_the_company_where_there_is_one(shared: Store) -> None:
    """A colleague pays too; who has no company pays alone; `billing_of = "person"` asks each for their own."""
    world = World(companies=[{"id": 1}, {"id": 2}])
    payer, colleague = world.person(company_id=1), world.person(company_id=1)
    alone, other = world.person(), world.person(company_id=2)
    world.subscriptions = [
        {"profile_id": payer, "company_id": 1, "status": "active", "mrr": 100, "plan": "pro"},
        {"profile_id": alone, "status": "past_due", "mrr": 100, "plan": "pro"},
        {"profile_id": other, "status": "active", "mrr": 100},  # not the company's
    ]

    assert [payer, colleague, alone] == members(shared, world, "paying")
    assert [payer, alone, other] == members(shared, world, "paying", billing_of="person")
    assert [payer, colleague, alone] == members(shared, world, 'plan == "pro"')
    assert [alone] == members(shared, world, "past_due")


def test_an_old_cancelled_subscription_does_not_hide_the_one_in_force(shared: Store) -> None:
    world = World()
    person = world.person()
    world.subscriptions = [
        {"profile_id": person, "status": "canceled", "mrr": 0, "plan": "old", "started_at": ago(days=1)},
        {"profile_id": person, "status": "active", "mrr": 900, "plan": "new", "started_at": ago(days=99)},
    ]
    assert [person] == members(shared, world, 'plan == "new" and subscription_status == "active" and mrr == 9')


def test_a_multiple_choice_matches_any_label_and_the_latest_answer_counts(shared: Store) -> None:
    world = World()
    person = world.person()
    answer = {"profile_id": person, "survey": "Onboarding", "question": "role", "kind": "choice"}
    world.answers = [
        answer | {"choice": '["Student"]', "answered_at": ago(days=9)},
        answer | {"choice": '["Founder", "Developer"]', "answered_at": ago(days=2)},
    ]
    asked = 'answer("Onboarding", "role"'

    assert [person] == members(shared, world, f'{asked}) == "Founder" and {asked}) == "Developer"')
    assert [person] == members(shared, world, f'{asked}) != "Student"')
    assert [person] == members(shared, world, f'{asked}, any=True) == "Student"')
    assert [person] == members(shared, world, 'answered("Onboarding", last="3d")')
    assert [] == members(shared, world, 'answered("Onboarding", last="1d")')


def test_nps_is_the_latest_score_of_the_nps_question_only(shared: Store) -> None:
    world = World()
    person = world.person()
    for survey, question, score, days in (
        ("NPS", "Score", 3, 9),
        ("Q1", "How likely are you to recommend us?", 9, 5),
        ("CSAT", "Score", 1, 1),
    ):
        world.answers.append(
            {
                "profile_id": person,
                "survey": survey,
                "question": question,
                "kind": "score",
                "number": score,
                "answered_at": ago(days=days),
            }
        )
    assert [person] == members(shared, world, "nps == 9 and csat == 1")


def test_a_vendor_s_own_word_for_a_score_comes_before_names(shared: Store) -> None:
    """An NPS question in another language is one, and a score that measures something else is none, whatever it is called."""
    world = World()
    person = world.person()
    for at, (question, score, measure) in enumerate((("Hur troligt?", 9, "nps"), ("NPS", 2, "effort"), ("Nöjd?", 4, "csat"))):
        told = {"survey": "Vår", "question": question, "kind": "score", "number": score, "measure": measure}
        world.answers.append({"profile_id": person, "answered_at": ago(days=3 - at), **told})
    assert [person] == members(shared, world, "nps == 9 and csat == 4")


def test_a_partition_puts_everyone_into_the_first_group_that_matches(shared: Store) -> None:
    world = World()
    for score in (9, 7, 3, None):
        world.contacts.append({"profile_id": world.person(), "score": score})
    groups = {"high": "crm.score >= 9", "some": "crm.score >= 7", "low": "crm.score >= 0"}
    bare = Partition("bare", groups, place=PLACE)
    full = Partition("full", groups, place=PLACE, otherwise="rest")

    found = evaluated(shared, world, {"s": 'partition("full") in ["high", "rest"]'}, partitions={"bare": bare, "full": full})

    assert {"high": [1], "some": [2], "low": [3]} == {n.split(".")[2]: list(b) for n, b in found.sets.items() if ".bare." in n}
    assert [4] == list(found.sets["partition.full.rest"])
    assert [1, 4] == list(found.sets["segment.s"])


def test_exclude_is_kept_out_of_everything_but_itself(shared: Store) -> None:
    """Also where it is named by others, and where it names others itself."""
    world = World()
    staff, guest = world.person(email="me@staff.example.com"), world.person()
    segments = {
        "staff": 'segment("insiders")',
        "insiders": 'email.endswith("@staff.example.com")',
        "all": "exists(email)",
        "no": 'not segment("staff")',
    }

    found = evaluated(shared, world, segments, exclude="staff")

    assert {"staff": [staff], "insiders": [], "all": [guest], "no": [guest]} == {
        n.split(".")[1]: list(b) for n, b in found.sets.items()
    }


def test_countries_and_addresses_compare_normalised(shared: Store) -> None:
    world = World()
    person = world.person(country="SE", email="ann@example.com", language="sv")
    for text in ('country == "Sweden"', 'country in ["Sverige"]', 'language == "Swedish"', 'email == " Ann@Example.com "'):
        assert [person] == members(shared, world, text)


def test_texts_are_looked_into_without_case_unless_told(shared: Store) -> None:
    world = World()
    person = world.person(lifecycle_stage="ÄNGELHOLM Straße")
    for text in (
        '.contains("ängel")',
        '.startswith("äng")',
        '.endswith("STRASSE")',
        '.matches("^äng.*")',
        '.contains("ÄNGEL", case=True)',
    ):
        assert [person] == members(shared, world, f"lifecycle_stage{text}")
    for text in ('.contains("ängel", case=True)', '.matches("^äng", case=True)', '.startswith("ngel")'):
        assert [] == members(shared, world, f"lifecycle_stage{text}")


def test_property_filters_are_typed(shared: Store) -> None:
    """A text is no number whatever SQL's order of types says; `!=` inside where= includes events without the property."""
    world = World()
    text, number, none = world.person(), world.person(), world.person()
    world.event(text, "Order", ago(days=1), ms="12")
    world.event(number, "Order", ago(days=1), ms=12)
    world.event(none, "Order", ago(days=1))

    assert [number] == members(shared, world, 'did("Order", ms=12)')
    assert [number] == members(shared, world, 'did("Order", where=ms > 3)')
    assert [text] == members(shared, world, 'did("Order", ms="12")')
    assert [text, none] == members(shared, world, 'did("Order", where=ms != 12)')
    assert [text, number] == members(shared, world, 'did("Order", where=exists(ms))')


def test_a_source_taken_out_of_the_config_is_not_seen(shared: Store) -> None:
    world = World()
    web, app = world.person(), world.person()
    world.event(web, "Order", ago(days=1), "web.events")
    world.event(app, "Order", ago(days=1), "app.events")
    words = vocabulary()
    less = type(words)(tuple(s for s in words.streams if s.connection != "app"), events=words.events)

    assert [web, app] == members(shared, world, 'did("Order")')
    assert [web] == members(shared, world, 'did("Order")', words=less)
    assert [app] == members(shared, world, 'did("Order", source="app")')


def test_a_field_that_vanishes_or_changes_type_fails_its_own_segments_closed(shared: Store) -> None:
    """And what names them; the others go on. Under `exclude` everything fails."""
    world = World()
    world.contacts = [{"profile_id": world.person(), "stage": "lead", "score": 1}]
    segments = {
        "stage": 'crm.stage == "lead"',
        "named": 'not segment("stage")',
        "score": "crm.score > 0",
        "fine": "exists(email)",
    }
    defined = definitions(segments)
    world.write(shared)
    with shared.atomic() as conn:
        conn.execute("UPDATE catalogue SET missing_since = 1 WHERE field = 'stage'")
        conn.execute("UPDATE catalogue SET type = 'text', changed_at = 1 WHERE field = 'score'")

    found = evaluate(shared, defined, as_of=AS_OF)

    assert {"segment.fine"} == found.sets.keys()
    assert "crm.contacts.stage is no longer there" == found.failed["segment.stage"] == found.failed["segment.named"]
    assert "crm.contacts.score is now text, where number is compared" == found.failed["segment.score"]
    closed = evaluate(shared, definitions(segments, exclude="stage"), as_of=AS_OF)
    assert {} == closed.sets
    assert segments.keys() == {name.split(".")[1] for name in closed.failed}


def test_the_past_answers_from_history_and_lists_what_it_cannot_know(shared: Store) -> None:
    world = World()
    person = world.person(country="NO", created_at=ago(days=90))
    late = world.person(country="NO", created_at=ago(days=2))
    world.history = [
        ("profile", person, "country", "SE", ago(days=50)),
        ("profile", person, "country", "NO", ago(days=5)),
        ("profile", late, "country", "NO", ago(days=1)),
        ("subscription", 1, "status", "active", ago(days=50)),
        ("subscription", 1, "status", "canceled", ago(days=5)),
        ("subscription", 1, "mrr", 900, ago(days=50)),
    ]
    world.subscriptions = [{"profile_id": person, "status": "canceled", "mrr": 900, "started_at": ago(days=50)}]
    world.contacts = [{"profile_id": person, "stage": "lead"}]
    world.event(person, "Order", ago(days=3))
    world.write(shared)
    defined = definitions({"se": 'country == "SE"', "paying": "paying", "did": 'did("Order")', "stage": 'crm.stage == "lead"'})

    then = evaluate(shared, defined, as_of=AS_OF - timedelta(days=10))
    now = evaluate(shared, defined, as_of=AS_OF)

    assert {"se": [1], "paying": [1], "did": [], "stage": [1]} == {n.split(".")[1]: list(b) for n, b in then.sets.items()}
    assert {"se": [], "paying": [], "did": [1], "stage": [1]} == {n.split(".")[1]: list(b) for n, b in now.sets.items()}
    assert "crm.contacts.stage" in then.approximate["segment.stage"]
    assert {} == now.approximate


def test_an_evaluation_sees_one_state_of_the_store(shared: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write by another process between two leaves is not seen by the second."""
    from core.segments import evaluate as module

    world = World()
    world.person(country="SE")
    world.write(shared)
    whole = module.compile_leaf

    def write_between(leaf: Any, facts: Any) -> Any:
        with Store(shared.path) as other, other.atomic() as conn:
            conn.execute("UPDATE profiles SET country = 'NO'")
        return whole(leaf, facts)

    monkeypatch.setattr(module, "compile_leaf", write_between)
    found = evaluate(shared, definitions({"a": 'country == "SE"', "b": 'country == "NO"'}), as_of=AS_OF)

    assert [[1], []] == [list(bits) for bits in found.sets.values()]


def test_a_leaf_shared_by_segments_is_asked_once(shared: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.segments import evaluate as module

    asked: list[Any] = []
    whole = module.compile_leaf
    monkeypatch.setattr(module, "compile_leaf", lambda leaf, facts: asked.append(leaf) or whole(leaf, facts))
    world = World()
    world.person()
    evaluated(
        shared,
        world,
        {f"s{n}": f'count("Order",last="30d")>={3} and not did("Order") and exists(email) or nps > {n}' for n in range(5)},
    )

    assert 3 + 5 == len(asked) == len(set(asked))


def test_the_past_takes_the_last_change_before_it_and_an_end_that_came_later_as_not_yet_come(shared: Store) -> None:
    """Of two earlier values the later one counts; what is cancelled today but ended after that day was in force."""
    world = World()
    person = world.person(country="NO")
    for days, country in ((50, "SE"), (30, "DK"), (5, "NO")):
        world.history.append(("profile", person, "country", country, ago(days=days)))
    ended = {"status": "canceled", "mrr": 900, "started_at": ago(days=50), "ended_at": ago(days=5)}
    world.subscriptions = [{"profile_id": person} | ended]

    assert [person] == members(shared, world, 'country == "DK" and paying', as_of=AS_OF - timedelta(days=10))
    assert [person] == members(shared, world, 'country == "NO" and not paying')


def test_of_two_answers_at_one_moment_the_later_stored_counts(shared: Store) -> None:
    world = World()
    for number in (2, 9):
        world.answers.append(
            {
                "profile_id": 1,
                "survey": "NPS",
                "question": "Score",
                "kind": "score",
                "number": number,
                "answered_at": ago(days=1),
            }
        )
    assert [world.person()] == members(shared, world, "nps == 9")
