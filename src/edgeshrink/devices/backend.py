"""What runs models on a device in place of the runner's own back ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeshrink.part import Package


@dataclass(frozen=True)
class Backend:
    """What a runtime's runner runs models by on a device, in place of what it knows itself.

    Its module is shipped with the runner, needs nothing of edgeshrink, and defines

    - `Runtime(accelerator, settings)`, with `name`, `version`, `numpy` (its version) and
      `adapter` (a GPU or NPU by its name); it raises `ImportError` where the package is missing,
      `ValueError` with a sentence where it does not suit;
    - its `load(path, threads, inputs, outputs)`, which returns a loaded model: `load_ns`,
      `kernels` (in words), `run()`, `reset()` of what is kept between runs, `write(number, data)`
      and `read(number)` of one sample's bytes. `inputs` and `outputs` are lists of mappings with
      `label` (the tensor's name in the file), `dtype` and `shape`; `number` is a place in them. It
      raises `ValueError` with a sentence for a model that it refuses.

    Attributes:
        module: the file.
        package: what it imports, which must be installed on the device.
        settings: what it is told, as JSON values.
        seconds: that a job may take before it is stopped; None for as long as it needs.
    """

    module: Path
    package: Package
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    seconds: float | None = None
