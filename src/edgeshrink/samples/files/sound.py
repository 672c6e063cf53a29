"""Sound: .wav files of a folder as waveforms, read a batch at a time."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError
from edgeshrink.samples.files.tree import File, opened
from edgeshrink.samples.files.waveform import clip, wav_header, waveform

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = frozenset({".wav", ".wave"})
OTHERS = frozenset({".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wma"})
SHOWN = 3  # files named in a message, at most


class Clips:
    """Sound files as rows of a waveform each, of one length.

    Args:
        paths: the files, one a row.
        rate: samples a second that each of them has.
        length: samples of a row: longer files are cut, shorter ones padded with silence.
    """

    finite = True  # `waveform` refuses files with NaN when they are read

    def __init__(self, paths: Sequence[File], rate: int, length: int) -> None:
        self.paths, self.rate, self.length = tuple(paths), rate, length

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of clips, and of samples in each."""
        return len(self.paths), self.length

    @property
    def dtype(self) -> Any:
        """The type of the values, float32."""
        import numpy as np

        return np.dtype("float32")

    def __getitem__(self, rows: Any) -> np.ndarray[Any, Any]:
        import numpy as np

        if isinstance(rows, slice):
            rows = range(len(self.paths))[rows]
        out = np.empty((len(rows), self.length), np.float32)
        for position, row in enumerate(rows):
            path = self.paths[int(row)]
            with _refusing(path):
                out[position] = clip(opened(path), self.rate, self.length)
        return out

    @property
    def how(self) -> dict[str, str]:
        """How the files are read, for the report."""
        return {"sound": f"{self.rate} samples a second, {self.length} samples a clip"}

    def python_snippet(self) -> tuple[str, tuple[str, ...], str]:
        """Return Python that reads the file `file`, batch first, what it calls, and such files."""
        functions = tuple(inspect.getsource(one) for one in (wav_header, waveform, clip))
        return f"clip(file, {self.rate}, {self.length})[None]", functions, "a .wav file"


def clips(
    parts: Mapping[str, Sequence[File]], seconds: float | None
) -> tuple[dict[str, Clips], list[str]]:
    """Return the clips of each part, and notes on what was found.

    Every file's header is looked at, so that what cannot be used is told before any work.

    Args:
        parts: files by part.
        seconds: that each clip is cut or padded to; None where all are of one length.

    Raises:
        DataError: a file cannot be read or has no samples, or rates or lengths differ.
    """
    told = {file: _header(file) for files in parts.values() for file in files}
    empty = [file for file, (_, _, length) in told.items() if not length]
    if empty:
        raise DataError(
            f"a .wav file must have samples; there are none in {_named(empty)}",
            hint="leave it out, or record it again",
        )
    rates = Counter(rate for rate, _, _ in told.values())
    rate = rates.most_common(1)[0][0]
    if len(rates) > 1:
        raise DataError(
            f"all .wav files must have one rate; {rates[rate]:,} of {len(told):,} have {rate:,} "
            "samples a second, and not "
            + _listed({f: f"{own:,}" for f, (own, _, _) in told.items() if own != rate}),
            hint=f"convert them, as in `ffmpeg -i in.wav -ar {rate} out.wav`",
        )
    lengths = Counter(length for _, _, length in told.values())
    length = lengths.most_common(1)[0][0] if seconds is None else max(1, round(seconds * rate))
    others = {f: f"{own / rate:g} s" for f, (_, _, own) in told.items() if own != length}
    if others and seconds is None:
        raise DataError(
            f"all .wav files must be of one length; {lengths[length]:,} of {len(told):,} have "
            f"{length / rate:g} s, and not {_listed(others)}",
            hint=f"--clip-seconds {length / rate:g} cuts longer ones, and pads shorter ones with "
            "silence",
        )
    notes = []
    if others:
        notes.append(
            f"{len(others):,} of {len(told):,} .wav files are cut, or padded with silence, to "
            f"{length / rate:g} s"
        )
    mixed = sum(channels > 1 for _, channels, _ in told.values())
    if mixed:
        notes.append(
            f"{mixed:,} of {len(told):,} .wav files have several channels, which are mixed to one: "
            "their mean"
        )
    return {part: Clips(files, rate, length) for part, files in parts.items()}, notes


def _header(file: File) -> tuple[int, int, int]:
    """Return rate, channels and samples of a file; what is cut off is refused."""
    with _refusing(file):
        place = opened(file)
        with place.open("rb") if isinstance(place, Path) else place as stream:
            _, channels, rate, bits, size = wav_header(stream)
            here = stream.tell()
            left = stream.seek(0, 2) - here
        if left < size:
            raise ValueError(
                f"it is cut off: {size:,} bytes of samples are told, {left:,} are there"
            )
        return rate, channels, size // (channels * bits // 8)


@contextmanager
def _refusing(file: File) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file} cannot be read: {error}", hint="convert or record it again, or leave it out"
        ) from error


def _named(files: Sequence[File]) -> str:
    shown = ", ".join(str(file) for file in files[:SHOWN])
    return f"{shown} and {len(files) - SHOWN:,} more" if len(files) > SHOWN else shown


def _listed(values: Mapping[File, str]) -> str:
    shown = ", ".join(f"{file} ({value})" for file, value in [*values.items()][:SHOWN])
    return f"{shown} and {len(values) - SHOWN:,} more" if len(values) > SHOWN else shown
