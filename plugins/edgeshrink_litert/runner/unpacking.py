"""Unpack the models of a job that came as packed files."""

import contextlib
import os
import sys

from .result import JobError


@contextlib.contextmanager
def plain(job):
    """Yield the job with every packed model as a .tflite beside the job, then remove those."""
    written, models = [], []
    try:
        for number, model in enumerate(job.get("models", ())):
            if model.get("packed"):
                model = dict(model, path=_unpacked(model["path"], number), packed=False)
                written.append(model["path"])
            models.append(model)
        yield dict(job, models=models) if models else job
    finally:
        for path in written:
            os.remove(path)


def _unpacked(path, number):
    """Write what a packed file holds, and return where."""
    from . import esz

    with open(path, "rb") as stream:
        packed = stream.read()
    try:
        data = esz.unpack(packed)
    except esz.Broken as error:
        raise JobError("the packed file is damaged: %s" % error) from None
    job = os.path.abspath(sys.argv[1])
    out = "%s-%d.tflite" % (os.path.splitext(job)[0], number)
    with open(out, "wb") as stream:
        stream.write(data)
    return out
