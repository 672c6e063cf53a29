"""Google's benchmark_model on a target: what only the tool's own delegates can run, timed."""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.api import (
    BenchPlan,
    CommandFailed,
    Completed,
    DeviceInfo,
    DeviceProfile,
    EdgeshrinkError,
    Failure,
    Measurement,
    ModelError,
    Progress,
    Runtime,
    Session,
    Target,
    build,
)
from edgeshrink_benchtool import binary, log
from edgeshrink_benchtool.checksum import sha256

if TYPE_CHECKING:
    import numpy as np

# Beside the counted time: loading, and building a delegate's kernels, which may take a minute.
SPARE_SECONDS = 180.0
# A log has some kilobytes, with operators some hundred.
MOST_OUTPUT = 8 << 20
CANNOT_START = (126, 127)
# What a device says is shown on a terminal, which must not be told anything by it.
CONTROLS = {code: " " for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
ACCELERATOR = {"gpu": "GPU", "npu": "NPU"}


class BenchmarkModel(Runtime):
    """The tool that Google builds for Android and Linux; it tells times and memory only."""

    name = "benchmark_model"
    Options = binary.Options

    def open(self, target: Target, workdir: str, profile: DeviceProfile) -> BenchmarkModelSession:
        """Push the tool and see that it starts.

        Raises:
            UsageError: the profile's options name no tool.
            EdgeshrinkError: the tool cannot be downloaded, or is another than was pinned.
            CommandFailed: it does not start on the target.
        """
        options = build(binary.Options, profile.options, f"[options] of {profile.name}")
        return BenchmarkModelSession(
            target, workdir, profile, binary.find(options), options.kernels
        )


class BenchmarkModelSession(Session):
    """benchmark_model at work on one device.

    Args:
        target: the device.
        workdir: a folder there that nothing else uses.
        profile: tells the accelerator and the threads.
        tool: the tool's file on this machine.
        kernels: what runs operators where the profile asks for no accelerator.
    """

    def __init__(
        self, target: Target, workdir: str, profile: DeviceProfile, tool: Path, kernels: str
    ) -> None:
        self.target, self.profile, self.kernels = target, profile, kernels
        self.tool = f"{workdir}/benchmark_model"
        # What is placed is shared and not ours to change; the copy becomes a program.
        target.run("cp", target.place(tool), self.tool, timeout=SPARE_SECONDS).check()
        target.run("chmod", "700", self.tool, timeout=SPARE_SECONDS).check()
        started = self._run("--help")
        if started.returncode in CANNOT_START or started.returncode < 0:
            raise CommandFailed(
                f"{tool.name} does not start on {profile.name}: {_last_words(started)}",
                hint="it must be built for the device's processor and system",
            )
        system, machine = (
            target.run("uname", flag, timeout=SPARE_SECONDS)
            .stdout.translate(CONTROLS)
            .strip()[:100]
            for flag in ("-sr", "-m")
        )
        self._facts = DeviceInfo(
            profile.name,
            machine=machine,
            system=system,
            runtime="benchmark_model",
            runtime_version=f"sha256:{sha256(tool)[:12]}",
        )

    def facts(self) -> DeviceInfo:
        """Return what is known of the device and the tool."""
        return self._facts

    def close(self) -> None:
        """Remove the tool."""
        with contextlib.suppress(EdgeshrinkError):
            self.target.run("rm", "-f", "--", self.tool, timeout=30)

    def time(
        self, models: Sequence[Path], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement | Failure]:
        """Time the models one after another, each by a run of the tool.

        A model of which nothing ran on the GPU or NPU that the profile asks for is a failure.
        """
        time.sleep(plan.cool_down)
        found = super().time(models, plan, progress)
        if len(models) < 2:
            return found
        note = "models were timed one after another: the tool takes one alone"
        return [
            replace(one, notes=(*one.notes, note)) if isinstance(one, Measurement) else one
            for one in found
        ]

    def predict(
        self, model: Path, inputs: Mapping[str, Path], progress: Progress | None = None
    ) -> dict[str, np.ndarray]:
        """Refuse.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            "benchmark_model fills inputs with random numbers and gives no outputs: it tells "
            "times and memory only"
        )

    def measure(self, model: Path, plan: BenchPlan) -> Measurement:
        """Return the times of one model, by a run of the tool.

        Raises:
            ModelError: its file cannot be read.
            CommandFailed: the tool ended badly or told no times, or nothing ran on the accelerator.
            TargetError: the device was lost.
        """
        try:
            digest = hashlib.sha256(model.read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f"{model} cannot be read: {error.strerror}") from error
        threads = plan.threads or self.profile.threads
        flags = [
            f"--graph={self.target.place(model)}",
            f"--num_threads={threads}",
            f"--warmup_runs={plan.warmup_runs}",
            f"--warmup_min_secs={plan.warmup_seconds:g}",
            f"--num_runs={plan.runs}",
            f"--max_secs={plan.max_seconds:g}",
        ]
        asked = ACCELERATOR.get(self.profile.accelerator, "")
        if asked:
            flags.append(f"--use_{self.profile.accelerator}=true")
        elif self.kernels == "builtin":
            flags.append("--use_xnnpack=false")
        longest = plan.max_seconds + plan.warmup_seconds + SPARE_SECONDS
        timing = (f"--min_secs={plan.seconds:g}", "--report_peak_memory_footprint=true")
        text = self._log(plan, *flags, *timing, timeout=longest)
        try:
            told = log.parse(text)
        except log.LogError as error:
            raise CommandFailed(f"benchmark_model told no times: {error}") from error
        notes, disturbed = [], []
        if asked:
            moved, words = log.delegated(text)
            if not moved:
                raise CommandFailed(
                    f"nothing ran on the {asked}, and the tool fell back to the processor: {words}"
                )
            notes += [f"only {words} ran on the {asked}"] if words else []
        if told.summary.median_ns is None:
            notes.append("the tool tells no median: the mean stands for it")
        if plan.percentile != 50 and math.isnan(told.summary.percentile(plan.percentile)):
            disturbed.append(
                f"the rules compare by p{plan.percentile}, which the tool does not tell"
            )
        if plan.energy:
            notes.append("no energy: the tool does not tell it")
        measurement = Measurement(
            model=str(model),
            digest=digest,
            device=self._facts,
            plan=plan,
            samples_ns=(),
            load_ms=told.init_ns / 1e6,
            first_ms=told.first_ns / 1e6,
            threads=threads,
            kernels=self.profile.accelerator if asked else self.kernels,
            peak_memory_bytes=told.peak_bytes,
            model_memory_bytes=told.growth_bytes,
            disturbed=tuple(disturbed),
            notes=tuple(notes),
            summary=told.summary,
        )
        if plan.profile:  # in a run of its own: to look into it takes time
            text = self._log(plan, *flags, "--enable_op_profiling=true", timeout=longest)
            times = log.operators(text)
            if not times:
                note = "no time by operator: the tool printed none"
                return replace(measurement, notes=(*measurement.notes, note))
            return replace(measurement, operators=times)
        return measurement

    def _log(self, plan: BenchPlan, *flags: str, timeout: float) -> str:
        """Return what a run of the tool printed.

        Raises:
            CommandFailed: it ended badly.
        """
        pinned: tuple[str, ...] = ()
        if plan.affinity:
            pinned = ("taskset", f"{sum(1 << core for core in set(plan.affinity)):x}")
        done = self._run(*flags, before=pinned, timeout=timeout)
        if done.returncode:
            raise CommandFailed(
                f"benchmark_model failed: {_last_words(done)} (exit code {done.returncode})"
            )
        return _words(done)

    def _run(
        self, *flags: str, before: tuple[str, ...] = (), timeout: float = SPARE_SECONDS
    ) -> Completed:
        count = 0

        def watch(line: str) -> None:
            nonlocal count
            count += len(line) + 1
            if count > MOST_OUTPUT:
                raise CommandFailed(f"benchmark_model printed more than {MOST_OUTPUT:,} characters")

        return self.target.run(*before, self.tool, *flags, timeout=timeout, watch=watch)


def _words(done: Completed) -> str:
    return f"{done.stdout}\n{done.stderr}".translate(CONTROLS)


def _last_words(done: Completed) -> str:
    """Return the last line that names an error, or the last of all."""
    lines = [line.strip() for line in _words(done).splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "Failed" in line or " E tflite" in line]
    return (errors or lines or ["it printed nothing"])[-1][:300]
