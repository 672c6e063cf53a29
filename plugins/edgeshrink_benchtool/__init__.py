"""Google's benchmark_model as a runtime: times on GPUs and NPUs that nothing else reaches."""

from __future__ import annotations

from edgeshrink.api import Runtime, hookimpl


@hookimpl
def edgeshrink_runtimes() -> list[type[Runtime]]:
    """Return the runtimes of this plugin."""
    from edgeshrink_benchtool.benchtool import BenchmarkModel

    return [BenchmarkModel]
