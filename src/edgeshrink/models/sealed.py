"""Files that are read back by a later run: each holds its own digest, and is whole or missing.

JSON has the digest under the key `seal`; arrays, an .npz, have it behind the archive's end, where
readers of .npz files do not look.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.models.writing import PREFIX, remove, write_stream, write_text

if TYPE_CHECKING:
    import numpy as np

SEAL = "seal"
NAMED = re.compile(r"[0-9a-f]{24}\.(npz|json)")
DIGEST_BYTES = hashlib.sha256().digest_size


def write_sealed(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON object with its digest.

    Raises:
        OSError: as `write_text` does.
    """
    plain = json.loads(json.dumps(dict(document)))
    write_text(path, json.dumps({**plain, SEAL: _digest(plain)}, indent=1) + "\n")


def read_sealed(path: Path) -> dict[str, Any] | None:
    """Return a JSON object without its digest; None where it is missing or not whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.pop(SEAL, None) != _digest(found):
            return None
    except (OSError, ValueError, RecursionError):
        return None
    return found


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write arrays by name, whatever the names are; raises as `write_text` does."""
    import numpy as np

    with write_stream(path, needed=sum(a.nbytes for a in arrays.values())) as stream:
        with zipfile.ZipFile(stream, "w") as archive:  # numpy.savez takes keywords alone
            for name, values in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(values), allow_pickle=False)
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]
        stream.seek(0, os.SEEK_END)
        stream.write(digest)


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]] | None:
    """Return what `write_arrays` wrote; None where it is missing or not whole."""
    import numpy as np

    if not is_sealed(path):
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def is_sealed(path: Path) -> bool:
    """Tell whether a file, JSON or arrays, is there as it was written."""
    if path.suffix == ".json":
        return read_sealed(path) is not None
    try:
        rest, digest = path.stat().st_size - DIGEST_BYTES, hashlib.sha256()
        with path.open("rb") as stream:
            while rest > 0 and (block := stream.read(min(rest, 1 << 20))):
                digest.update(block)
                rest -= len(block)
            return rest == 0 and stream.read() == digest.digest()
    except OSError:
        return False


def mend(folder: Path, told: Callable[[Path], Any]) -> None:
    """Remove what is named by a digest below a folder and is not whole, and what kills left there.

    Args:
        folder: of a cache; it may not exist, or be a file, which is removed.
        told: called with each path that was damaged.
    """
    if folder.exists() and not folder.is_dir():
        remove(folder)
        told(folder)
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(PREFIX):
            remove(path)
        elif NAMED.fullmatch(path.name) and not is_sealed(path):
            remove(path)
            told(path)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hex.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unchanged(folder: Path, files: Mapping[str, str]) -> bool:
    """Tell whether files below a folder still have these digests of `file_digest`.

    Args:
        folder: where they are.
        files: digests by path in the folder; a path that leads out of it counts as changed.
    """
    try:
        return all(
            not Path(name).is_absolute()
            and ".." not in Path(name).parts
            and file_digest(folder / name) == digest
            for name, digest in files.items()
        )
    except (OSError, ValueError):  # a null byte in a name
        return False


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
