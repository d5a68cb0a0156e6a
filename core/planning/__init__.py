"""
What would be sent, and what is held: read from the store and the destination, decided in pure functions.

    plan       what a plan is               guards, sizes  what is held, and why
    draft      fills it                     gate           what is let through
    case       what it is made of           holding        what is held, written down
    newcomers  who can be added, as whom    approve        what a person lets through
    changes    who is not as they were      permission     who must not be added
    leavers    who is to be removed         only           one person alone
    delay      `grace` and `min_stay`
    effects    what each member would see   cost           requests and time
    document   a plan that was kept         apply          and is carried out
"""
