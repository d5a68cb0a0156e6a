"""
Forgetting somebody: asked for at every destination and source that has the means, taken out of the store, never let back.

`flow` is the line from left to right, `remove` and `erase` what is asked elsewhere, `certificate` what a person is told.
"""
