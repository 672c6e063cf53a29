"""Files that are written whole or not at all: every file of ours is written here.

A file is written under a hidden name beside its own, which tells this machine and this process, so
that processes do not meet there; it gets its own name when it is whole. What a killed process left
under such a name is removed by the next one that writes that file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from edgeshrink.errors import EdgeshrinkError
from edgeshrink.models.write_faults import reached

# What a file system answers where it takes no more, or nothing at all.
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
BLOCK = 1 << 20
PREFIX = ".edgeshrink-"  # of the names under which files are written

_numbers = itertools.count()


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        OSError: it cannot be written; `filename` is `path`, and `needed` how many bytes it takes.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all; raises as `write_text` does."""
    with write_stream(path, needed=len(data)) as stream:
        stream.write(data)


def copy_file(source: Path, path: Path) -> None:
    """Copy a file's bytes so that the copy is there whole or not at all; raises as `write_text`."""
    with source.open("rb") as given, write_stream(path, needed=source.stat().st_size) as stream:
        shutil.copyfileobj(given, stream, BLOCK)


@contextlib.contextmanager
def write_stream(path: Path, *, needed: int = 0, durable: bool = True) -> Iterator[IO[bytes]]:
    """Yield a stream; what was written to it is the file, once the block has ended well.

    Args:
        path: the file; one that is there is replaced.
        needed: how many bytes it will take, for the error; 0 where that is not known.
        durable: waits until the disk has it; not wanted for files that go with their process.

    Raises:
        OSError: as `write_text` does.
    """
    with write_part(path, needed=needed, durable=durable) as part, part.open("w+b") as stream:
        yield stream


@contextlib.contextmanager
def write_part(path: Path, *, needed: int = 0, durable: bool = True) -> Iterator[Path]:
    """Yield the name under which others write a file or a folder, which then gets its own name.

    It ends as `path` does, since writers look at that. What is there is replaced; a folder is not
    replaced at once, so that a kill may leave none.

    Args and errors are those of `write_stream`; what TensorFlow and HDF5 say of a full disk in
    errors of their own is told as an `OSError` too.
    """
    remove_leftovers(path)
    part = path.with_name(f"{_stem(path)}{os.getpid()}-{next(_numbers)}.part{path.suffix}")
    try:
        reached(path, part, "before")
        yield part
        reached(path, part, "middle")
        if durable and part.is_file():
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
        if path.is_dir():
            remove(path)
        part.replace(path)
        reached(path, part, "after")
    except Exception as error:
        with contextlib.suppress(OSError):
            remove(part)
        if number := _refusal(error, part):
            raise refused(number, path, needed) from error
        raise
    except BaseException:  # interrupted
        with contextlib.suppress(OSError):
            remove(part)
        raise


def refused(number: int, path: Path, needed: int = 0) -> OSError:
    """Return the error of a file that cannot be written, with what it needs in `needed`."""
    error: Any = OSError(number, os.strerror(number), str(path))
    error.needed = needed
    found: OSError = error
    return found


def _refusal(error: Exception, part: Path) -> int:
    """Return the number of what the file system refused, 0 if that is not what went wrong.

    HDF5 and TensorFlow tell it in the text alone; an error of another file is not about this one.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.filename in (None, str(part)) else 0
    text = "" if isinstance(error, EdgeshrinkError) else str(error)
    if found := re.search(r"\berrno = (\d+)", text):
        return int(found[1])
    return next((number for number in REFUSALS if os.strerror(number) in text), 0)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove what processes of this machine that are gone began to write as `path`."""
    with contextlib.suppress(OSError):
        for part in path.parent.glob(f"{_stem(path)}*"):
            writer = re.match(r"\d+", part.name.removeprefix(_stem(path)))
            if writer and not _alive(int(writer[0])):
                remove(part)


def _stem(path: Path) -> str:
    """Return how the names begin under which this machine writes a file."""
    names = f"{path.name}\n{platform.node()}\n"
    return f"{PREFIX}{hashlib.sha256(names.encode()).hexdigest()[:16]}-"


def _alive(process: int) -> bool:
    if os.name != "posix":  # elsewhere asking may end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
