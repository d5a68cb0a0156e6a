"""
What would be sent, and what is held: read from the store and the destination, decided in pure functions.

    plan       what a plan is               guards, sizes  what is held, and why
    draft      fills it                     gate           what is let through
    holding    what is held, written down
    case       what it is made of           newcomers      who can be added, and as whom
    changes    who is not as they were      approve        what a person lets through
    leavers    who is to be removed         permission     who must not be added
    delay      `grace` and `min_stay`       only           one person alone
    effects    what each member would see   cost           requests and time
    document   a plan that was kept         apply          and is carried out
"""
