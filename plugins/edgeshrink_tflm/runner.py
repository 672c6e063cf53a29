"""Run one .tflite model in TensorFlow Lite Micro's interpreter; always in a process of its own.

Needs numpy and tflite-micro, nothing of edgeshrink. The argument is a JSON file that says what
to do (`kind`, see `KINDS`) and where the answer goes: a file that appears whole or not at all,
so that a crash is seen as a missing answer. The interpreter's reasons go to standard error; its
exceptions say only that something failed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Job = dict[str, Any]

# An arena is aligned to this, and so are its parts.
STEP = 16
# More than any microcontroller has; memory that is not used is not taken.
ROOMY = 1 << 28


def create(data: bytes, arena: int = ROOMY) -> Any:
    """Return an interpreter for a model, with so many bytes of arena."""
    from tflite_micro import runtime

    return runtime.Interpreter.from_bytes(data, arena_size=arena)


def loads(data: bytes, arena: int) -> bool:
    """Tell whether the model loads, by a process of its own: too small an arena may crash."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what it says of this is no failure
        try:
            create(data, arena)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def smallest(data: bytes) -> int:
    """Return the fewest bytes of arena that the model loads with, in steps of 16."""
    low, high = 0, ROOMY // STEP  # `high` loads, `low` does not
    while high - low > 1:
        middle = (low + high) // 2
        if loads(data, middle * STEP):
            high = middle
        else:
            low = middle
    return high * STEP


def to_stored(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """Return real values as the input takes them: quantized if it has a scale, cast if not."""
    import numpy as np

    dtype = np.dtype(detail["dtype"])
    if dtype.kind not in "iu":
        return np.ascontiguousarray(values, dtype=dtype)
    limits = np.iinfo(dtype)
    parameters = detail["quantization_parameters"]
    if len(parameters["scales"]) and parameters["scales"][0]:
        values = np.divide(values, parameters["scales"][0], dtype=np.float32)
        values = np.rint(values) + parameters["zero_points"][0]
    return np.asarray(np.clip(np.rint(values), limits.min, limits.max), dtype)


def to_real(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """Return what an output holds as float32."""
    import numpy as np

    parameters = detail["quantization_parameters"]
    stored = np.asarray(values, np.float32)
    if np.dtype(detail["dtype"]).kind not in "iu" or not len(parameters["scales"]):
        return stored
    zero_point = np.float32(parameters["zero_points"][0])
    return (stored - zero_point) * np.float32(parameters["scales"][0])


def tell_facts(job: Job) -> Job:
    """Return what the package and the machine say of themselves."""
    import numpy
    import tflite_micro

    return {
        "runtime_version": tflite_micro.__version__,
        "machine": platform.machine(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
    }


def measure(job: Job) -> Job:
    """Return the arena that the model needs, and a few times of this machine."""
    import numpy as np

    data = Path(job["model"]).read_bytes()
    create(data)  # a refusal that has another reason than the arena is told here
    arena = smallest(data)
    clock = time.perf_counter_ns
    started = clock()
    interpreter = create(data, arena)
    load_ns = clock() - started
    random = np.random.default_rng(0)
    for position in range(job["inputs"]):
        detail = interpreter.get_input_details(position)
        values = random.random(detail["shape"], dtype=np.float32)
        interpreter.set_input(to_stored(values, detail), position)
    times: list[int] = []
    longest = job["seconds"] * 1e9
    while len(times) < 2 or (len(times) <= job["runs"] and sum(times) < longest):
        started = clock()
        interpreter.invoke()
        times.append(clock() - started)
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "arena_bytes": arena,
        "load_ns": load_ns,
        "first_ns": times[0],
        "samples_ns": times[1:],
    }


def predict(job: Job) -> Job:
    """Run every sample, one by one, and write the outputs as real values."""
    import numpy as np

    data = Path(job["model"]).read_bytes()
    interpreter = create(data)
    arrays = [np.load(path, mmap_mode="r", allow_pickle=False) for path in job["inputs"]]
    places = [interpreter.get_input_details(n) for n in range(len(arrays))]
    answers = [interpreter.get_output_details(n) for n in range(len(job["outputs"]))]
    results: list[np.ndarray] = []
    told = time.monotonic()
    for index in range(len(arrays[0])):
        if job["stateful"]:
            interpreter.reset()
        for position, (array, detail) in enumerate(zip(arrays, places, strict=True)):
            stored = to_stored(array[index : index + 1], detail)
            interpreter.set_input(stored.reshape(detail["shape"]), position)
        interpreter.invoke()
        for position, detail in enumerate(answers):
            value = to_real(interpreter.get_output(position), detail)
            # An output that does not begin with the batch (a scalar, say) is kept whole.
            row = value[0] if value.ndim and len(value) == 1 else value
            if index == 0:
                results.append(np.empty((len(arrays[0]), *row.shape), np.float32))
            results[position][index] = row
        if time.monotonic() - told > 0.2:
            told = time.monotonic()
            print(f"progress {index / len(arrays[0]):.3f} predicting", flush=True)
    for path, result in zip(job["outputs"], results, strict=True):
        np.save(path, result)
    return {"count": len(arrays[0]), "sha256": hashlib.sha256(data).hexdigest()}


KINDS = {"facts": tell_facts, "measure": measure, "predict": predict}


def main() -> None:
    """Do the job named on the command line."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        answer = KINDS[job["kind"]](job)
    except ImportError as error:
        answer = {"error": str(error), "missing": error.name}
    except (RuntimeError, ValueError, TypeError, OSError, MemoryError) as error:
        answer = {"error": str(error) or type(error).__name__}
    partial = Path(job["answer"] + ".partial")
    partial.write_text(json.dumps(answer), encoding="utf-8")
    partial.replace(job["answer"])


if __name__ == "__main__":
    main()
