"""Devices side by side: models are timed and run on each, and a dead device ends only itself."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from edgeshrink.devices import BenchPlan, DeviceProfile, Failure, Session
from edgeshrink.engine.measuring import compatibility, parity
from edgeshrink.engine.measuring.checkpoint import Kept
from edgeshrink.engine.measuring.device_result import DeviceResult
from edgeshrink.engine.measuring.sessions import is_host, open_session
from edgeshrink.errors import EdgeshrinkError, TargetError, VerificationError
from edgeshrink.models import Artifact
from edgeshrink.plugins import Plugins
from edgeshrink.results import Judge, Outputs, Samples


@dataclass(frozen=True)
class Expected:
    """What a device is asked of a model, and what this machine answered.

    Attributes:
        samples: to run on the device.
        outputs: of this machine for the first of them; None if it cannot run the model.
        why: then the reason.
        labelled: the samples are data, and the outputs are to be scored.
    """

    samples: Samples
    outputs: Outputs | None
    why: str = ""
    labelled: bool = True


UNTOLD_CORES = 64  # of a device that does not tell how many it has


class DeviceFarm:
    """Measures models on several devices.

    Args:
        devices: none twice.
        plan: how long models are timed; its threads override the profiles'.
        plugins: with the targets and runtimes.
        host: runs models on this machine, for comparison.
        kept: what was measured before, and where it is kept.
    """

    def __init__(
        self,
        devices: Sequence[DeviceProfile],
        plan: BenchPlan,
        plugins: Plugins,
        host: Callable[[], Judge],
        kept: Kept,
    ) -> None:
        self._devices, self._plan, self._plugins = devices, plan, plugins
        self._host, self._kept = host, kept
        self._told, self._stopped = threading.Lock(), threading.Event()

    def observe(
        self, models: Sequence[Artifact], samples: Samples | None, folder: Path
    ) -> dict[str, list[DeviceResult]]:
        """Return for each device's name what it said of each model, in their order.

        Args:
            models: .tflite files, timed in turns on each device.
            samples: whose outputs are wanted; None compares on made-up inputs only.
            folder: for files that may be removed afterwards.
        """
        expected: dict[str, Expected] = {}
        if not all(is_host(device) for device in self._devices):
            self._tell("", 0.0, "running the models here, to compare with")
            expected = {m.digest: self._expected(m, samples, folder) for m in models}
        away: list[list[DeviceProfile]] = []
        here: list[list[DeviceProfile]] = []
        for _, group in groupby(sorted(self._devices, key=_machine), key=_machine):
            same = list(group)  # one machine: in turn
            local = self._plugins.targets[same[0].target].here
            (here if local else away).append(same)
        found: dict[str, list[DeviceResult]] = {}

        def work(group: list[DeviceProfile]) -> None:
            for device in group:
                said = self._on(device, models, samples, expected)
                found[device.name] = list(map(_named, said, models))

        if len(away) > 1:
            with ThreadPoolExecutor(len(away)) as pool:
                futures = [pool.submit(work, group) for group in away]
                try:
                    for future in futures:
                        future.result()
                except BaseException:
                    self._stopped.set()  # the others end at their next sign of life
                    raise
        else:
            here = [*away, *here]
        for devices in here:  # this machine's own times, undisturbed by its other work
            work(devices)
        return {device.name: found[device.name] for device in self._devices}

    def _expected(self, model: Artifact, samples: Samples | None, folder: Path) -> Expected:
        """Return what to ask of a model, with this machine's answer."""
        try:
            asked = samples or parity.made_up(model, folder)
            first = parity.head(asked, folder / asked.digest[:16])
        except EdgeshrinkError as error:
            return Expected(Samples({}, {}, "", 0), None, str(error), labelled=False)
        labelled = samples is not None
        try:
            return Expected(asked, self._host().outputs(model, first, _no_keras), "", labelled)
        except EdgeshrinkError as error:
            return Expected(asked, None, str(error), labelled)

    def _on(
        self,
        device: DeviceProfile,
        models: Sequence[Artifact],
        samples: Samples | None,
        expected: Mapping[str, Expected],
    ) -> list[DeviceResult]:
        """Return what one device said of all models."""
        found = {m.digest: self._kept.find(device, m) for m in models}
        done: set[str] = set()
        try:
            with contextlib.ExitStack() as stack:
                opened: list[Session] = []

                def session() -> Session:  # a device with nothing left to do is not woken
                    if not opened:
                        self._tell(device.name, 0.0, "connecting")
                        opened.append(stack.enter_context(open_session(device, self._plugins)))
                    return opened[0]

                self._time(device, models, found, session)
                for model in models:
                    observed = found[model.digest]
                    if observed is not None and observed.measurement is not None:
                        asked = expected.get(model.digest) or (
                            Expected(samples, None) if samples else None
                        )
                        if asked:
                            found[model.digest] = self._answered(device, observed, asked, session)
                    done.add(model.digest)
        except TargetError as error:
            hint = f" ({error.hint})" if error.hint else ""
            reason = f"{error}{hint}"
            return [
                observed
                if (observed := found[m.digest]) and (observed.failure or m.digest in done)
                else self._failed(device, m, reason, lost=True)
                for m in models
            ]
        except EdgeshrinkError as error:  # the machine is there, its runtime is not
            reason = f"{error} ({error.hint})" if error.hint else str(error)
            return [found[m.digest] or self._failed(device, m, reason) for m in models]
        return [observed for m in models if (observed := found[m.digest]) is not None]

    def _time(
        self,
        device: DeviceProfile,
        models: Sequence[Artifact],
        found: dict[str, DeviceResult | None],
        session: Callable[[], Session],
    ) -> None:
        """Time the models that were not timed before, in turns."""
        todo = []
        for model in {m.digest: m for m in models}.values():  # copies of a file are one
            if found[model.digest] is not None:
                continue
            reasons = self._refused(device, model)
            if reasons:
                found[model.digest] = self._failed(device, model, "; ".join(reasons))
            else:
                todo.append(model)
        if not todo:
            return
        progress = self._progress(device)
        progress(0.0, "timing")
        wanted = self._plan.threads or device.threads
        threads, note = granted_threads(wanted, session().facts().cores)
        plan = replace(self._plan, threads=threads)
        results = session().time([m.path for m in todo], plan, progress)
        lost = None
        for model, result in zip(todo, results, strict=True):
            with self._told:
                self._plugins.hook.edgeshrink_measured(result=result)
            if isinstance(result, Failure):
                found[model.digest] = DeviceResult(model, device, failure=result)
                lost = result if result.lost else lost
            else:
                told = replace(result, notes=(*result.notes, *note))
                observed = DeviceResult(model, device, told)
                self._kept.keep(observed)
                found[model.digest] = observed
        if lost is not None:
            raise TargetError(lost.reason)

    def _refused(self, device: DeviceProfile, model: Artifact) -> list[str]:
        from edgeshrink.tflite import read_model, tflite_bytes

        try:
            return list(compatibility.problems(read_model(tflite_bytes(model.path)), device))
        except EdgeshrinkError as error:
            return [str(error)]

    def _answered(
        self,
        device: DeviceProfile,
        observed: DeviceResult,
        asked: Expected,
        session: Callable[[], Session],
    ) -> DeviceResult:
        """Return the observation with the device's outputs, compared with this machine's."""
        model, progress = observed.model, self._progress(device)
        judge = Judge(session, self._kept.outputs(device), {}, progress=progress)
        try:
            outputs = judge.outputs(model, asked.samples, _no_keras)
        except NotImplementedError as error:
            return replace(observed, notes=(*observed.notes, str(error)))
        except TargetError:
            raise
        except EdgeshrinkError as error:
            return self._failed(device, model, str(error))
        wanted = outputs if asked.labelled else None
        if is_host(device):
            return replace(observed, outputs=wanted)
        if asked.outputs is None:
            note = f"its outputs were not compared with this machine's: {asked.why}"
            return replace(observed, outputs=wanted, notes=(*observed.notes, note))
        try:
            difference = parity.error(asked.outputs, outputs)
        except VerificationError as problem:
            return self._failed(device, model, f"the runtime there computes wrongly: {problem}")
        return replace(observed, outputs=wanted, host_error=difference)

    def _failed(
        self, device: DeviceProfile, model: Artifact, reason: str, *, lost: bool = False
    ) -> DeviceResult:
        failure = Failure(str(model.path), device.name, reason, lost)
        with self._told:
            self._plugins.hook.edgeshrink_measured(result=failure)
        return DeviceResult(model, device, failure=failure)

    def _progress(self, device: DeviceProfile) -> Callable[[float, str], None]:
        return lambda fraction, note: self._tell(device.name, fraction, note)

    def _tell(self, device: str, fraction: float, note: str) -> None:
        """Tell whoever watches; in a sweep that was interrupted, end this device's part."""
        if self._stopped.is_set():
            raise KeyboardInterrupt
        with self._told:
            self._plugins.hook.edgeshrink_device_progress(
                device=device, fraction=fraction, note=note
            )


def granted_threads(wanted: int, cores: int) -> tuple[int, tuple[str, ...]]:
    """Return how many threads a runtime gets, and a sentence where it is not what was wanted.

    Args:
        wanted: what `--threads` or the profile says, at least 1.
        cores: that the device has; 0 where it does not tell.
    """
    most = cores or UNTOLD_CORES
    if wanted <= most:
        return wanted, ()
    has = f"the device has {cores:,} cores" if cores else "the device does not tell its cores"
    return most, (f"{wanted:,} threads were asked for; {has}: run with {most:,}",)


def _named(said: DeviceResult, model: Artifact) -> DeviceResult:
    """Return what was said of a content under the name of a file that holds it."""
    path, timed, failure = str(model.path), said.measurement, said.failure
    return replace(
        said,
        model=model,
        measurement=replace(timed, model=path) if timed else None,
        failure=replace(failure, model=path) if failure else None,
    )


def _machine(device: DeviceProfile) -> tuple[str, str]:
    return device.target, device.address


def _no_keras() -> None:
    raise AssertionError("only .tflite files are run here")
