"""The models of a run: the base, and what the stages hold, loaded when they are wanted."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.engine.planning.base import load_base
from edgeshrink.engine.planning.request import Planned
from edgeshrink.models import RUNNABLE, Artifact, Kind
from edgeshrink.samples import ModelOutputs

if TYPE_CHECKING:
    import keras


class Models:
    """Loads the models of one run."""

    def __init__(self, planned: Planned, scratch: Path) -> None:
        self._scratch = scratch
        self._last: tuple[str, Any] | None = None
        self._facts = planned.facts
        self._request, self._base = planned.request, planned.base
        self._opened = planned.opened

    @cached_property
    def base(self) -> keras.Model:
        """The uncompressed model; never trained."""
        return self.fresh_base()

    @cached_property
    def weighed_base(self) -> Artifact:
        """The base as its size is told: saved again, since optimizer state triples a file.

        What Keras quantized in it keeps its codes.
        """
        from edgeshrink.nn.loading import is_wrapped, load_stored, save_model

        if self._base.kind is not Kind.KERAS or is_wrapped(self.base):
            return self._base
        path, request, model = self._scratch / "base.keras", self._request, self.base
        if self._facts.quantized:
            model = load_stored(request.model, custom=request.custom, unsafe=request.unsafe)
        save_model(model, path)
        return Artifact(path, Kind.KERAS)

    @property
    def inputs(self) -> tuple[dict[str, tuple[int | None, ...]], dict[str, str]]:
        """The shape of each of the base's inputs by name, batch first, and its type."""
        tensors = self.base.inputs
        return {t.name: tuple(t.shape) for t in tensors}, {t.name: t.dtype for t in tensors}

    @cached_property
    def output_names(self) -> list[str]:
        """Names of the base's outputs, in order."""
        from edgeshrink.nn.graph import output_names

        return output_names(self.base)

    def fresh_base(self) -> keras.Model:
        """Return a new copy of the uncompressed model."""
        return load_base(self._request, self._opened)

    def load(self, artifact: Artifact) -> Any:
        """Return a new model of an artifact: a Keras model, or the bytes of a .tflite."""
        if artifact is self._base:
            return self.fresh_base()
        if artifact.kind in RUNNABLE:
            from edgeshrink.tflite import tflite_bytes

            return tflite_bytes(artifact.path)
        from edgeshrink.nn.loading import load_model

        return load_model(artifact.path, custom=self._request.custom, unsafe=self._request.unsafe)

    def shown(self, artifact: Artifact) -> Any:
        """Return a model that is only looked at and run, never changed; kept while it is wanted."""
        if artifact is self._base:
            return self.base
        if self._last is None or self._last[0] != artifact.digest:
            self._last = artifact.digest, self.load(artifact)
        return self._last[1]

    @cached_property
    def outputs(self) -> ModelOutputs:
        """What is known of the base's outputs: by its layers, its file and the user."""
        from edgeshrink.nn.learning import output_facts

        request, facts = self._request, output_facts(self.base)
        return ModelOutputs(facts, self._facts.compiled, request.task, request.decode)
