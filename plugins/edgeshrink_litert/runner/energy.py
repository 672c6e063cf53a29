"""Measure the energy of one model's inferences, in a process of its own."""

import time

from . import backends, power
from .result import progress
from .timing import Timed, stay_on_cores

IDLE_SECONDS, RUN_SECONDS = 2.0, 10.0


def measure_energy(job, root="/", idle=IDLE_SECONDS, least=RUN_SECONDS):
    """Return millijoules of one inference, the device's idle power included.

    Args:
        job: has one model.
        root: the folder that stands for the root of the file system.
        idle: seconds without work, before.
        least: seconds of inferences.
    """
    stay_on_cores(job)
    meter = power.find(root)
    timed = Timed(backends.find(job), job, job["models"][0])
    timed.run_for(1, 0, count=False)
    progress(0.0, "measuring idle power")
    started = time.monotonic()
    meter.begin()
    time.sleep(idle)
    idle_joules, idle_seconds = meter.end(), time.monotonic() - started
    progress(0.2, "measuring energy")
    runs, started = 0, time.monotonic()
    meter.begin()
    while time.monotonic() - started < least:
        timed.run_for(1, 0, count=False)
        runs += 1
    joules, seconds = meter.end(), time.monotonic() - started
    return {
        "energy": {
            "millijoules": 1000 * joules / runs,
            "idle_watts": idle_joules / idle_seconds,
            "seconds": seconds,
            "source": meter.source,
        }
    }
