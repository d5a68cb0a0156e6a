"""
`tagalong run`: what is due when, done on time, by a process that somebody can look after.

    daemon         the jobs                      reload   a config that changed
    daemon_state   which config is in force      health   what `status --check` judges
    schedule       cron lines and intervals      scheduler, timetable   when each is due
    notify         what systemd is told
"""
