"""Run one .tflite model on LiteRT's reference kernels; always in a process of its own.

They compute in integers as the format's specification says, unlike those that are made to be
fast. Needs numpy and ai-edge-litert, nothing of edgeshrink. The argument is a JSON file that
says what to do (`kind`, see `KINDS`) and where the answer goes: a file that appears whole or not
at all, so that a crash is seen as a missing answer.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Job = dict[str, Any]


def create(data: bytes) -> Any:
    """Return an interpreter for a model, its tensors allocated."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=kernels, num_threads=1
    )
    interpreter.allocate_tensors()
    return interpreter


def by_index(details: list[Job]) -> dict[int, Job]:
    """Return what the interpreter tells of tensors, by their numbers in the file."""
    return {detail["index"]: detail for detail in details}


def to_stored(values: np.ndarray, detail: Job) -> np.ndarray:
    """Return real values as the input takes them: quantized if it has a scale, cast if not."""
    import numpy as np

    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    if dtype.kind == "b":
        return np.asarray(values) != 0
    if dtype.kind not in "iu":
        return np.ascontiguousarray(values, dtype=dtype)
    limits = np.iinfo(dtype)
    if scale:
        values = np.rint(np.divide(values, np.float32(scale), dtype=np.float32)) + zero_point
    return np.asarray(np.clip(np.rint(values), limits.min, limits.max), dtype)


def to_real(values: np.ndarray, detail: Job) -> np.ndarray:
    """Return what an output holds as float32."""
    import numpy as np

    scale, zero_point = detail["quantization"]
    stored = np.asarray(values, np.float32)
    if not scale or np.dtype(detail["dtype"]).kind not in "iu":
        return stored
    return (stored - np.float32(zero_point)) * np.float32(scale)


def measure(job: Job) -> Job:
    """Return a few times of this machine, which show that the model runs again and again."""
    import numpy as np

    clock = time.perf_counter_ns
    data = Path(job["model"]).read_bytes()
    started = clock()
    interpreter = create(data)
    load_ns = clock() - started
    random = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        values = random.random([max(1, int(n)) for n in detail["shape"]], dtype=np.float32)
        interpreter.set_tensor(detail["index"], to_stored(values, detail))
    times: list[int] = []
    longest = job["seconds"] * 1e9
    while len(times) < 2 or (len(times) <= job["runs"] and sum(times) < longest):
        started = clock()
        interpreter.invoke()
        times.append(clock() - started)
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "load_ns": load_ns,
        "first_ns": times[0],
        "samples_ns": times[1:],
    }


def predict(job: Job) -> Job:
    """Run every sample, one by one, and write the outputs as real values."""
    import numpy as np

    data = Path(job["model"]).read_bytes()
    interpreter = create(data)
    inputs, outputs = (
        by_index(details)
        for details in (interpreter.get_input_details(), interpreter.get_output_details())
    )
    arrays = {
        int(index): np.load(path, mmap_mode="r", allow_pickle=False)
        for index, path in job["inputs"].items()
    }
    count = len(next(iter(arrays.values())))
    results: dict[int, np.ndarray] = {}
    told = time.monotonic()
    for sample in range(count):
        if job["stateful"]:
            interpreter.reset_all_variables()
        for index, array in arrays.items():
            stored = to_stored(array[sample : sample + 1], inputs[index])
            interpreter.set_tensor(index, stored.reshape(inputs[index]["shape"]))
        interpreter.invoke()
        for place in map(int, job["outputs"]):
            value = to_real(interpreter.get_tensor(place), outputs[place])
            # An output that does not begin with the batch (a scalar, say) is kept whole.
            row = value[0] if value.ndim and len(value) == 1 else value
            if sample == 0:
                results[place] = np.empty((count, *row.shape), np.float32)
            results[place][sample] = row
        if time.monotonic() - told > 0.2:
            told = time.monotonic()
            print(f"progress {sample / count:.3f} reference kernels", flush=True)
    for place, path in job["outputs"].items():
        np.save(path, results[int(place)])
    return {"count": count, "sha256": hashlib.sha256(data).hexdigest()}


KINDS = {"measure": measure, "predict": predict}


def main() -> None:
    """Do the job named on the command line."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        answer = KINDS[job["kind"]](job)
    except (ImportError, RuntimeError, ValueError, TypeError, OSError, MemoryError) as error:
        answer = {"error": str(error) or type(error).__name__}
    partial = Path(job["answer"] + ".partial")
    partial.write_text(json.dumps(answer), encoding="utf-8")
    partial.replace(job["answer"])


if __name__ == "__main__":
    main()
