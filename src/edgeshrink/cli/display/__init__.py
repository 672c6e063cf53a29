"""How things look on a terminal: plans, ledgers, tables, progress, numbers in words.

Nothing but the command line imports Rich, or this.
"""
