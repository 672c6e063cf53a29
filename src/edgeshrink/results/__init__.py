"""Results: the judge, the ledger it fills, and the reports that are made of both.

Imports recipes, nn and what is below them.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
