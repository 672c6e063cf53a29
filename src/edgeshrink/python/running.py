"""A .tflite that is called like a function."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import DataError
from edgeshrink.tflite import read_model, tensor_names, tflite_bytes

if TYPE_CHECKING:
    import numpy as np


class Net:
    """A .tflite file in LiteRT, on this machine.

    Args:
        path: a .tflite or .esz file.

    Attributes:
        interpreter: LiteRT's own, with its tensors allocated.

    Example:
        >>> net = edgeshrink.compress(model, int8=True).load()             # doctest: +SKIP
        >>> net(images).argmax(-1)                                         # doctest: +SKIP
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        data = tflite_bytes(path)
        self._flat = read_model(data)
        self._inputs, self._outputs = tensor_names(self._flat)
        self.interpreter: Any = Interpreter(model_content=data)
        self.interpreter.allocate_tensors()
        self._details = {
            one["index"]: one
            for one in (*self.interpreter.get_input_details(), *self.outputs_details)
        }

    @property
    def outputs_details(self) -> list[dict[str, Any]]:
        """What LiteRT tells of the outputs."""
        found: list[dict[str, Any]] = self.interpreter.get_output_details()
        return found

    def __call__(self, x: Any) -> Any:
        """Return the outputs for samples.

        Args:
            x: `(samples, ...)` as the model sees them, preprocessed; by name where there are
                several inputs. Quantized inputs take real numbers, or codes of their own type.

        Returns:
            `(samples, ...)` in real numbers; by name where there are several outputs.

        Raises:
            DataError: there is not an array for each input, or its shape does not fit.
        """
        import numpy as np

        if len(self._inputs) > 1 and not isinstance(x, Mapping):
            raise DataError(
                f"the model takes {', '.join(self._inputs)}; received a {type(x).__name__} without "
                "names",
                hint=f"give a dict: {{'{next(iter(self._inputs))}': …}}",
            )
        given = x if isinstance(x, Mapping) else {next(iter(self._inputs)): x}
        if set(given) != set(self._inputs):
            raise DataError(
                f"the model takes {', '.join(self._inputs)}; received {', '.join(map(str, given))}"
            )
        arrays = {name: np.asarray(values) for name, values in given.items()}
        for name, values in arrays.items():
            wanted = tuple(self._details[self._inputs[name]]["shape"][1:])
            if values.shape[1:] != wanted:
                raise DataError(
                    f"{name} must have the shape (samples, {', '.join(map(str, wanted))}); "
                    f"received {values.shape}"
                )
        counts = {name: len(values) for name, values in arrays.items()}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise DataError(f"all inputs must have as many samples; received {told}")
        found: dict[str, list[Any]] = {name: [] for name in self._outputs}
        for place in range(len(next(iter(arrays.values())))):  # files have a batch of one
            self._run({name: values[place : place + 1] for name, values in arrays.items()})
            for name, index in self._outputs.items():
                found[name].append(self._real(index))
        made = {
            name: np.concatenate(some or [self._real(self._outputs[name])[:0]])
            for name, some in found.items()
        }
        return next(iter(made.values())) if len(made) == 1 else made

    def _run(self, sample: Mapping[str, np.ndarray[Any, Any]]) -> None:
        import numpy as np

        if self._flat.stateful:
            self.interpreter.reset_all_variables()
        for name, values in sample.items():
            detail = self._details[self._inputs[name]]
            scale, zero = detail["quantization"]
            if scale and values.dtype != detail["dtype"]:
                most = np.iinfo(detail["dtype"])
                values = np.clip(np.rint(values / scale + zero), most.min, most.max)
            self.interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
        self.interpreter.invoke()

    def _real(self, index: int) -> np.ndarray[Any, Any]:
        import numpy as np

        detail = self._details[index]
        values = self.interpreter.get_tensor(index)
        scale, zero = detail["quantization"]
        return (values.astype(np.float32) - zero) * scale if scale else np.asarray(values)
