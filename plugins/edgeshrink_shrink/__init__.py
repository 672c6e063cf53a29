"""Shrinking: fewer channels, in a graph that is really smaller."""
