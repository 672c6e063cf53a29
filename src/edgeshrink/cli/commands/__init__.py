"""The commands, one a module; each is imported when it is asked for.

Uses display and everything below the command line.
"""
