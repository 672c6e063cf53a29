"""Devices: profiles (TOML), what targets, runtimes and exporters must do, what is measured.

The targets and runtimes themselves are plugins: plugins/edgeshrink_targets reaches machines by ssh
and adb, plugins/edgeshrink_litert runs models on them; the engine asks several at once. Uses flag
and texts.
"""

from lazy_loader import attach_stub

# The names are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
