"""One run: its folder with the stages, so that it can be resumed, its models, and its samples.

Uses planning and measuring.
"""
