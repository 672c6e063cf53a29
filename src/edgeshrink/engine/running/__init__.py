"""One run: its folder with the stages, which are found again, its models, and its samples.

Uses planning and measuring.
"""
