"""What a conversion to .tflite makes, and the child process that TensorFlow's converter runs in."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

from edgeshrink.errors import ConversionError, EdgeshrinkError


@dataclass(frozen=True)
class Conversion:
    """What a converted .tflite should hold.

    Attributes:
        weights: type of stored weights.
        activations: type between operators; integers need samples.
        io: type of the model's inputs and outputs; float32 wherever activations are float.
        bytes_in: inputs are uint8 whatever `io` says; for 8-bit activations, where `convert` sets
            it for a model that takes bytes.
        per_channel: one scale for each output channel of a weight, rather than one a tensor.
        float_operators: operators without an integer kernel may stay in float.
        fuse: LSTM layers that fit the runtime's own operator become it.
        sparse: weights with many zeros are stored without them, and unpacked where the file is
            loaded; for floats only, since the runtime fails on integers that are stored so.
        unroll: other recurrent layers are written step by step, not as a loop; integer
            activations of a loop crash the converter.
    """

    weights: Literal["float32", "float16", "int8"] = "float32"
    activations: Literal["float32", "int8", "int16"] = "float32"
    io: Literal["float32", "int8", "uint8", "int16"] = "float32"
    per_channel: bool = True
    float_operators: bool = True
    fuse: bool = True
    sparse: bool = False
    unroll: bool = False
    bytes_in: bool = False


# what may be the matter where a signal ended its process, by number on every POSIX system
SHORT = {
    6: "memory or threads may have run out",  # SIGABRT, which is how C++ ends then
    9: "memory may have run out",  # SIGKILL
}
KILLS = (9, 15)  # SIGKILL and SIGTERM, which come from outside
LOCATION = re.compile(r'error: loc\(.*?fused\["[^"]*", "(?P<name>[^"@]+).*?\)+: ')


class Converter:
    """A child process that converts SavedModels, stays warm, and is restarted after a crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None

    def convert(
        self,
        saved_model: Path,
        want: Conversion,
        samples: Mapping[str, Path],
        out: Path,
        log: Path | None = None,
    ) -> Path:
        """Write the converted file and return its path.

        Args:
            saved_model: a folder from `export`.
            want: what the file should hold.
            samples: for each input a .npy file of calibration samples; empty if not needed.
            out: where to write.
            log: file that gets what the converter prints.

        Raises:
            ConversionError: the converter refused the model, or crashed on it.
            EdgeshrinkError: its process was killed.
            OSError: a file cannot be written there.
        """
        return self._done(_job("convert", saved_model, want, samples, out), log)

    def calibrate(
        self,
        saved_model: Path,
        want: Conversion,
        samples: Mapping[str, Path],
        out: Path,
        log: Path | None = None,
    ) -> Path:
        """Write the file in float, with the least and greatest value of each tensor seen.

        Takes and raises what `convert` does.
        """
        return self._done(_job("calibrate", saved_model, want, samples, out), log)

    def quantize(
        self, calibrated: Path, want: Conversion, out: Path, log: Path | None = None
    ) -> Path:
        """Write a file from `calibrate` in 8-bit integers, by the ranges that stand in it.

        Args:
            calibrated: the file.
            want: what the new file should hold; of it, `io`, `bytes_in` and `per_channel` count.
            out: where to write.
            log: file that gets what the converter prints.

        Raises:
            ConversionError: the converter refused it, or crashed on it.
            EdgeshrinkError: its process was killed.
            OSError: a file cannot be written there.
        """
        files = {"calibrated": str(calibrated.absolute()), "out": str(out.absolute())}
        job = {"do": "quantize", **files, **asdict(want)}
        return self._done(job, log)

    def _done(self, job: dict[str, Any], log: Path | None) -> Path:
        """Return where the job's file was written."""
        answer = self._ask({**job, "log": str(log.absolute()) if log else ""}, log)
        if answer.get("errno"):
            raise OSError(answer["errno"], os.strerror(answer["errno"]), job["out"])
        if not answer["ok"]:
            raise ConversionError(f"the converter refused the model: {_reason(answer['error'])}")
        return Path(job["out"])

    def warm_up(self, log: Path | None = None) -> None:
        """Start the process, so that it imports TensorFlow while other things are done."""
        self._running(log)

    def _ask(self, job: dict[str, Any], log: Path | None) -> dict[str, Any]:
        process = self._running(log)
        assert process.stdin
        assert process.stdout
        line = ""
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        if not line:
            code = process.wait()
            self.close()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            # a kill says nothing of the model, so no method may answer it
            kind = EdgeshrinkError if -code in KILLS else ConversionError
            raise kind(
                f"the converter's process {how} while it worked on the model",
                hint=SHORT.get(-code, ""),
            )
        return json.loads(line)  # type: ignore[no-any-return]

    def _running(self, log: Path | None) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._log = log.open("a", encoding="utf-8") if log else None
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("child.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log or subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C is for the parent, which then closes the pipe
            )
        return self._process

    def close(self) -> None:
        """End the child process; the next job starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None


# The child process that all conversions of this process share; it ends with this process.
shared_converter = Converter()
atexit.register(shared_converter.close)


def _job(
    do: str, saved_model: Path, want: Conversion, samples: Mapping[str, Path], out: Path
) -> dict[str, Any]:
    # whole paths: the child stays in the directory that it was started in
    return {
        "do": do,
        "saved_model": str(saved_model.absolute()),
        "out": str(out.absolute()),
        "samples": {name: str(path.absolute()) for name, path in samples.items()},
        **asdict(want),
    }


def _reason(error: str) -> str:
    """Return the first line of the converter's error that says something.

    Where it names the place by MLIR's locations, one in another, the innermost is kept.

    Example:
        >>> _reason('1: error: loc(fused["Cast:", "net/top/Cast@__f"])): cannot cast')
        'cannot cast (at net/top/Cast)'
    """
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line or "failed" in line.lower()]
    said = (telling or lines or ["no message"])[0]
    if place := LOCATION.search(said):
        said = f"{said[place.end() :]} (at {place['name']})"
    return said[:300]
