"""What `bench` measured, as a block to send: of boards, files and times, and of nobody.

Only what is named here is told. Names of files, devices and machines, paths, addresses and whole
sentences of a device stay out: they may name people, and a row of a table needs none of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.texts import toml_value

if TYPE_CHECKING:
    from edgeshrink.devices import DeviceProfile, Measurement
    from edgeshrink.engine import BenchReport, BenchResult
    from edgeshrink.plugins import Plugins

OWN = "own"  # a profile that does not come with edgeshrink
FACTS = ("cpu", "machine", "cores", "memory_bytes", "system")
SOFTWARE = ("python", "runtime", "runtime_version", "numpy", "adapter")
CONDITIONS = ("load_average", "temperature_celsius", "frequency_mhz", "max_frequency_mhz")
MEMORY = ("model_memory_bytes", "peak_memory_bytes", "arena_bytes")
TIMES = ("median_ms", "p90_ms", "p99_ms", "median_error_ms", "first_ms", "load_ms")


def board_block(report: BenchReport, devices: Sequence[DeviceProfile], plugins: Plugins) -> str:
    """Return a TOML document with a table for each device, and in it one for each file.

    Args:
        report: what was measured.
        devices: those that it was measured on.
        plugins: know the folders of profiles.
    """
    profiles = {device.name: _public(device, plugins) for device in devices}
    lines = [f"edgeshrink = {toml_value(report.versions.get('edgeshrink', ''))}"]
    for name, results in report.by_device().items():
        timed = next((one.measurement for one in results if one.measurement), None)
        board = {"profile": profiles[name], **(_board(timed) if timed else {})}
        lines += ["", "[[board]]", *_lines(board)]
        for result in results:
            lines += ["", "[[board.file]]", *_lines({**_file(result), **_measured(result)})]
    return "\n".join(lines) + "\n"


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is known of values, a line each."""
    for key, value in values.items():
        if value not in (None, "", (), [], {}):
            yield f"{key} = {toml_value(value)}"


def _public(device: DeviceProfile, plugins: Plugins) -> str:
    """Return the profile's name, or that of what it is based on, if it comes with edgeshrink."""
    from edgeshrink.devices import HERE, available_profiles, user_folder

    theirs = (user_folder(), HERE)
    known = available_profiles([f for f in plugins.profile_folders if f not in theirs])
    return next((name for name in (device.name, device.based_on) if name in known), OWN)


def _board(timed: Measurement) -> dict[str, Any]:
    """Return what a machine is: hardware, system and versions; of its kernel the number alone.

    Where a compiler reckoned, the machine that it ran on is none of the board's.
    """
    info = timed.device
    if timed.estimate is not None:
        return {key: getattr(info, key) for key in SOFTWARE}
    kernel = re.match(r"[\d.]*\d", str(info.extra.get("kernel", "")))
    return {
        "board": info.extra.get("board", ""),
        **{key: getattr(info, key) for key in FACTS},
        "kernel": kernel[0] if kernel else "",
        **{key: getattr(info, key) for key in SOFTWARE},
        "emulated": bool(info.emulated),
    }


def _file(result: BenchResult) -> dict[str, Any]:
    """Return which file it is, and what is in it that times depend on."""
    from edgeshrink.tflite import decoded, read_model, tflite_bytes

    data = tflite_bytes(Path(result.model))
    model, whole = read_model(data), read_model(decoded(data))
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": result.size_bytes,
        "deflated": result.compressed_bytes,
        "weights": sorted({tensor.dtype for tensor in whole.weights}),
        "parameters": whole.parameters,
        "nonzeros": whole.nonzeros,
        "macs": model.macs,
        "operators": len(model.operators),
        "input": [tensor.dtype for tensor in model.inputs],
    }


def _measured(result: BenchResult) -> dict[str, Any]:
    """Return what was measured; times only where they are the device's own."""
    timed = result.measurement
    if timed is None:
        return {"failed": True}  # the reason may have paths in it
    score = result.scores[0] if result.scores else None
    after = timed.conditions.get("after", {})
    return {
        **{"rules": timed.plan.rules, "threads": timed.threads, "kernels": timed.kernels},
        **(_times(timed) if not (timed.device.emulated or timed.estimate) else {}),
        **{key: getattr(timed, key) for key in MEMORY},
        "conditions": {key: after[key] for key in CONDITIONS if key in after},
        "differs_from_host": result.host_error,
        "score": score and {"metric": score.metric, "value": score.value, "samples": score.count},
        "energy": timed.energy
        and {"millijoules": timed.energy.millijoules, "seconds": timed.energy.seconds},
        "estimate": timed.estimate and asdict(timed.estimate),
    }


def _times(timed: Measurement) -> dict[str, Any]:
    told = {key: getattr(timed, key) for key in TIMES}
    known = {key: value for key, value in told.items() if value is not None and value == value}
    return {
        "runs": timed.runs,
        "valid": timed.valid,
        **known,
        "disturbed": bool(timed.disturbed),
    }
