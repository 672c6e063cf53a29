"""The hooks, grouped by moment. A plugin implements those that it needs, with `hookimpl`.

An implementation may take any subset of the arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import keras

    from edgeshrink.devices import Exporter, Failure, Measurement, Reader, Runtime, Target
    from edgeshrink.models import Artifact, ModelFacts
    from edgeshrink.part import Part
    from edgeshrink.recipes import Method
    from edgeshrink.results import Merit, Metric, Reporter, SensitivityReport
    from edgeshrink.samples import Dataset

hookspec = pluggy.HookspecMarker("edgeshrink")
# The decorator that marks a function of a plugin as its implementation of a hook.
hookimpl = pluggy.HookimplMarker("edgeshrink")


@dataclass(frozen=True)
class OpenedModel:
    """A model that a plugin opened, since it is none of Keras's files.

    Attributes:
        facts: what is known of it before TensorFlow is there. Of a kind that is not Keras's, the
            method that accepts that kind makes a Keras model of it.
        load: gives a Keras model that answers as it does, a new one each time. Of a kind that is
            not Keras's, that is only asked, and neither trained nor converted.
        content: the bytes that it would be saved as, where it lies in no file; they tell its size,
            and whether it is the same as in an earlier run.
        notes: what was found, in sentences, to be told before anything is done.
    """

    facts: ModelFacts
    load: Callable[[], keras.Model] = field(repr=False)
    content: bytes | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()


# --- What adds: called once, when plugins are loaded. Return classes; import nothing heavy. ---


@hookspec
def edgeshrink_methods() -> Sequence[type[Method]]:  # type: ignore[empty-body]
    """Return methods: classes that turn one model into another."""


@hookspec
def edgeshrink_targets() -> Sequence[type[Target]]:  # type: ignore[empty-body]
    """Return targets: machines that run commands and hold files."""


@hookspec
def edgeshrink_runtimes() -> Sequence[type[Runtime]]:  # type: ignore[empty-body]
    """Return runtimes: ways to run .tflite files on a target."""


@hookspec
def edgeshrink_exporters() -> Sequence[type[Exporter]]:  # type: ignore[empty-body]
    """Return exporters: ways to write a model as source for a device."""


@hookspec
def edgeshrink_reporters() -> Sequence[type[Reporter]]:  # type: ignore[empty-body]
    """Return reporters: ways to write a report down."""


@hookspec
def edgeshrink_metrics() -> Sequence[type[Metric]]:  # type: ignore[empty-body]
    """Return metrics: ways to score outputs against labels."""


@hookspec
def edgeshrink_merits() -> Sequence[type[Merit]]:  # type: ignore[empty-body]
    """Return figures of merit: what a stage is worth, reckoned from rows of the ledger."""


@hookspec
def edgeshrink_profile_folders() -> Sequence[Path]:  # type: ignore[empty-body]
    """Return folders of device profiles (.toml)."""


@hookspec
def edgeshrink_parts() -> Sequence[Part]:  # type: ignore[empty-body]
    """Return optional parts: packages and programs that something of yours uses.

    `edgeshrink doctor` says of each whether it is there, what for, and how to get it. What a
    method `requires` is told without.
    """


@hookspec
def edgeshrink_readers() -> Sequence[Reader]:  # type: ignore[empty-body]
    """Return programs that read .tflite files, each with a table of what it refuses.

    A device profile names one as its `reader`, or has the one with the name of its runtime. Plans
    are held against the table, files before they are sent to a device, and `edgeshrink inspect`
    says which of them read a file.
    """


@hookspec
def edgeshrink_callbacks(step: str) -> Sequence[Any]:  # type: ignore[empty-body]
    """Return `keras.callbacks.Callback` objects for a training of a step, such as `prune`.

    Their `model` is the one that is trained together with its losses; `logs` has `loss` and, at the
    end of an epoch, `val_score`, greater being better. A step that trains with others is made anew.
    """


# --- What answers: asked when the built-in readers do not know a thing. First result wins. ---


@hookspec(firstresult=True)
def edgeshrink_load_data(spec: str) -> Dataset | None:
    """Return the data set that `--data spec` names, or None if the spec is not yours."""


@hookspec(firstresult=True)
def edgeshrink_open_model(spec: str, custom: Sequence[str], unsafe: bool) -> OpenedModel | None:
    """Return the model that `spec` names, or None if it is not yours.

    That is a file that the built-in readers do not know, or no file at all. Asked before
    TensorFlow is loaded. `custom` and `unsafe` are what `--custom` and `--unsafe` say: without
    `unsafe` nothing that is stored in a file may run.
    """


@hookspec(firstresult=True)
def edgeshrink_sensitivity_figure(suffix: str) -> Callable[[SensitivityReport], bytes] | None:
    """Return what draws what layers bear as a file of this suffix, such as .svg, or None.

    None says that this kind of file is not yours. Asked before anything is measured: raise
    `UsageError` where something is missing.
    """


# --- What watches: called while a run goes on. Return values are ignored. ---


@hookspec
def edgeshrink_step_started(step: Method, index: int, count: int) -> None:
    """A step of the recipe is about to run; `index` counts from 0."""


@hookspec
def edgeshrink_step_progress(step: Method | None, fraction: float, note: str) -> None:
    """A step, or the engine itself (`step` is None), has done this share (0..1) of its work."""


@hookspec
def edgeshrink_told(text: str) -> None:
    """A sentence on the run, such as what training will take, to be read while it goes on."""


@hookspec
def edgeshrink_step_finished(
    step: Method, artifact: Artifact, seconds: float, reused: bool
) -> None:
    """A step has ended; its result is on disk, made now or found from an earlier run."""


@hookspec
def edgeshrink_device_progress(device: str, fraction: float, note: str) -> None:
    """A device has done this share (0..1) of what it was asked; several may work at once."""


@hookspec
def edgeshrink_measured(result: Measurement | Failure | Any) -> None:
    """A model was measured on a device, or could not be."""


@hookspec
def edgeshrink_run_finished(name: str, done: int, count: int, seconds: float, failure: str) -> None:
    """A study has ended one of its runs, `done` of `count`; `failure` says why it failed, if so."""
