"""The Python interface: functions on files and on objects, in the words of Python.

Uses the engine; the command line does not use it.
"""
