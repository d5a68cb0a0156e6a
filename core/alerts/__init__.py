"""
Alerts: whoever looks after the hub is told when something begins to be wrong, and when it is over, and not in between.

    conditions   what is wrong now, read from the store        notices   what is told of it, in plain words
    judge        what of that one alert tells, and what it     slack, webhook   the same as a request
                 has told before                               courier   sends what waits, again and again for a day
    look         the change of state and the message of it,    watch     the daemon's thread
                 in one transaction                            runs      what a pull's or sync's runs say

Who is told is `[alerts.NAME]` (core/config/alerts.py); what was told is in the store (core/store/alerts.py), so that neither a
restart nor a second process tells it twice. A daemon that is dead tells nothing: `tagalong status --daemon` is for that.
"""
