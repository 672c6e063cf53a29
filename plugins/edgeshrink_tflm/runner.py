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
import re
import resource
import sys
import tempfile
import time
import warnings
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


def loads(data: bytes, arena: int, *, runs: bool = False) -> bool:
    """Tell whether the model loads, and runs if asked for, by a process of its own: it may crash.

    Too small an arena does that, and kernels that read what is not there yet.
    """
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what it says of this is no failure
        try:
            interpreter = create(data, arena)
            if runs:
                interpreter.invoke()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def smallest(data: bytes) -> int:
    """Return the fewest bytes of arena that the model loads with, in steps of 16.

    That is what a roomy interpreter has recorded, or somewhat more, which loading takes at times.
    """
    high = -(-allocated(create(data))["arena_bytes"] // STEP)
    low = high - 1
    if loads(data, low * STEP):
        low, high = 0, low
    while not loads(data, high * STEP):
        low, high = high, high + 2 * (high - low)
    while high - low > 1:  # `high` loads, `low` does not
        middle = (low + high) // 2
        if loads(data, middle * STEP):
            high = middle
        else:
            low = middle
    return high * STEP


def allocated(interpreter: Any) -> dict[str, int]:
    """Return the bytes of arena that an interpreter took, as its own record has them.

    `planned` holds tensors, which share places, and `kept` what stays as long as the interpreter.
    """
    with tempfile.TemporaryFile() as told:
        sys.stderr.flush()
        before = os.dup(2)
        try:
            os.dup2(told.fileno(), 2)
            interpreter.print_allocations()
        finally:
            os.dup2(before, 2)
            os.close(before)
        told.seek(0)
        words = told.read().decode("utf-8", "replace")
    found = dict(re.findall(r"Arena allocation (total|head|tail) (\d+) bytes", words))
    names = {"arena_bytes": "total", "planned_bytes": "head", "kept_bytes": "tail"}
    return {name: int(found[word]) for name, word in names.items()}


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
    record = allocated(interpreter)
    times: list[int] = []
    longest = job["seconds"] * 1e9
    while len(times) < 2 or (len(times) <= job["runs"] and sum(times) < longest):
        started = clock()
        interpreter.invoke()
        times.append(clock() - started)
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "arena_bytes": arena,
        "planned_bytes": record["planned_bytes"],
        "kept_bytes": record["kept_bytes"],
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


def encode(job: Job) -> Job:
    """Write a model once for each choice of tensors that are to be looked up; see `tables.py`."""
    from tflite_micro import compression

    data, refused = Path(job["model"]).read_bytes(), []
    warnings.simplefilter("ignore")  # that a file grows is seen in the file
    for choice, path in zip(job["choices"], job["outputs"], strict=True):
        tensors = compression.parse_yaml(json.dumps({"tensors": choice}))  # YAML holds JSON
        try:
            Path(path).write_bytes(compression.compress(bytearray(data), tensors))
            refused.append("")
        except Exception as error:  # of the compressor, whose class is not public
            refused.append(str(error) or type(error).__name__)
    return {"refused": refused}


def arenas(job: Job) -> Job:
    """Return the arena of each model, 0 for one that does not load or run."""
    models = (Path(path).read_bytes() for path in job["models"])
    return {"arenas": [smallest(one) if loads(one, ROOMY, runs=True) else 0 for one in models]}


def answers(job: Job) -> Job:
    """Return what each model makes of the same random inputs, over their whole range.

    For each model a digest of the stored bytes of all its outputs, for each input.
    """
    import numpy as np

    digests = []
    for path in job["models"]:
        interpreter = create(Path(path).read_bytes())
        random, found = np.random.default_rng(job["seed"]), hashlib.sha256()
        details = [interpreter.get_input_details(n) for n in range(job["inputs"])]
        for _ in range(job["count"]):
            if job["stateful"]:
                interpreter.reset()
            for position, detail in enumerate(details):
                interpreter.set_input(drawn(detail, random), position)
            interpreter.invoke()
            for position in range(job["outputs"]):
                found.update(np.ascontiguousarray(interpreter.get_output(position)).tobytes())
        digests.append(found.hexdigest())
    return {"digests": digests}


def vector(job: Job) -> Job:
    """Run one random input, and write what went in and what came out, as stored."""
    import numpy as np

    interpreter = create(Path(job["model"]).read_bytes())
    random = np.random.default_rng(job["seed"])
    for position, path in enumerate(job["inputs"]):
        values = drawn(interpreter.get_input_details(position), random)
        interpreter.set_input(values, position)
        np.save(path, values)
    interpreter.invoke()
    for position, path in enumerate(job["outputs"]):
        np.save(path, interpreter.get_output(position))
    return {}


def drawn(detail: dict[str, Any], random: np.random.Generator) -> np.ndarray:
    """Return random values for an input: all of an integer's range, else -1 to 1."""
    import numpy as np

    dtype = np.dtype(detail["dtype"])
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, detail["shape"], dtype, endpoint=True)
    return np.asarray(random.uniform(-1, 1, detail["shape"]), dtype)


KINDS = {
    "facts": tell_facts,
    "measure": measure,
    "predict": predict,
    "encode": encode,
    "arenas": arenas,
    "answers": answers,
    "vector": vector,
}


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
