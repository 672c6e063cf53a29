"""What the machine, Python and the runtime say of themselves."""

import os
import platform

from . import backends, processor, sensors
from .machine import cores, read_text, values


def facts(job):
    """Return them as plain values; with a model to try (`probe`) also the GPU's adapter."""
    backend = backends.find(job)
    adapter = getattr(backend, "adapter", "")
    if "probe" in job:
        adapter = backend.load(job, job["probe"]).adapter
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = None
    release = read_text("etc/os-release").replace("=", ":").replace('"', "")
    return {
        "cpu": processor.name() or platform.processor(),
        "machine": platform.machine(),
        "cores": cores(),
        "memory_bytes": memory,
        "system": "".join(values(release, "PRETTY_NAME")[:1]) or platform.platform(terse=True),
        "python": platform.python_version(),
        "runtime": backend.name,
        "runtime_version": backend.version,
        "numpy": backend.numpy,
        "adapter": adapter,
        "emulated": processor.emulated(platform.machine()),
        "board": processor.board(),
        "kernel": platform.release(),
        "conditions": sensors.conditions(),
    }
