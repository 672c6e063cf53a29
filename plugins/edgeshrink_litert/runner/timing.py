"""Time models in a process made for it: one model's start, or the latency of several in turns."""

import gc
import os
import time
from array import array

from . import backends, sensors
from .machine import memory_bytes
from .result import JobError, progress

# Counted time of one model before the next has its turn.
TURN_NS = 50_000_000


class Timed:
    """A loaded model and its runs.

    Attributes:
        first_ns: how long the first run took.
        samples: all counted runs, in nanoseconds.
        total: their sum.
    """

    def __init__(self, backend, job, model):
        self.model = backend.load(job, model)
        self.samples, self.total = array("q"), 0
        started = time.perf_counter_ns()
        self.model.run()
        self.first_ns = time.perf_counter_ns() - started

    def run_for(self, runs, nanoseconds, count):
        """Run until both floors are reached; keep the times if they count."""
        run, reset, clock = self.model.run, self.model.reset, time.perf_counter_ns
        done, total = 0, 0
        while done < runs or total < nanoseconds:
            if reset is not None:
                reset()
            started = clock()
            run()
            taken = clock() - started
            done, total = done + 1, total + taken
            if count:
                self.samples.append(taken)
        if count:
            self.total += total


def stay_on_cores(job):
    """Keep this process, and the threads that it will start, on the plan's cores.

    Raises:
        JobError: there is no such core, or the system binds no process to cores.
    """
    wanted = set(job["plan"]["affinity"])
    if not wanted:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise JobError("this system does not let a program choose its cores")
    allowed = os.sched_getaffinity(0)
    if not wanted <= allowed:
        raise JobError(
            "affinity names cores that cannot be used: %s; there are %s"
            % (_numbers(wanted - allowed), _numbers(allowed))
        )
    os.sched_setaffinity(0, wanted)


def _numbers(cores):
    return ", ".join(map(str, sorted(cores)))


def measure_start(job):
    """Return one model's memory, and its time to load and first run, in a fresh process."""
    stay_on_cores(job)
    backend = backends.find(job)
    before = memory_bytes("VmRSS")
    timed = Timed(backend, job, job["models"][0])
    timed.run_for(3, 0, count=False)
    return {
        "kernels": getattr(timed.model, "kernels", None),
        "runtime_memory_bytes": before,
        "peak_memory_bytes": memory_bytes("VmHWM"),
        "load_ns": timed.model.load_ns,
        "first_ns": timed.first_ns,
    }


def measure_latency(job):
    """Time the models in turns, A B A B, every other round backwards, until all have enough."""
    stay_on_cores(job)
    backend = backends.find(job)
    before = sensors.conditions()
    states = [Timed(backend, job, model) for model in job["models"]]
    plan = job["plan"]
    for state in states:
        state.run_for(plan["warmup_runs"], plan["warmup_seconds"] * 1e9, count=False)

    def share(state):
        floors = (len(state.samples) / plan["runs"], state.total / 1e9 / plan["seconds"])
        return max(min(floors), state.total / 1e9 / plan["max_seconds"])

    pending, told = list(states), 0.0
    gc.collect()
    gc.disable()
    while pending:
        for state in pending:
            # The model that ran before has taken the caches: one run that does not count.
            state.run_for(1, 0, count=False)
            state.run_for(1, TURN_NS, count=True)
        pending = [state for state in reversed(pending) if share(state) < 1]
        if time.monotonic() - told > 0.2:
            told = time.monotonic()
            progress(sum(min(1.0, share(s)) for s in states) / len(states), "timing")
    gc.enable()
    models = [{"samples_ns": state.samples.tolist()} for state in states]
    return {"models": models, "conditions": {"before": before, "after": sensors.conditions()}}
