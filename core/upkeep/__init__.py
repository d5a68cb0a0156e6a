"""
A store over the years.

    backup   a copy while running     restored   a copy put back     prune   history let go of for its age
"""
