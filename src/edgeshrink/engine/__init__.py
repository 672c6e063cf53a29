"""The only loops: `plan` tells what would be done, `compress` does it, `bench` measures.

planning tells mistakes, running makes stages, judging says what they are worth, measuring asks
devices, studies run many. Imports everything but the command line.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
