"""Where jobs are done: on this machine, or on a cluster that sees its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgeshrink.engine.jobs.cluster import Cluster
from edgeshrink.engine.jobs.crew import Crew
from edgeshrink.engine.jobs.job import Job


def workplace(
    jobs: int | None,
    scheduler: str,
    folder: Path,
    told: Callable[[Job, str], Any],
    shared: Path,
    read: Sequence[Path],
) -> Crew | Cluster:
    """Return what does jobs.

    Args:
        jobs: that are done at a time; None for one, and with a scheduler for one a worker.
        scheduler: the address of a Dask cluster; empty for this machine.
        folder: that jobs work in.
        told: called with a job and what is to be said of it, in words, one call at a time.
        shared: a folder that is there, in which jobs have their folders.
        read: what else jobs read.

    Raises:
        UsageError: there is no such cluster, or a worker does not see the same files.
    """
    if not scheduler:
        return Crew(jobs or 1, folder, told)
    cluster = Cluster(scheduler, folder, told, jobs)
    try:
        cluster.check(shared, *read)
    except BaseException:
        cluster.close()
        raise
    return cluster
