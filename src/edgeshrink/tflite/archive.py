"""The zip archive that may follow the flatbuffer in a .tflite: labels, vocabularies, licences."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence

from edgeshrink.tflite.reader import damaged

# What zipfile raises on archives that are damaged, encrypted, or packed in a way it lacks.
UNREADABLE = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    zlib.error,
)
MOST_BYTES = 64 << 20  # of all that an archive swells to

Entry = tuple[zipfile.ZipInfo, bytes]


def entries_of(data: bytes) -> list[Entry]:
    """Return what the archive behind a model holds; nothing where there is none.

    Args:
        data: the bytes of a .tflite file.

    Raises:
        ModelError: the archive is damaged, or swells to more than 64 MiB.
    """
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found, left = [], MOST_BYTES
            for entry in archive.infolist():
                with archive.open(entry) as stream:
                    content = stream.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise ValueError(f"the archive holds more than {MOST_BYTES >> 20} MiB")
                found.append((entry, content))
            return found
    except UNREADABLE as error:
        raise damaged(error) from error


def with_entries(flatbuffer: bytes, entries: Sequence[Entry]) -> bytes:
    """Return a flatbuffer with an archive behind it; without one where nothing is to be in it.

    Args:
        flatbuffer: of a model, nothing behind it.
        entries: are written anew, since an archive holds absolute places.
    """
    if not entries:
        return flatbuffer
    file = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(file, "a") as archive:
        for entry, content in entries:
            archive.writestr(entry, content, compress_type=entry.compress_type)
    return file.getvalue()


def stored(name: str, content: bytes) -> Entry:
    """Return a file as an entry that is not packed, as MediaPipe asks, and has no date of its own.

    Args:
        name: in the archive.
        content: of the file.
    """
    return zipfile.ZipInfo(name), content  # of 1980, so that equal models are equal files
