"""What was found: scores, the ledger with its sentences ("slower"), merits, reports.

The judge runs models and scores them, the ledger has a row for each stage of a run. Uses recipes,
nn and what is below them.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
