"""Arrays inside an .npz file, read only when their values are wanted."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError
from edgeshrink.models import swollen
from edgeshrink.samples.files.stored_array import StoredArray

if TYPE_CHECKING:
    import numpy as np

MOST_MEMBERS = 10_000
# What is raised on damaged archives: RuntimeError for those that are encrypted.
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, struct.error),
    *(NotImplementedError, lzma.LZMAError),
)
# What numpy raises on headers of .npy files that are damaged, beside ValueError.
NPY_ERRORS = (SyntaxError, TypeError, OverflowError, RecursionError, MemoryError, TokenError)
_AGAIN = "save it again with numpy.savez, or copy it again"


class Member:
    """One array of an .npz file: its header is read at once, its values when first indexed.

    Stored (uncompressed) members are read straight from the archive, row by row where they are
    large; compressed ones are unpacked once.
    """

    def __init__(self, path: Path, name: str) -> None:
        import numpy as np

        self.path, self.name = path, name
        with zipfile.ZipFile(path) as archive:
            self._info = archive.getinfo(name)
            with archive.open(self._info) as stream:
                version = np.lib.format.read_magic(stream)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                self.shape, self._fortran, self.dtype = read(stream)
                self._header_bytes = stream.tell()
        if self.dtype.hasobject:
            raise DataError(
                f"arrays must hold numbers; {name.removesuffix('.npy')} in {path.name} holds "
                f"Python objects",
                hint="save it again as an array of one shape and a numeric dtype",
            )
        promised = int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
        if promised != self._info.file_size - self._header_bytes:
            raise DataError(f"{name} in {path.name} is damaged: its size is not that of its shape")

    def __getitem__(self, rows: Any) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = self._values[rows]
        return found

    @cached_property
    def stored(self) -> bool:
        """Whether the values lie in the file as they are, and are read from there."""
        return self._info.compress_type == zipfile.ZIP_STORED and self._info.file_size > 0

    @cached_property
    def _values(self) -> np.ndarray[Any, Any] | StoredArray:
        import numpy as np

        if self.stored and 0 not in self.shape and self.shape:
            offset, shape = self._offset(), tuple(self.shape)
            return StoredArray(self.path, offset, shape, self.dtype, self._fortran)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self._info) as stream:
                return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            ValueError,
            *NPY_ERRORS,
        ) as error:
            raise DataError(
                f"{self.name} in {self.path.name} is truncated or damaged: {error}", hint=_AGAIN
            ) from error

    def _offset(self) -> int:
        """Return where the array's values begin in the archive."""
        with self.path.open("rb") as stream:
            stream.seek(self._info.header_offset)
            local = stream.read(30)
            name_bytes, extra_bytes = struct.unpack("<HH", local[26:30])
        return (
            self._info.header_offset + 30 + int(name_bytes) + int(extra_bytes) + self._header_bytes
        )


def open_npz(path: Path) -> dict[str, Member]:
    """Return the arrays of an .npz file by name.

    Raises:
        DataError: it is not an .npz file, is damaged, or holds Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".npy")]
            _check_sizes(archive, path)
        if not names:
            raise DataError(f"{path.name} is a zip file without arrays (.npy)", hint=_AGAIN)
        return {name.removesuffix(".npy"): Member(path, name) for name in names}
    except (*ZIP_ERRORS, *NPY_ERRORS) as error:
        raise DataError(f"{path.name} is no sound .npz file: {error}", hint=_AGAIN) from error


def _check_sizes(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive of more than it can honestly hold, or than memory can, before unpacking."""
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise DataError(
            f"{path.name} has {len(members):,} members; at most {MOST_MEMBERS:,} may be"
        )
    if why := swollen(members):
        raise DataError(
            f"{path.name} looks like a zip bomb: {why}",
            hint="numpy.savez stores arrays as they are, and they are read as they are needed",
        )
    packed = sum(m.file_size for m in members if m.compress_type != zipfile.ZIP_STORED)
    free = available_bytes()
    if free is not None and packed > free:
        raise DataError(
            f"{path.name} unpacks to {packed:,} bytes; {free:,} bytes of memory are free",
            hint="numpy.savez stores arrays as they are, and they are read as they are needed",
        )


def available_bytes() -> int | None:
    """Return how much memory can be had without swapping, where the system tells it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        told = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(told.split()[1]) << 10
    except (OSError, StopIteration, ValueError, IndexError):
        return None
