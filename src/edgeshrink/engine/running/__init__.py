"""One run: its models, its samples, and the stages that are made one by one.

Imports planning and measuring.
"""
