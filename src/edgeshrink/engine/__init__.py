"""What runs: `plan` checks a request, `compress`, `bench`, `study` and `sensitivity` carry it out.

planning finds mistakes before TensorFlow is loaded, running makes the stages of a run and keeps
them in its folder, judging says what stages are worth, measuring times models on many devices at
once, jobs are runs in processes of their own, studies run grids of them, workers ties processes
that import TensorFlow to those that do not. Uses everything but the command line.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
