"""The .tflite file that a model file holds, packed or not."""

from __future__ import annotations

from pathlib import Path

from edgeshrink.errors import ModelError
from edgeshrink.tflite import esz
from edgeshrink.tflite.esz.container import ZLIB

SUFFIX = ".esz"


def tflite_bytes(path: Path) -> bytes:
    """Return the bytes of a .tflite file, or those that an .esz file holds.

    Raises:
        ModelError: the file cannot be read, or is a damaged packed file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    return unpacked(data) if is_packed(data, path) else data


def is_packed(data: bytes, path: Path) -> bool:
    """Return whether these bytes of a file are packed; a plain zlib stream only by its name."""
    return esz.is_packed(data) or (path.suffix == SUFFIX and data[:1] == bytes((ZLIB,)))


def unpacked(data: bytes) -> bytes:
    """Return the .tflite file that the bytes of an .esz file hold.

    Raises:
        ModelError: the bytes are damaged, or no .esz file.
    """
    try:
        return esz.unpack(data)
    except esz.Broken as error:
        raise ModelError(
            f"the packed file is damaged: {error}",
            hint="copy it again, or pack the .tflite again with `edgeshrink pack`",
        ) from error


def unpacker() -> dict[str, bytes]:
    """Return the modules of the package that unpacks, by file name; Python 3.8 and numpy run it."""
    return {path.name: path.read_bytes() for path in Path(esz.__file__).parent.glob("*.py")}
