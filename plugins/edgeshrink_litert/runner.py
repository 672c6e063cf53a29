"""Run .tflite models on a device: this file is pushed there, with predictor.py and operators.py.

Needs Python 3.8, numpy, and ai-edge-litert or tflite-runtime; nothing of edgeshrink. The
argument is a JSON file that says what to do (`kind`, see `KINDS`). Progress is printed as lines
`progress 0.25 note`; the last three lines are the result between two marks that carry the job's
id, the length and the SHA-256 of the JSON, so that half an answer is seen to be half.

Timing happens in processes of its own. One that crashes takes no other model's numbers with it.
"""

import gc
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from array import array

BEGIN, END = "edgeshrink-result", "edgeshrink-end"
# Counted time of one model before the next has its turn.
TURN_NS = 50_000_000


class JobError(Exception):
    """The job cannot be done, for a reason that is told in the result."""


# ---- results and progress ------------------------------------------------------------------


def print_result(job, result):
    """Print a result between its marks."""
    body = json.dumps(dict(result, id=job["id"]))
    digest = hashlib.sha256(body.encode()).hexdigest()
    print(BEGIN, job["id"], len(body), digest)
    print(body)
    print(END, job["id"], flush=True)


def read_result(text, job_id):
    """Return the result with this id in a runner's output, or None if it is not there whole."""
    lines = text.splitlines()
    for number, line in enumerate(lines[:-2]):
        parts = line.split(" ")
        if len(parts) != 4 or parts[:2] != [BEGIN, job_id]:
            continue
        body, end = lines[number + 1], lines[number + 2]
        whole = (
            end == END + " " + job_id
            and str(len(body)) == parts[2]
            and hashlib.sha256(body.encode()).hexdigest() == parts[3]
        )
        return json.loads(body) if whole else None
    return None


def progress(share, note):
    """Print how much is done."""
    print("progress %.3f %s" % (min(1.0, share), note), flush=True)


def sha256(path):
    """Return the SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def first_line(error):
    """Return an exception as one line; the runtime's own span several."""
    return " ".join(str(error).split()) or type(error).__name__


# ---- what the machine says of itself -------------------------------------------------------


