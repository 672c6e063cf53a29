"""How things look on a terminal: plans, ledgers, tables, progress, numbers in words."""
