"""Metadata: labels and normalization inside the file, for MediaPipe and Android's libraries."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edgeshrink.api import Context, Kind, Method, Phase, Plan, UsageError, hookimpl
from edgeshrink_metadata.options import Options

# Layers that take pixels as they are.
SCALING = frozenset({"Rescaling", "Normalization"})


class Metadata(Method):
    """Write labels and normalization into the file, where MediaPipe and Android look for them.

    For classifiers of images. The names of classes are those of the data, or of a file; how
    pixels become what the model takes is told by --preprocess, or by numbers.
    """

    name, title, phase = "metadata", "Metadata", Phase.DESCRIBE
    accepts, produces, Options = (Kind.TFLITE,), Kind.TFLITE, Options
    keeps = frozenset({"sparsity", "clusters", "outputs", "quantization"})

    @property
    def files(self) -> tuple[Path, ...]:
        """The file of labels, if one is given."""
        return (Path(self.options.labels),) if self.options.labels else ()

    def check(self, plan: Plan) -> Iterable[str]:
        """Say what MediaPipe will not take.

        Raises:
            UsageError: the model is no classifier of images, or what is to be written is not known.
            DataError: names of classes are missing, or not as many as the model has classes.
        """
        from edgeshrink_metadata.labels import labels
        from edgeshrink_metadata.models import check_model
        from edgeshrink_metadata.normalization import normalization

        if plan.has("lut", among=plan.after):
            raise UsageError(
                "--metadata is for apps; --lut makes a file for microcontrollers, and drops it",
                hint="drop one of them",
            )
        data, inside = plan.data, bool(SCALING & set(plan.base.preprocessing))
        if data is not None and any(step.bakes for step in plan.before):
            data, inside = data.stored, True
        values, channels = check_model(plan.base, data)
        labels(self.options, data, values)
        found = normalization(self.options, data, channels, inside=inside)
        if channels == 1:
            yield "MediaPipe takes images of three channels, and refuses a file for one"
        if len({*found.mean}) > 1 or len({*found.std}) > 1:
            yield (
                "MediaPipe takes one mean and one std for all channels, and refuses a file with "
                "several; --bake-preprocess does the normalization inside the model"
            )

    def apply(self, model: bytes, context: Context) -> bytes:
        """Return the file with metadata, which was run: it answers as before."""
        from edgeshrink_metadata.describing import described

        return described(model, self.options, context)


@hookimpl
def edgeshrink_methods() -> list[type[Method]]:
    """Return the methods of this plugin."""
    return [Metadata]
