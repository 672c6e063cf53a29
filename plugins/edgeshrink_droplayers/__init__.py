"""Dropping layers: a shallower graph."""
