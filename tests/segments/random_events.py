"""Random busy people and random conditions on their events: so dense that each word is true of some and false of some."""

from __future__ import annotations

from random import Random

from smallworld import World, ago

NAMES = ("Page Viewed", "Signed Up", "Order")
UNITS = ("day", "week", "month", "quarter", "year")
ZONES = (None, None, "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "nowhere")
_EDGES = (24 * 29, 24 * 7, 24, 9.5, 35, 34.5, 0)
"""Hours before the clock at which something begins or ends: the month, a week ago, midnights of the last two days."""


def busy_world(chance: Random, people: int) -> World:
    """Return people with up to twenty events each, many at the edges of windows, periods and days."""
    world = World()
    for _ in range(people):
        person = world.person(timezone=chance.choice(ZONES), created_at=_time(chance))
        for _ in range(chance.randrange(20)):
            values = {
                "path": chance.choice(("/a", "/b")),
                "ms": chance.choice((1, 2, 3, 4.5, 9, "x")),
                "at": chance.choice(("2026-03-29T23:30:00Z", "2026-03-01T02:00:00+09:00", "2026-02-01", "soon")),
            }
            kept = {name: value for name, value in values.items() if chance.random() < 0.8}
            world.event(person, chance.choice(NAMES), _time(chance), chance.choice(("web.events", "app.events")), **kept)
    return world


def _time(chance: Random) -> int:
    """Return a time of the last sixty days, sometimes of the day to come."""
    if chance.random() < 0.3:
        return ago(hours=chance.choice(_EDGES)) + chance.choice((-1, 0, 1))
    return ago(hours=chance.choice((chance.uniform(-24, 72), chance.uniform(0, 24 * 20), chance.uniform(0, 24 * 60))))


def window(chance: Random) -> str:
    """Return named arguments that say in which span, or nothing."""
    days = chance.choice((1, 3, 7, 14, 30))
    spans = (
        f', last="{days}d"',
        f', between_ago=("{days * 2}d", "{days}d")',
        ', since="2026-03-01"',
        f', until="2026-03-{chance.randrange(2, 31):02}"',
        f', during=this("{chance.choice(UNITS)}")',
        f', during=previous("{chance.choice(UNITS)}")',
        f', during=previous("month"), last="{days * 3}d"',
    )
    return chance.choice(spans) if chance.random() < 0.7 else ""


def passing(chance: Random) -> str:
    """Return named arguments that filter events, or nothing."""
    filters = (', path="/a"', ", ms=2", ", where=ms > 2", ", where=not (ms <= 2)", ', path=["/a", "/c"]', ', source="web"')
    return chance.choice(filters) if chance.random() < 0.5 else ""


def event_text(chance: Random) -> str:
    """Return one condition on events or times."""
    name, days, few = chance.choice(NAMES), chance.choice((1, 3, 7, 14)), chance.randrange(1, 4)
    events, of = f'"{name}"{passing(chance)}{window(chance)}', f'"{name}", "ms"{window(chance)}'
    time = chance.choice(("created_at", f"first_time({events})"))
    return chance.choice(
        (
            f"did({events})",
            f"last_event({events})",
            f'last_event("{name}", where=ms > {few}{window(chance)})',
            f"median({of}) {chance.choice(('>', '<=', '=='))} {chance.choice((1, 2, 2.5, 3))}",
            f'regularly("{name}", {few}, of={few + chance.randrange(3)}, every="{days}d"{passing(chance)}{window(chance)})',
            f'stopped("{name}", "{days}d"{passing(chance)}{window(chance)})',
            f'restarted("{name}", "{days}d"{passing(chance)})',
            f"days_active({events}) >= {few}",
            f"count({events}) > {few}",
            f'during({time}, this("{chance.choice(UNITS)}"))',
            f'during({time}, previous("{chance.choice(UNITS)}"))',
            f'{time} {chance.choice(("<", ">="))} date("2026-03-{chance.randrange(1, 31):02}")',
            f'did("{name}", where=during(at, this("{chance.choice(UNITS)}")))',
        )
    )


def moving_text(chance: Random) -> str:
    """Return one condition that time alone may make another: of days that are counted, windows, dates, filters that move."""
    since = f"days_since({chance.choice(_TIMES)})"
    other = f"days_since({chance.choice(_TIMES)})"
    value = chance.choice(
        (
            since, f"{since} / 2", f"{since} - {other}", f"3 - 2 * {since}", f"min({since}, 40)", f"round({since} / 7)",
            f"coalesce({since}, {other})", f"{since} * {other}", f"10 * did('Order', last='30d') - {since} / 30",
            f"(1 if {since} > 20 else 0)",
        )
    )  # fmt: skip
    moves = f'{chance.choice(("within_last", "more_than_ago", "within_next"))}(at, "{chance.choice((1, 2, 28))}d")'
    return chance.choice(
        (
            f"{value} {chance.choice(('<', '<=', '>', '>=', '==', '!='))} {chance.choice((-3, 0, 1, 7.5, 30, 50, 65))}",
            f"{value} {chance.choice(('<', '>='))} {chance.choice((20, 40, 60))}",
            f"20 < {since} <= 30",
            f'{chance.choice(("did", "last_event"))}("{chance.choice(NAMES)}", where={moves})',
            f'did("{chance.choice(NAMES)}", during=previous("{chance.choice(UNITS)}"))',
            event_text(chance),
        )
    )


_TIMES = ("created_at", 'last_time("Order")', 'first_time("Page Viewed", last="30d")', 'first_time("Signed Up")')