def read_text(path):
    """Return a small file's text, or an empty one if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip("\0\n ")
    except OSError:
        return ""


def field(text, names):
    """Return the first value of `name: value` lines that is there."""
    for name in names:
        for line in text.splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name and value.strip():
                return value.strip()
    return ""


def memory_bytes(key):
    """Return VmRSS or VmHWM of this process in bytes, or None where the system does not tell."""
    value = field(read_text("/proc/self/status"), [key]).split()
    return int(value[0]) * 1024 if value else None


def cores():
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def conditions():
    """Return what may disturb a measurement, as far as it can be read."""
    found = {}
    if hasattr(os, "getloadavg"):
        found["load_average"] = round(os.getloadavg()[0], 2)
    governor = read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor:
        found["governor"] = governor
    temperature = read_text("/sys/class/thermal/thermal_zone0/temp")
    if temperature.lstrip("-").isdigit():
        found["temperature_celsius"] = int(temperature) / 1000
    return found


def facts():
    """Return what the machine, Python and the runtime say of themselves."""
    import numpy

    _, name, version = runtime()
    cpuinfo = read_text("/proc/cpuinfo")
    cpu = field(cpuinfo, ["model name", "Model", "Hardware"])
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = None
    release = read_text("/etc/os-release").replace("=", ":").replace('"', "")
    return {
        "cpu": cpu or read_text("/proc/device-tree/model") or platform.processor(),
        "machine": platform.machine(),
        "cores": cores(),
        "memory_bytes": memory,
        "system": field(release, ["PRETTY_NAME"]) or platform.platform(terse=True),
        "python": platform.python_version(),
        "runtime": name,
        "runtime_version": version,
        "numpy": numpy.__version__,
        "extra": dict(conditions(), kernel=platform.release()),
    }


# ---- the runtime ---------------------------------------------------------------------------


def runtime():
    """Return the interpreter module of the runtime that is installed, its name and version."""
    try:
        import ai_edge_litert as package
        from ai_edge_litert import interpreter

        return interpreter, "ai-edge-litert", getattr(package, "__version__", "")
    except ImportError as error:
        missing = error
    try:
        import tflite_runtime as package
        from tflite_runtime import interpreter

        return interpreter, "tflite-runtime", getattr(package, "__version__", "")
    except ImportError:
        raise JobError("no runtime: %s" % missing)


def create(job, model, threads=1):
    """Return an interpreter for a path or for bytes; its tensors are not allocated yet."""
    module = runtime()[0]
    options = {"num_threads": threads}
    if job.get("delegate") == "none":
        kernels = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        options["experimental_op_resolver_type"] = kernels
    source = "model_content" if isinstance(model, bytes) else "model_path"
    return module.Interpreter(**dict(options, **{source: model}))


def to_stored(values, detail):
    """Return real values as the input takes them: quantized if it has a scale, cast if not."""
    import numpy as np

    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    if dtype.kind == "b":
        return np.asarray(values) != 0
    if dtype.kind not in "iu":
        return np.ascontiguousarray(values, dtype=dtype)
    limits = np.iinfo(dtype)
    if not scale:
        whole = values if np.asarray(values).dtype.kind in "iu" else np.rint(values)
        return np.clip(whole, limits.min, limits.max).astype(dtype)
    stored = np.divide(values, np.float32(scale), dtype=np.float32)
    np.rint(stored, out=stored)
    stored += zero_point
    return np.clip(stored, limits.min, limits.max, out=stored).astype(dtype)


def to_real(values, detail):
    """Return what an output holds as float32."""
    import numpy as np

    scale, zero_point = detail["quantization"]
    if scale and values.dtype.kind in "iu":
        return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return values.astype(np.float32)


# ---- timing: the parent --------------------------------------------------------------------


def run_child(job, **changes):
    """Do a job in a process of its own and return its result, or raise `JobError`."""
    child = dict(job, **changes)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(sys.argv[1]))) as folder:
        path = os.path.join(folder, "job.json")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(child, stream)
        with open(os.path.join(folder, "errors"), "w+", encoding="utf-8") as errors:
            command = [sys.executable, os.path.abspath(__file__), path]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, universal_newlines=True
            )
            lines = []
            for line in process.stdout:
                if line.startswith("progress "):
                    sys.stdout.write(line)
                    sys.stdout.flush()
                else:
                    lines.append(line)
            process.stdout.close()
            code = process.wait()
            result = read_result("".join(lines), job["id"])
            if result is None:
                errors.seek(0)
                tail = errors.read().strip().splitlines()[-1:]
                raise JobError("killed by signal %d" % -code if code < 0 else "".join(tail))
    if "error" in result:
        raise JobError(result["error"])
    return result


def time_models(job):
    """Time all models: their start one by one, then runs in turns, one by one after a crash."""
    results = [{"sha256": sha256(m["path"]), "notes": []} for m in job["models"]]
    for model, result in zip(job["models"], results):
        try:
            result.update(run_child(job, kind="start", models=[model]))
        except JobError as error:
            result["error"] = str(error)
    alive = [n for n, result in enumerate(results) if "error" not in result]

    def measure(numbers, note):
        chosen = [job["models"][n] for n in numbers]
        answer = run_child(job, kind="latency", models=chosen)
        for n, timed in zip(numbers, answer["models"]):
            results[n].update(timed)
            results[n]["conditions"] = answer["conditions"]
            results[n]["notes"] += [note] if note else []

    if alive:
        try:
            measure(alive, "")
        except JobError as error:
            for n in alive:
                note = "timed alone, since the process that timed all was " + str(error)
                try:
                    measure([n], note)
                except JobError as own:
                    results[n]["error"] = str(own)
    return {"count": len(results), "models": results}


# ---- timing: the children ------------------------------------------------------------------


def load(job, model):
    """Load a model, fill its inputs and run it once; return it with both times in ns."""
    import numpy as np

    started = time.perf_counter_ns()
    interpreter = create(job, model["path"], job["threads"])
    interpreter.allocate_tensors()
    load_ns = time.perf_counter_ns() - started
    random = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        values = random.random([max(1, int(n)) for n in detail["shape"]], dtype=np.float32)
        interpreter.set_tensor(detail["index"], to_stored(values, detail))
    started = time.perf_counter_ns()
    interpreter.invoke()
    first_ns = time.perf_counter_ns() - started
    return {
        "interpreter": interpreter,
        "stateful": model["stateful"],
        "samples": array("q"),
        "total": 0,
        "load_ns": load_ns,
        "first_ns": first_ns,
    }


def run_for(state, runs, nanoseconds, count):
    """Run until both floors are reached; add to the model's samples if they count."""
    interpreter, clock = state["interpreter"], time.perf_counter_ns
    done, total = 0, 0
    while done < runs or total < nanoseconds:
        if state["stateful"]:
            interpreter.reset_all_variables()
        started = clock()
        interpreter.invoke()
        taken = clock() - started
        done, total = done + 1, total + taken
        if count:
            state["samples"].append(taken)
    if count:
        state["total"] += total


