"""Jobs: what is done by processes of their own, one after another, each in a folder of its own.

Uses the rest of the engine but studies.
"""
