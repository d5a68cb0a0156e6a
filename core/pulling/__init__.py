"""
From the vendors' pages to the store: what is stale, what is asked for, how a pull ends.

    fill         the left end of the line       paging        vendors that go in circles
    pull         a stream, page by page         leave_out     people who were forgotten
    keep         what it leaves in the store    pull_report   what a pull tells of itself
    freshness    how old and whole it is        soundness     how whole it was when it was found out who is wanted
"""
