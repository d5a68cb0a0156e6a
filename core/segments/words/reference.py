"""All entries of the reference page in their order, and those of the signs and methods, which are no called words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.segments.words import billing, company, events, fields, history, ranks, sequences, sets, surveys, time, traits
from core.segments.words.entry import Entry

BOOLEAN: Final = (
    Entry("and", "a and b", "Both are so.", 'paying and country == "SE"'),
    Entry("or", "a or b", "One of them is so, or both.", 'past_due or subscription_status == "unpaid"'),
    Entry("not", "not a", "Everybody of whom it is not so, people without any value among them.", 'not did("Order")'),
)
SIGNS: Final = (
    Entry("==", "a == b", "Equal; no case in addresses, countries and languages.", 'plan == "team"'),
    Entry("!=", "a != b", "The complement of `==`: people without a value are in it.", 'plan != "team"'),
    Entry("<", "a < b", "Less or earlier; of numbers and times, and false where a value is missing.", "mrr < 100"),
    Entry("<=", "a <= b", "The same or less; chains read as in mathematics.", "10 <= seats <= 50"),
    Entry(">", "a > b", "More or later.", 'created_at > date("2026-01-01")'),
    Entry(">=", "a >= b", "The same or more.", "nps >= 9"),
    Entry("in", "a in [b, c]", "Equal to one of the list.", 'country in ["SE", "NO"]'),
    Entry("not in", "a not in [b, c]", "The complement of `in`.", 'country not in ["SE", "NO"]'),
    Entry(
        ".contains",
        "x.contains(TEXT, case=True)",
        "The text is in it; no case unless it is asked for.",
        'job_title.contains("lead")',
    ),
    Entry(
        ".startswith", "x.startswith(TEXT, case=True)", "It begins so.", 'did("Page Viewed", where=path.startswith("/docs"))'
    ),
    Entry(".endswith", "x.endswith(TEXT, case=True)", "It ends so.", 'email.endswith("@example.com")'),
    Entry(
        ".matches",
        "x.matches(PATTERN, case=True)",
        "A regular expression (RE2, linear in time) is found in it.",
        r'email.matches("\\+test@")',
    ),
)
ARITHMETIC: Final = (
    Entry("+", "a + b", "Added; of texts, one after the other.", 'count("Order") + count("Page Viewed") > 5'),
    Entry("-", "a - b, -a", "Taken away.", 'days_since(created_at) - days_since(last_time("Order")) > 30'),
    Entry("*", "a * b", "Multiplied; something true counts as 1, else 0.", '10 * did("Signed Up") + 2 * count("Order") >= 14'),
    Entry("/", "a / b", "Divided; missing where b is 0.", "mrr / seats > 10"),
    Entry("if", "a if CONDITION else b", "One value or the other.", '(2 * mrr if plan_interval == "year" else mrr) > 100'),
)


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the page."""

    title: str
    says: str
    entries: tuple[Entry, ...]


WINDOWS: Final = (
    Entry("last", "last=DURATION", "The last so many hours, now included.", 'did("Order", last="30d")'),
    Entry(
        "between_ago",
        "between_ago=(DURATION, DURATION)",
        "After the longer time ago, up to the shorter.",
        'did("Order", between_ago=("60d", "30d"))',
    ),
    Entry("since", "since=DATE", "From a date on.", 'did("Order", since="2026-01-01")'),
    Entry("until", "until=DATE", "Before a date.", 'did("Order", since="2026-01-01", until="2026-02-01")'),
    Entry("during", "during=PERIOD", "In a period of the calendar.", 'did("Order", during=previous("month"))'),
)
FILTERS: Final = (
    Entry(
        "PROPERTY",
        "PROPERTY=VALUE",
        "The property equals it, or is one of a list; several must all hold.",
        'did("Order", plan="pro", currency=["EUR", "SEK"])',
    ),
    Entry(
        "where",
        "where=CONDITION",
        "Any condition in which bare names are properties of the event.",
        'did("Page Viewed", where=path.startswith("/pricing") and ms > 300)',
    ),
    Entry("source", "source=CONNECTION", "Only events of that connection.", 'did("Order", source="web")'),
)
SECTIONS: Final = (
    Section("True and false", "Conditions are put together by three words and parentheses.", BOOLEAN),
    Section("Comparing", "A comparison with a missing value is false.", SIGNS),
    Section("Fields", "What a person is, whichever tool said it, or what one tool says.", fields.ENTRIES),
    Section(
        "Time",
        "Rolling spans are hours; dates and periods are the calendar's, in the zone of the segment, "
        "else the workspace's; with `tz = \"person\"` in each person's own.",
        time.ENTRIES,
    ),
    Section(
        "Events",
        "`...` stands for windows and filters, which are told below. Events are counted once, however often they came.",
        (*events.ENTRIES, *sequences.ENTRIES),
    ),
    Section(
        "Windows", "When, for the words that take one; all time if none is given. Nothing after now is ever seen.", WINDOWS
    ),
    Section("Filters", "Which, for words of events.", FILTERS),
    Section(
        "Billing",
        "Of the person's company where there is one, else their own (`billing_of` in the workspace).",
        billing.ENTRIES,
    ),
    Section("Surveys", "The latest answer counts.", surveys.ENTRIES),
    Section("Sets", "People who are named elsewhere.", sets.ENTRIES),
    Section("Ranks and chance", "Among all people of the universe.", ranks.ENTRIES),
    Section("History", "What a field was before it became what it is; kept from the first pull on.", history.ENTRIES),
    Section("Company", "What the users of the person's company are or did.", company.ENTRIES),
    Section(
        "Computing",
        "Values made of values, in a trait ([traits.md](traits.md)) or wherever a value is compared; missing where a part is.",
        (*ARITHMETIC, *traits.ENTRIES),
    ),
)
