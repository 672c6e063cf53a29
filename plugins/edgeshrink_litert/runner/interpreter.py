"""The Python packages ai-edge-litert and tflite-runtime, which need numpy."""

import importlib
import time

# The names of what the interpreter chooses kernels by; None is its default.
KERNELS = {
    "xnnpack": None,
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}


class Package:
    """A package that has the module `interpreter`.

    Args:
        module: its name for `import`.
        name: its name for people.
    """

    batches = True

    def __init__(self, module, name):
        import numpy

        package = importlib.import_module(module)
        self.interpreter = importlib.import_module(module + ".interpreter")
        self.name, self.version = name, str(getattr(package, "__version__", ""))
        self.numpy = numpy.__version__

    def create(self, job, model, threads=1):
        """Return an interpreter for a path or for bytes; its tensors are not allocated yet."""
        options = {"num_threads": threads}
        kernels = KERNELS[job["kernels"]]
        if kernels:
            known = self.interpreter.OpResolverType
            options["experimental_op_resolver_type"] = getattr(known, kernels)
        source = "model_content" if isinstance(model, bytes) else "model_path"
        return self.interpreter.Interpreter(**dict(options, **{source: model}))

    def load(self, job, model):
        """Return a model whose inputs are filled."""
        return Interpreted(self, job, model)


class Interpreted:
    """A model in an interpreter, its inputs filled with numbers between 0 and 1."""

    def __init__(self, package, job, model):
        import numpy as np

        started = time.perf_counter_ns()
        self.interpreter = package.create(job, model["path"], job["threads"])
        self.interpreter.allocate_tensors()
        self.load_ns = time.perf_counter_ns() - started
        self.run = self.interpreter.invoke
        self.reset = self.interpreter.reset_all_variables if model["stateful"] else None
        random = np.random.default_rng(0)
        for detail in self.interpreter.get_input_details():
            values = random.random([max(1, int(n)) for n in detail["shape"]], dtype=np.float32)
            self.interpreter.set_tensor(detail["index"], to_stored(values, detail))


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
