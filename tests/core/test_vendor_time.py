"""What time it is for a pull, and how far ours is from it."""

from __future__ import annotations

from datetime import timedelta

from core.http.vendor_time import VendorTime

DATE = {"date": "Mon, 02 Mar 2026 12:00:00 GMT"}


def test_a_clock_that_is_set_between_two_answers_of_one_second_is_noticed(clock) -> None:
    """A vendor says whole seconds, so that a whole pull may be answered in one of them."""
    time = VendorTime(clock, not_before=(clock() - timedelta(days=30)).date())
    time.heard(DATE)
    assert timedelta(0) == time.ahead
    clock.advance(timedelta(minutes=100))
    time.heard(DATE)
    assert timedelta(minutes=100) == time.ahead
    assert clock() - timedelta(minutes=100) == time.now()
