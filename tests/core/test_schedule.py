"""When a schedule is due, by the usual reading of cron."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.config.model import Cron, Every
from core.service.schedule import check_cron, due_after

STOCKHOLM = ZoneInfo("Europe/Stockholm")
FRIDAY = datetime(2026, 1, 16, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/15 * * * *", datetime(2026, 1, 16, 12, 15, tzinfo=UTC)),
        ("0 12 * * *", datetime(2026, 1, 17, 12, 0, tzinfo=UTC)),
        ("0 6 * * 0", datetime(2026, 1, 18, 6, 0, tzinfo=UTC)),
        ("0 6 * * 7", datetime(2026, 1, 18, 6, 0, tzinfo=UTC)),
        ("0 6 * * 1", datetime(2026, 1, 19, 6, 0, tzinfo=UTC)),
        ("0 6 * * 1-5", datetime(2026, 1, 19, 6, 0, tzinfo=UTC)),
        ("0 6 * * 5-7", datetime(2026, 1, 17, 6, 0, tzinfo=UTC)),
        ("0 6 * * */2", datetime(2026, 1, 17, 6, 0, tzinfo=UTC)),
        ("0 6 * * sat", datetime(2026, 1, 17, 6, 0, tzinfo=UTC)),
        ("0 6 * FEB Mon-Wed", datetime(2026, 2, 2, 6, 0, tzinfo=UTC)),
        ("0 6 20 * 0", datetime(2026, 1, 18, 6, 0, tzinfo=UTC)),  # either day field is enough
        ("0 6 17 * 1", datetime(2026, 1, 17, 6, 0, tzinfo=UTC)),
        ("0 6 29 2 *", datetime(2028, 2, 29, 6, 0, tzinfo=UTC)),
    ],
)
def test_cron_is_the_usual_one(text: str, expected: datetime) -> None:
    """0 and 7 are Sunday; where both day fields say something either is enough; the next time is later than the given one."""
    assert expected == due_after(Cron(text), FRIDAY, ZoneInfo("UTC"))


def test_cron_reads_the_clock_of_the_workspace() -> None:
    """Six in Stockholm is five in winter and four in summer."""
    winter = due_after(Cron("0 6 * * *"), datetime(2026, 1, 1, tzinfo=UTC), STOCKHOLM)
    summer = due_after(Cron("0 6 * * *"), datetime(2026, 7, 1, tzinfo=UTC), STOCKHOLM)

    assert (5, 4) == (winter.hour, summer.hour)
    assert UTC is winter.tzinfo


def test_a_distance_is_from_the_last_time() -> None:
    """Not from any fixed beginning."""
    assert FRIDAY + timedelta(minutes=15) == due_after(Every(timedelta(minutes=15)), FRIDAY, STOCKHOLM)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * *", "has 4 fields"),
        ("60 * * * *", "60"),
        ("* 24 * * *", "24"),
        ("* * * * 8", "no weekday"),
        ("* * * * 5-2", "no weekday"),
        ("* * last * *", "'last' is no day of the month"),
        ("x * * * *", "'x' is no minute"),
        ("* * * * mon/2x", "no weekday"),
        ("0 0 30 2 *", "never comes"),
        ("*/0 * * * *", r"\*/0"),
    ],
)
def test_what_is_no_cron(text: str, said: str) -> None:
    """Each is told apart from a schedule, and why."""
    with pytest.raises(ValueError, match=said):
        check_cron(text)
