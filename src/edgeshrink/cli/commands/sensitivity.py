"""The command `sensitivity`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeshrink.cli.shared import (
    Custom,
    Debug,
    InputShapes,
    Json,
    KerasModel,
    Metric,
    Preprocess,
    Unsafe,
    print_json,
    registry,
    single,
    warn,
)
from edgeshrink.cli.typer_flags import with_method_flags
from edgeshrink.errors import UsageError
from edgeshrink.flag import build
from edgeshrink.models import write_bytes
from edgeshrink.results import json_text
from edgeshrink.samples import Meaning, Reading

if TYPE_CHECKING:
    from edgeshrink.plugins import Plugins
    from edgeshrink.results import SensitivityReport

FIGURES = (".svg", ".png", ".html")
SUFFIXES = (".csv", ".json", *FIGURES)


def app() -> typer.Typer:
    """Return the command."""
    return single(with_method_flags({}, reading=Reading, meaning=Meaning)(sensitivity))


def sensitivity(
    model: KerasModel,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Try these methods alone, such as prune,lowrank; repeatable (default: all that "
            "change single layers).",
        ),
    ] = None,
    data: Annotated[
        str, typer.Option(metavar="SPEC", help="Data to measure on, as for compress.")
    ] = "",
    preprocess: Preprocess = "none",
    metric: Metric = "",
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Also write a table (.csv, .json) or a figure (.svg, .png, .html) here.",
        ),
    ] = "",
    input_shape: InputShapes = None,
    custom: Custom = None,
    unsafe: Unsafe = False,
    json: Json = False,
    debug: Debug = False,
    *,
    chosen: dict[str, Any],
    reading: dict[str, Any],
    meaning: dict[str, Any],
) -> None:
    """Show what each layer bears: zeros, lower rank, fewer channels, fewer bits.

    One layer at a time is changed by each method at several strengths, without training, all others
    left in float, and the model's answers to validation samples (made-up inputs without data)
    compared with what they were. Layers that share channels lose them together, and are one row.
    Recurrent layers and embeddings are never stored in fewer than
    8 bits, and have no bits here. Methods of plugins that declare strengths are tried too.

    Example: edgeshrink sensitivity model.keras --data mnist.npz --preprocess scale=1/255
    """
    out = _checked(output, model)
    from edgeshrink.cli.commands.compress import shapes
    from edgeshrink.cli.display.progress import Watcher
    from edgeshrink.engine import SensitivityRequest, sensitivity as work

    plugins = registry()
    write = _writer(out.suffix, plugins) if out else None
    said = build(Meaning, meaning, "sensitivity")
    request = SensitivityRequest(
        model=Path(model),
        methods=tuple(
            name.strip() for text in method or () for name in text.split(",") if name.strip()
        ),
        data=data,
        preprocess=preprocess,
        reading=reading,
        task=said.task,
        decode=said.decode,
        metric=metric,
        unsafe=unsafe,
        custom=tuple(custom or ()),
        input_shapes=shapes(input_shape or []),
    )
    with Watcher(plugins):
        report = work(request, plugins)
    warn(*report.warnings)
    if out and write:
        write_bytes(out, write(report))
    if json:
        print_json(report.as_dict())
    else:
        from edgeshrink.cli.display.sensitivity import show_sensitivity
        from edgeshrink.cli.display.tables import console

        show_sensitivity(report, to=console())


def _checked(output: str, model: str) -> Path | None:
    if not output:
        return None
    out = Path(output)
    if out.suffix not in SUFFIXES:
        raise UsageError(f"-o must end in one of {', '.join(SUFFIXES)}; received {output!r}")
    if out.absolute() == Path(model).absolute():
        raise UsageError(f"-o would overwrite {model}", hint="name another file")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"no folder {str(out.parent)!r} to write {output} to")
    return out


def _writer(suffix: str, plugins: Plugins) -> Callable[[SensitivityReport], bytes]:
    """Return what makes a file of this suffix.

    Raises:
        UsageError: nothing does, or what does lacks something.
    """
    if suffix == ".csv":
        return lambda report: report.as_csv().encode()
    if suffix == ".json":
        return lambda report: (json_text(report.as_dict()) + "\n").encode()
    found: Callable[[SensitivityReport], bytes] | None
    found = plugins.hook.edgeshrink_sensitivity_figure(suffix=suffix)
    if found is None:
        raise UsageError(
            f"no plugin draws {suffix} files", hint="`edgeshrink plugins` lists what is installed"
        )
    return found
