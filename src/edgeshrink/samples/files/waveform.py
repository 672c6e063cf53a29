"""A waveform: one .wav file as numbers.

Each function stands alone, on numpy: they are written into the `.infer.py` of a result whose data
is sound, so that a device reads as this program did. Python's own `wave` reads no float files,
and not all that name their format by a GUID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


def wav_header(stream: BinaryIO) -> tuple[int, int, int, int, int]:
    """Return what a .wav file says of itself; the stream is then at its first sample.

    Args:
        stream: at the beginning of the file.

    Returns:
        Format (1 for whole numbers, 3 for floats), channels, samples a second, bits, and how many
        bytes the samples take.

    Raises:
        ValueError: it is no .wav file, or a compressed one.
    """
    import struct

    start = stream.read(12)
    if start[:4] != b"RIFF" or start[8:] != b"WAVE":
        raise ValueError("it does not begin as a .wav file (RIFF … WAVE)")
    kind = channels = rate = bits = 0
    while len(head := stream.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            if not kind:
                raise ValueError("its format is not told before its samples")
            return kind, channels, rate, bits, size
        if name != b"fmt ":
            stream.seek(size + size % 2, 1)
            continue
        told = stream.read(size + size % 2) if size < 1000 else b""
        if len(told) < 16:
            raise ValueError("its format is damaged")
        kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", told[:16])
        if kind == 0xFFFE and len(told) >= 26:  # extensible: a GUID begins with the format
            (kind,) = struct.unpack("<H", told[24:26])
        known = (kind == 1 and bits in (8, 16, 24, 32)) or (kind == 3 and bits in (32, 64))
        if not known:
            raise ValueError(
                f"its samples are of format {kind} with {bits} bits, not PCM of 8, 16, 24 or 32 "
                "bits, or floats"
            )
        if not channels or not rate:
            raise ValueError(f"it says that it has {channels} channels at {rate} Hz")
    raise ValueError("it ends before its samples begin")


def waveform(file: str | Path | BinaryIO) -> tuple[np.ndarray, int]:
    """Return the samples of a .wav file, the mean of its channels, and how many a second are.

    Args:
        file: PCM of 8, 16, 24 or 32 bits, or floats of 32 or 64.

    Returns:
        `(samples,)` float32, −1 to 1 for PCM (floats as they are); samples a second.

    Raises:
        ValueError: it is no such file, is cut off, or holds NaN or infinity.
        OSError: it cannot be read.
    """
    import io
    from pathlib import Path

    import numpy as np

    stream = io.BytesIO(Path(file).read_bytes()) if isinstance(file, (str, Path)) else file
    kind, channels, rate, bits, size = wav_header(stream)
    found = stream.read(size)
    if len(found) < size:
        raise ValueError(f"it is cut off: {size} bytes of samples are told, {len(found)} are there")
    found = found[: size - size % (channels * bits // 8)]
    if kind == 3:
        values = np.frombuffer(found, f"<f{bits // 8}").astype("float32")
        if not np.isfinite(values).all():
            raise ValueError("it holds NaN or infinity")
    elif bits == 8:  # from 0 to 255
        values = (np.frombuffer(found, "u1").astype("float32") - 128) / 128
    elif bits == 24:
        low, middle, high = np.frombuffer(found, "u1").reshape(-1, 3).astype("int32").T
        values = (low | middle << 8 | high.astype("i1").astype("int32") << 16) / 2.0**23
    else:
        values = np.frombuffer(found, f"<i{bits // 8}") / 2.0 ** (bits - 1)
    return values.reshape(-1, channels).mean(axis=1).astype("float32"), rate


def clip(file: str | Path | BinaryIO, rate: int, length: int) -> np.ndarray:
    """Return a .wav file as samples of one number: cut, or padded with silence, at its end.

    Args:
        file: as `waveform` takes it.
        rate: samples a second that it must have.
        length: samples of the result.

    Returns:
        `(length,)` float32.

    Raises:
        ValueError: it cannot be read, or has another rate.
        OSError: it cannot be read.
    """
    import numpy as np

    values, own = waveform(file)
    if own != rate:
        raise ValueError(f"it has {own:,} samples a second, not {rate:,}")
    return np.pad(values[:length], (0, max(0, length - len(values))))
