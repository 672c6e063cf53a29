"""The inputs and outputs of a .tflite by the names that its signature gives them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Signature:
    """What goes into a .tflite and what comes out, by name.

    Attributes:
        types: of the inputs; a quantized input takes real values, which the runner quantizes.
    """

    inputs: dict[str, tuple[int, ...]]
    types: dict[str, str]
    outputs: dict[str, tuple[int, ...]]

    @classmethod
    def read(cls, path: Path) -> Signature:
        """Return the first signature of a file, or its inputs and outputs if it has none.

        Raises:
            ModelError: the file is no whole .tflite, packed or not.
        """
        from edgeshrink.tflite import read_model, tflite_bytes

        flat = read_model(tflite_bytes(path))
        by_index = {t.index: t for t in flat.tensors if t.subgraph == 0}
        if flat.signatures:
            signature = flat.signatures[0]
            ins = {n: by_index[i] for n, i in signature.inputs.items()}
            outs = {n: by_index[i] for n, i in signature.outputs.items()}
        else:
            ins, outs = {t.name: t for t in flat.inputs}, {t.name: t for t in flat.outputs}
        return cls(
            {n: t.shape for n, t in ins.items()},
            {n: "float32" if t.scales else t.dtype for n, t in ins.items()},
            {n: t.shape for n, t in outs.items()},
        )
