"""Machines with a POSIX shell, whatever client starts scripts there."""
