"""Search: which recipes of a space are worth their bytes and milliseconds.

Uses the rest of the engine; what is tried, in what order, and what is kept of it lies here.
"""
