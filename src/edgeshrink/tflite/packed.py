"""The .tflite that a model file holds: as it is, or packed in an .esz file."""

from __future__ import annotations

from pathlib import Path

from edgeshrink.errors import ModelError
from edgeshrink.tflite import esz
from edgeshrink.tflite.esz.container import ZLIB

SUFFIX = ".esz"


def tflite_bytes(path: Path) -> bytes:
    """Return the bytes of a .tflite file, or of the .tflite that an .esz file holds.

    Args:
        path: the file; what is not packed is returned as it is, unchecked.

    Raises:
        ModelError: the file cannot be read, or is a damaged packed file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    return unpacked(data) if is_packed(data, path) else data


def is_packed(data: bytes, path: Path) -> bool:
    """Return whether a file is packed, as `pack` does it.

    A plain zlib stream is taken for one only if the file's name ends in .esz.

    Args:
        data: the file's bytes.
        path: the file's name.
    """
    return esz.is_packed(data) or (path.suffix == SUFFIX and data[:1] == bytes((ZLIB,)))


def unpacked(data: bytes) -> bytes:
    """Return the bytes of the .tflite that an .esz file holds.

    Args:
        data: the bytes of the .esz file.

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
    """Return the Python package that unpacks .esz files: the source of each module by file name.

    It needs Python 3.8 and numpy alone, so that devices can run it.
    """
    return {path.name: path.read_bytes() for path in Path(esz.__file__).parent.glob("*.py")}
