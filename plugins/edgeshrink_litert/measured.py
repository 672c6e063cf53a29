"""Make a measurement of what the runner told, or refuse it."""

from __future__ import annotations

import hashlib
import statistics
from pathlib import Path

from edgeshrink.api import (
    BenchPlan,
    DeviceInfo,
    DeviceProfile,
    Energy,
    Failure,
    Measurement,
)
from edgeshrink.tflite import tflite_bytes
from edgeshrink_litert import disturbance
from edgeshrink_litert.answers import Answer
from edgeshrink_litert.failures import explain, with_cause

# Above this share of the mean, a standard deviation says that something disturbed the runs.
NOISY = 0.1


def device_info(answer: Answer, profile: DeviceProfile) -> DeviceInfo:
    """Return what a device said of itself."""
    texts = ("cpu", "machine", "system", "python", "runtime", "runtime_version", "numpy")
    emulated = answer.text("emulated")
    if profile.emulated and not emulated:
        emulated = "the profile says that it is emulated"
        if profile.target == "local":
            emulated = "this machine's processor stands for its own"
    adapter = answer.text("adapter")
    extra = {name: answer.text(name) for name in ("board", "kernel") if answer.text(name)}
    return DeviceInfo(
        name=profile.name,
        **{name: answer.text(name) for name in texts},
        cores=answer.whole("cores"),
        memory_bytes=answer.whole_or_none("memory_bytes"),
        adapter=adapter,
        emulated=emulated or software_adapter(adapter),
        extra={**extra, **disturbance.conditions(answer.member("conditions"))},
    )


def software_adapter(adapter: str) -> str:
    """Return why a GPU is none, or an empty text.

    Example:
        >>> software_adapter("SwiftShader Device, adapterType=CPU")
        'software adapter: SwiftShader Device, adapterType=CPU'
        >>> software_adapter("NVIDIA GeForce RTX 3060")
        ''
    """
    marks = ("swiftshader", "llvmpipe", "lavapipe", "adaptertype=cpu", "software")
    return f"software adapter: {adapter}" if any(m in adapter.lower() for m in marks) else ""


def measurement(
    path: Path,
    answer: Answer,
    device: DeviceInfo,
    plan: BenchPlan,
    *,
    threads: int,
    kernels: str,
) -> Measurement | Failure:
    """Return one model's times, or why there are none.

    Args:
        path: the model's file.
        answer: what the runner told of it.
        device: what it was timed on.
        plan: how it was timed.
        threads: how many threads the runtime had.
        kernels: what ran the operators.

    Raises:
        CommandFailed: the answer makes no sense.
    """
    if "error" in answer:
        said = explain(answer.text("error"))
        if kernels == "xnnpack":
            said = with_cause(said, tflite_bytes(path))
        return Failure(str(path), device.name, said)
    digest = hashlib.sha256(tflite_bytes(path)).hexdigest()
    if answer.text("sha256") != digest:
        return Failure(str(path), device.name, "the device timed another file than was sent")
    told = answer.member("conditions")
    before, after = (disturbance.conditions(told.member(name)) for name in ("before", "after"))
    samples = answer.wholes("samples_ns", 1)
    notes = answer.texts("notes")
    spread = statistics.pstdev(samples) / statistics.fmean(samples)
    if spread > NOISY:
        load = after.get("load_average", "unknown")
        notes.append(
            f"noisy: the standard deviation is {spread:.0%} of the mean (load average {load})"
        )
    cores = len(plan.affinity) or device.cores
    notes += disturbance.notes(before, after, cores)
    if plan.energy and "no_energy" in answer:
        notes.append(f"energy: {answer.text('no_energy')}")
    peak, runtime = (answer.whole_or_none(f"{what}_memory_bytes") for what in ("peak", "runtime"))
    return Measurement(
        model=str(path),
        digest=digest,
        device=device,
        plan=plan,
        samples_ns=samples,
        load_ms=answer.whole("load_ns") / 1e6,
        first_ms=answer.whole("first_ns") / 1e6,
        threads=threads,
        kernels=kernels,
        peak_memory_bytes=peak,
        runtime_memory_bytes=runtime,
        model_memory_bytes=None if peak is None or runtime is None else max(0, peak - runtime),
        energy=_energy(answer.member("energy")) if "energy" in answer else None,
        conditions={"before": before, "after": after},
        disturbed=disturbance.disturbed(before, after),
        notes=tuple(notes),
    )


def _energy(answer: Answer) -> Energy:
    return Energy(
        millijoules=answer.number("millijoules"),
        idle_watts=answer.number("idle_watts"),
        seconds=answer.number("seconds"),
        source=answer.text("source"),
    )
