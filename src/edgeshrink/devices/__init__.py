"""Devices: their profiles, the targets that reach them, the runtimes on them, what is measured."""
