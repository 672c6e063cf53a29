"""Reads `.esz` files: a .tflite coded near its entropy, given back to the last bit.

Imports numpy alone and runs on Python 3.8, since devices unpack with it too; the format is told in
docs/reference/esz.md.
"""

from .arithmetic import Broken
from .container import MAGIC, is_packed, unpack

__all__ = ["MAGIC", "Broken", "is_packed", "unpack"]
