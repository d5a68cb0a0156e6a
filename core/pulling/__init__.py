"""
From the vendors' pages to the store: what is stale, what is asked for, how a pull ends.

    fill         the left end of the line       paging      vendors that go in circles
    pull         a stream, page by page         leave_out   people who were forgotten
    freshness    how old and whole it is        pull_report  what a pull tells of itself
    keep         what it leaves in the store    soundness  how whole it was when it was found out who is wanted
"""
