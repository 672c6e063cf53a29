"""Studies: a grid of runs, done by processes of their own, and the tables that come of it.

Uses the rest of the engine.
"""
