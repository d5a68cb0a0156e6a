"""
What is really there at a destination, and bringing the ledger and it together.

    drift      what differs                      repair   mends what is ours
    baseline   what was there before a sync      retire   a sync that ends
    orphans    audiences that no sync fills
"""
