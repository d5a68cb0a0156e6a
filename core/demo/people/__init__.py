"""
The made-up customers of Nordkart, a Nordic e-commerce platform, and the truth about them.

Nothing of the hub is imported in here: who belongs where is worked out from the people themselves, by other code than the code
under test, so that the two can be held against each other.
"""
