"""How things look on a terminal: plans, ledgers, tables, progress, numbers in words.

Nothing but the command line uses Rich, or this.
"""
