"""The Python interface: functions on files and on objects, in the words of Python.

Uses the engine, and the command line to tell progress.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
