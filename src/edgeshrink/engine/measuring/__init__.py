"""Models timed and run on many devices at once, and proof that their outputs are right.

Uses no other part of the engine.
"""
