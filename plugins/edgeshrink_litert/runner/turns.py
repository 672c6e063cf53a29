"""Time several models, each measurement in a process of its own."""

import time

from .child import run_child
from .result import JobError, progress, sha256


def time_models(job):
    """Time all models: their start one by one, then runs in turns, one by one after a crash."""
    results = [{"sha256": sha256(m["path"]), "notes": []} for m in job["models"]]
    for model, result in zip(job["models"], results):
        try:
            result.update(_of(run_child(job, kind="start", models=[model])))
        except JobError as error:
            result["error"] = str(error)
    alive = [n for n, result in enumerate(results) if "error" not in result]
    if alive:
        rest(job["plan"]["cool_down"])
        try:
            _measure(job, alive, results, "")
        except JobError as error:
            note = "timed alone, since the process that timed all was " + str(error)
            for n in alive:
                try:
                    _measure(job, [n], results, note)
                except JobError as own:
                    results[n]["error"] = str(own)
    if job["plan"]["energy"]:
        for model, result in zip(job["models"], results):
            if "error" not in result:
                result.update(_energy(job, model))
    return {"count": len(results), "models": results}


def rest(seconds):
    """Let the device cool, and tell how far that is."""
    started = time.monotonic()
    until = started + seconds
    while time.monotonic() < until:
        progress((time.monotonic() - started) / seconds, "cooling down")
        time.sleep(min(1.0, max(0.0, until - time.monotonic())))


def _of(result):
    """Return a child's answer without the job's id."""
    return {key: value for key, value in result.items() if key != "id"}


def _measure(job, numbers, results, note):
    answer = run_child(job, kind="latency", models=[job["models"][n] for n in numbers])
    for n, timed in zip(numbers, answer["models"]):
        results[n].update(timed)
        results[n]["conditions"] = answer["conditions"]
        results[n]["notes"] += [note] if note else []


def _energy(job, model):
    """Return a model's energy, or why there is none; its times stand in any case."""
    try:
        return _of(run_child(job, kind="energy", models=[model]))
    except JobError as error:
        return {"no_energy": str(error)}
