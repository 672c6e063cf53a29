"""Write a .tflite as source beside it, by the exporter that was asked for."""

from __future__ import annotations

from pathlib import Path

from edgeshrink.devices import Exporter
from edgeshrink.errors import EdgeshrinkError, UsageError, near
from edgeshrink.models import write_text
from edgeshrink.part import pip_install, version_of
from edgeshrink.plugins import Plugins
from edgeshrink.tflite import tflite_bytes


def exporter_named(name: str, plugins: Plugins) -> Exporter:
    """Return an exporter by its name.

    Raises:
        UsageError: there is none, or a package that it needs is missing.
    """
    if name not in plugins.exporters:
        raise UsageError(f"no export {name!r}", hint=near(name, plugins.exporters))
    exporter = plugins.exporters[name]()
    missing = [one for one in exporter.requires if not version_of(one)]
    if missing:
        raise UsageError(f"--export {name} needs {', '.join(missing)}", hint=pip_install(missing))
    return exporter


def export_places(exporter: Exporter, out: Path, *, force: bool) -> list[Path]:
    """Return the files that an exporter writes beside a model file.

    Raises:
        UsageError: one is there, and may not be replaced.
    """
    paths = [out.with_name(name) for name in exporter.names(out.stem)]
    taken = [path for path in paths if path.exists()]
    if taken and not force:
        raise UsageError(f"{taken[0]} exists", hint="--force overwrites it")
    return paths


def export(model: Path, exporter: Exporter, out: Path) -> list[Path]:
    """Write a .tflite file, packed or not, as source beside `out`; return the files.

    Raises:
        EdgeshrinkError: it cannot be written so; a subclass says why.
    """
    try:
        texts = exporter.render(tflite_bytes(model), out.stem)
    except EdgeshrinkError as error:
        said = type(error)(f"{out.name} cannot be written as {exporter.name}: {error}")
        said.hint = error.hint
        raise said from error
    paths = [out.with_name(name) for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return paths
