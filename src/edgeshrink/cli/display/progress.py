"""The progress of a run on standard error: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from edgeshrink import words
from edgeshrink.api import hookimpl
from edgeshrink.cli.display.tables import console_on
from edgeshrink.cli.say import say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from edgeshrink.models import Artifact
    from edgeshrink.plugins import Plugins
    from edgeshrink.recipes import Method

NAME = "progress"


class Watcher:
    """An observer plugin that draws, registered while its block lasts."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._stream: TextIO = sys.stderr
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._place = ""
        self._devices: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to watch."""
        # While TensorFlow loads, the engine points descriptor 2 at its log: keep our own.
        with suppress(OSError, ValueError):
            self._stream = os.fdopen(
                os.dup(sys.stderr.fileno()), "w", encoding="utf-8", buffering=1
            )
        if self._stream.isatty():
            self._bar = _bar(self._stream)
            self._task = self._bar.add_task("starting", total=1.0, note="")
            self._bar.start()
        self._plugins.register(self, NAME)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching and leave the line clean."""
        self._plugins.unregister(NAME)
        if self._bar is not None:
            self._bar.stop()
        if self._stream is not sys.stderr:
            self._stream.close()

    @hookimpl
    def edgeshrink_step_started(self, step: Method, index: int, count: int) -> None:
        """Name the step that runs."""
        self._place = f"[{index + 1}/{count}] "
        self._draw(f"{self._place}{step}", 0.0, "")

    @hookimpl
    def edgeshrink_step_progress(self, step: Method | None, fraction: float, note: str) -> None:
        """Show how much is done."""
        self._draw(f"{self._place}{step}" if step else "edgeshrink", fraction, note)

    @hookimpl
    def edgeshrink_told(self, text: str) -> None:
        """Leave a line for what is told."""
        self._line(text)

    @hookimpl
    def edgeshrink_device_progress(self, device: str, fraction: float, note: str) -> None:
        """Show how much a device has done, on a line of its own."""
        if self._bar is None:
            return
        if device not in self._devices:
            self._devices[device] = self._bar.add_task(device or "this machine", total=1.0, note="")
        self._bar.update(self._devices[device], completed=fraction, note=note)

    @hookimpl
    def edgeshrink_step_finished(
        self, step: Method, artifact: Artifact, seconds: float, reused: bool
    ) -> None:
        """Leave a line for the step."""
        how = "there from an earlier run" if reused else words.duration(seconds)
        self._line(f"{self._place}{step}: {how}, {artifact.size_bytes:,} bytes")

    @hookimpl
    def edgeshrink_measured(self, result: Any) -> None:
        """Leave a line for what was measured, or could not be."""
        model = Path(result.model).name
        reason = getattr(result, "reason", None)
        if reason is not None:
            self._line(f"{model} on {result.device}: not measured: {reason}")
        elif result.estimate:
            self._line(f"{model} on {result.device.name}: {result.estimate}")
        elif result.device.emulated:
            self._line(f"{model} on {result.device.name}: runs ({result.device.emulated})")
        else:
            self._line(
                f"{model} on {result.device.name}: {words.milliseconds(result.median_ms)} "
                f"(median of {result.runs:,} runs)"
            )

    @hookimpl
    def edgeshrink_run_finished(
        self, name: str, done: int, count: int, seconds: float, failure: str
    ) -> None:
        """Leave a line for a run of a study."""
        how = f"failed: {failure}" if failure else words.duration(seconds)
        self._line(f"[{done}/{count}] {name}: {how}")

    def _draw(self, what: str, fraction: float, note: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=what, completed=fraction, note=note)

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, soft_wrap=True)
        else:
            say(text, to=self._stream)


class TrialWatcher(Watcher):
    """Leaves a line for each trial of a search, and shows what is done for it while it runs."""

    @hookimpl
    def edgeshrink_told(self, text: str) -> None:
        """Show what is told of one trial."""
        self._draw("edgeshrink", 0.0, text)

    @hookimpl
    def edgeshrink_step_finished(
        self, step: Method, artifact: Artifact, seconds: float, reused: bool
    ) -> None:
        """Leave no line: the next step shows itself."""

    @hookimpl
    def edgeshrink_measured(self, result: Any) -> None:
        """Leave no line: the trial's has its time."""


def _bar(stream: TextIO) -> Progress:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False, style="dim"),
        console=console_on(stream),
        transient=True,
    )
