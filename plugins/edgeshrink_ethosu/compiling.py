"""Compile a model with Vela, and tell what came out."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeshrink.api import CommandFailed, EdgeshrinkError, Estimate
from edgeshrink.tflite import read_model
from edgeshrink_ethosu import vela
from edgeshrink_ethosu.options import ARMS_OWN, Options
from edgeshrink_ethosu.told import Totals, reasons, totals

NAME = "model"
# The operator that stands for all that the NPU runs.
COMMANDS = "ethos-u"
# Of what it writes beside the weights, which are never many times as large as they came.
SPARE_BYTES = 64 << 20
LONGEST_SUMMARY = 1 << 16
TOLD = 8  # operators that are named


@dataclass(frozen=True)
class Compiled:
    """What Vela made of a model.

    Attributes:
        estimate: its figures.
        left: by the names of operators that it left to the processor, how many there are.
        why: by their names, its reasons, where it gave some.
    """

    estimate: Estimate
    left: Mapping[str, int]
    why: Mapping[str, str]

    def sentences(self) -> tuple[str, ...]:
        """Return what is to be known beside the figures."""
        if not self.left:
            return ()
        count = self.estimate.processor_operators
        return (
            f"the estimate leaves out what stays on the processor: {count:,} of "
            f"{count + self.estimate.accelerator_operators:,} operators: {listed(self)}",
        )


def listed(made: Compiled) -> str:
    """Return the operators that are left to the processor, in words, with the reasons."""
    said = []
    for name, count in list(made.left.items())[:TOLD]:
        times = f"{count:,} × " if count > 1 else ""
        said.append(f"{times}{name}{f' ({made.why[name]})' if name in made.why else ''}")
    more = ["and others"] if len(made.left) > TOLD else []
    return ", ".join([*said, *more])


def compiled(data: bytes, options: Options) -> Compiled:
    """Return what Vela makes of a .tflite.

    Args:
        data: the file's bytes.
        options: what it compiles for.

    Raises:
        ModelError: the bytes are no .tflite.
        UsageError: Vela is not installed.
        CommandFailed: Vela refused the file, crashed on it, or put nothing of it on the NPU.
    """
    given = read_model(data).operators
    if any(one.name == COMMANDS for one in given):
        raise CommandFailed(
            "the file is compiled for an Ethos-U already; give the one that it was compiled of"
        )
    operators = len(given)
    own = options.config == ARMS_OWN
    config = options.config if own else str(Path(options.config).expanduser().resolve())
    with tempfile.TemporaryDirectory(prefix="edgeshrink-vela-") as name:
        folder = Path(name)
        (folder / f"{NAME}.tflite").write_bytes(data)
        printed = vela.run(
            folder,
            f"--accelerator-config={options.accelerator}",
            f"--config={config}",
            f"--system-config={options.system}",
            f"--memory-mode={options.memory}",
            "--output-dir=.",
            f"{NAME}.tflite",
        )
        made = _written(folder, f"{NAME}_vela.tflite", 2 * len(data) + SPARE_BYTES)
        summary = _written(folder, f"{NAME}_summary_{options.system}.csv", LONGEST_SUMMARY)
    found = totals(summary.decode("utf-8", "replace"))
    left = _left(made)
    count = sum(left.values())
    estimate = _estimate(found, len(made), max(0, operators - count), count)
    result = Compiled(estimate, left, reasons(printed))
    if not (estimate.accelerator_operators and found.cycles and found.seconds):
        raise CommandFailed(
            "nothing of the file runs on the NPU: Vela leaves all "
            f"{operators:,} operators to the processor: {listed(result)}"
        )
    return result


def _written(folder: Path, name: str, limit: int) -> bytes:
    """Return a file that Vela wrote.

    Raises:
        CommandFailed: it is not there, or larger than `limit` bytes.
    """
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise CommandFailed(f"Vela ended without an error and without {name}")
    with path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise CommandFailed(f"Vela wrote more than {limit:,} bytes as {name}")
    return data


def _left(made: bytes) -> dict[str, int]:
    """Return the operators of a compiled file that are not the NPU's, by name."""
    try:
        operators = read_model(made).operators
    except EdgeshrinkError as error:
        raise CommandFailed(f"what Vela wrote cannot be read: {error}") from error
    return dict(Counter(one.name for one in operators if one.name != COMMANDS))


def _estimate(found: Totals, stored: int, accelerator: int, processor: int) -> Estimate:
    return Estimate(
        f"Vela {vela.version()}",
        accelerator_operators=accelerator,
        processor_operators=processor,
        arithmetic_cycles=found.arithmetic_cycles,
        cycles=found.cycles,
        milliseconds=found.seconds * 1e3,
        weight_bytes=found.encoded_weights,
        stored_bytes=stored,
        sram_bytes=found.sram,
        dram_bytes=found.dram,
    )
