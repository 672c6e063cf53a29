"""What models are run on, and how alike they answer: made-up samples, predictions, agreement.

Uses graph.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