def measure_start(job):
    """Return one model's memory, and its time to load and first run, in a fresh process."""
    import numpy  # noqa: F401

    runtime()
    before = memory_bytes("VmRSS")
    state = load(job, job["models"][0])
    run_for(state, 3, 0, count=False)
    return {
        "runtime_memory_bytes": before,
        "peak_memory_bytes": memory_bytes("VmHWM"),
        "load_ns": state["load_ns"],
        "first_ns": state["first_ns"],
    }


def measure_latency(job):
    """Time the models in turns, A B A B, every other round backwards, until all have enough."""
    before = conditions()
    states = [load(job, model) for model in job["models"]]
    plan = job["plan"]
    for state in states:
        run_for(state, plan["warmup_runs"], plan["warmup_seconds"] * 1e9, count=False)

    def share(state):
        floors = (len(state["samples"]) / plan["runs"], state["total"] / 1e9 / plan["seconds"])
        return max(min(floors), state["total"] / 1e9 / plan["max_seconds"])

    pending, told = list(states), 0.0
    gc.collect()
    gc.disable()
    while pending:
        for state in pending:
            # The model that ran before has taken the caches: one run that does not count.
            run_for(state, 1, 0, count=False)
            run_for(state, 1, TURN_NS, count=True)
        pending = [state for state in reversed(pending) if share(state) < 1]
        if time.monotonic() - told > 0.2:
            told = time.monotonic()
            done = sum(min(1.0, share(s)) for s in states) / len(states)
            progress(done, "timing")
    gc.enable()
    models = [{"samples_ns": state["samples"].tolist()} for state in states]
    return {"models": models, "conditions": {"before": before, "after": conditions()}}


def predict(job):
    """Run all samples of a set."""
    import predictor

    return predictor.predict(job)


def time_operators(job):
    """Time the operators of one model."""
    import operators

    return operators.profile(job)


KINDS = {
    "facts": lambda job: facts(),
    "time": time_models,
    "start": measure_start,
    "latency": measure_latency,
    "predict": predict,
    "operators": time_operators,
}


def main():
    """Do the job named on the command line."""
    # Before numpy is imported: its own threads would stand in the runtime's way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with open(sys.argv[1], encoding="utf-8") as stream:
        job = json.load(stream)
    try:
        result = KINDS[job["kind"]](job)
    except (JobError, ImportError, RuntimeError, ValueError, OSError, MemoryError) as error:
        result = {"error": first_line(error)}
    print_result(job, result)


if __name__ == "__main__":
    # Under its own name, by which the files beside it know it.
    import runner

    runner.main()
