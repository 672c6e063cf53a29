"""Texts that come from outside or go there: read within bounds, checked, shown safely, as TOML.

Uses nothing but `edgeshrink.errors`.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
