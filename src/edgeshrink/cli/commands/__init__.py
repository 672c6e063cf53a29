"""The commands, one a module; each is imported when it is asked for.

Imports display and everything below the command line.
"""
