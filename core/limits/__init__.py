"""
How fast a connection may ask, over all processes.

    bucket   one limit of a vendor
    budget   all limits of a connection, and its pauses
    quota    what is left of the long ones
"""
