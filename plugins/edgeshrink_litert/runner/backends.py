"""Which runtime is here: a Python package with numpy, or LiteRT's bare library without.

A back end has a `name`, a `version`, `numpy` (its version, or nothing), `batches` (whether it can
run several samples at once), and `load(job, model)`, which returns a model that can be run. One of
another plugin is in the module `backend` beside this one.
"""

from .result import JobError, first_line

PACKAGES = (("ai_edge_litert", "ai-edge-litert"), ("tflite_runtime", "tflite-runtime"))
# numpy 2 under a runtime that was built for numpy 1 fails in all these ways.
UNUSABLE = (ImportError, SystemError, AttributeError, OSError, RuntimeError)


def find(job):
    """Return the first back end that works here.

    Raises:
        JobError: there is none; it names all that were tried.
    """
    if "backend" in job:
        from .other import Other

        return Other(job)
    if job.get("accelerator", "cpu") == "gpu":
        from .gpu import Gpu

        return Gpu()
    from .interpreter import Package

    tried = []
    for module, name in PACKAGES:
        try:
            return Package(module, name)
        except UNUSABLE as error:
            tried.append("%s (%s)" % (name, first_line(error)))
    from .bare import Bare

    try:
        return Bare(job.get("library", ""))
    except (JobError, ImportError, OSError, AttributeError) as error:
        tried.append("libLiteRt.so (%s)" % first_line(error))
    raise JobError("no runtime: tried %s" % "; ".join(tried))


def predict(job):
    """Run all samples of a set through one model."""
    backend = find(job)
    if backend.batches:
        from . import predictor

        return predictor.predict(job, backend)
    from . import single

    return single.predict(job, backend)
