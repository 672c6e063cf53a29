"""Bounds on the weights that a file claims, before memory is taken for them."""

from __future__ import annotations

import contextlib
import io
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

from edgeshrink.errors import ModelError

# A dataset of HDF5 tells any size and holds nothing. Deflate cannot do better than 1:1032.
MOST_RATIO, FREE_BYTES = 1000, 16 << 20
MOST_SHARDS = 100  # of the gigabytes that Keras writes in each

# Beyond what is stored: the states of stateful layers, which no file holds; and where a
# configuration is a little off, Keras's message names the layer and both shapes.
SPARE_NUMBERS = 16 << 20
RESAVE = "save it again with model.save('model.keras')"


@contextlib.contextmanager
def weights_within(most_bytes: int, source: str) -> Iterator[None]:
    """Refuse weights that a file cannot hold, before memory is taken for them.

    Keras makes all weights that a configuration asks for, and reads the file afterwards: a file of
    a few kilobytes could ask for any size. A stored number takes at least a byte, so within this
    context no more of them are made than there are bytes, and some to spare.

    Args:
        most_bytes: of the stored weights.
        source: how messages name the model.

    Raises:
        ModelError: the configuration asks for more; the message tells the shape.
    """
    variable: Any = keras.Variable
    begin = variable.__init__
    asked = 0
    refusal: ModelError | None = None

    def counted(self: Any, initializer: Any, shape: Any = None, *args: Any, **kwargs: Any) -> None:
        nonlocal asked, refusal
        sizes = shape if isinstance(shape, tuple | list) else [shape]
        asked += math.prod(abs(int(size)) for size in sizes if isinstance(size, int | float))
        if asked > most_bytes + SPARE_NUMBERS:
            refusal = ModelError(
                f"a model's file must hold the weights that its configuration asks for; {source} "
                f"asks for a shape of {' x '.join(map(str, sizes))} and has {most_bytes:,} bytes "
                "of weights",
                hint=RESAVE,
            )
            raise refusal
        begin(self, initializer, shape, *args, **kwargs)

    variable.__init__ = counted
    try:
        yield
    except Exception:
        if refusal is None:
            raise
    finally:
        variable.__init__ = begin
    if refusal is not None:  # on its way Keras may have caught it, or made another error of it
        raise refusal


def stored_bytes(path: Path) -> int:
    """Return the bytes that the weights in a file unpack to; none of them is read.

    Args:
        path: a .keras archive or an .h5 file.

    Raises:
        ModelError: they are kept in another file, in too many, or unpack to over 1,000 times the
            file's size.
        OSError: it cannot be read.
        zipfile.BadZipFile: likewise.
    """
    if not zipfile.is_zipfile(path):
        with h5py.File(path, "r") as file:
            total = _datasets_bytes(file, path.name)
    else:
        total = 0
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".weights.h5")]
            if len(names) > MOST_SHARDS:
                raise ModelError(
                    f"a .keras archive may have {MOST_SHARDS} files of weights; {path.name} has "
                    f"{len(names):,}",
                    hint=RESAVE,
                )
            for name in names:
                with h5py.File(io.BytesIO(archive.read(name)), "r") as file:
                    total += _datasets_bytes(file, path.name)
    packed = path.stat().st_size
    if total > max(FREE_BYTES, MOST_RATIO * packed):
        raise ModelError(
            f"the weights in {path.name} would unpack to {total:,} bytes, over "
            f"{MOST_RATIO:,} times its size",
            hint=RESAVE,
        )
    return total


def _datasets_bytes(file: h5py.File, source: str) -> int:
    def foreign(name: str, link: Any) -> str | None:
        return name if isinstance(link, h5py.ExternalLink) else None

    found = file.visititems_links(foreign)
    sizes: list[int] = []

    def measure(name: str, item: Any) -> str | None:
        if not isinstance(item, h5py.Dataset):
            return None
        sizes.append(math.prod(item.shape or ()) * item.dtype.itemsize)
        return name if item.external or item.is_virtual else None

    found = found or file.visititems(measure)
    if found:
        raise ModelError(
            f"a model's weights must be in its own file; {source} takes {found!r} from another",
            hint=RESAVE,
        )
    return sum(sizes)
