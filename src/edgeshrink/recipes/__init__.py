"""Recipes: what a method is, methods in their order, and studies, which are grids of recipes.

Where a recipe runs, and is resumed, is the run folder, in engine/running. Uses models, samples and
devices.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
