"""How a model is trained: the training loop, losses, teachers, and zeros and shared values kept.

Uses graph, and what a recipe says of training.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
