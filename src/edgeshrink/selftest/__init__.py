"""What a device promises, checked one by one: files, commands, its runtime, right outputs.

Used by `edgeshrink devices selftest`. Uses the engine, which reaches the device.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
