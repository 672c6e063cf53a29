"""The command `unpack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeshrink.cli.say import say
from edgeshrink.cli.shared import Debug, single
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.models import write_bytes

Output = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="The result (default: beside MODEL).")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the output.")]


def app() -> typer.Typer:
    """Return the command."""
    return single(unpack)


def unpack(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An .esz file.")],
    output: Output = "",
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Give back the .tflite of an .esz file, to the last bit.

    Example: edgeshrink unpack small.esz -o small.tflite
    """
    from edgeshrink.models import Kind, identify
    from edgeshrink.tflite import tflite_bytes

    path = Path(model)
    kind = identify(path)
    if kind is not Kind.PACKED:
        raise ModelError(f"unpack takes an .esz file; {model} is a {kind} file")
    out = checked(path, output, Kind.TFLITE.suffix, force=force)
    data = tflite_bytes(path)
    write_bytes(out, data)
    told(f"{out}: {len(data):,} bytes")


def checked(model: Path, output: str, suffix: str, *, force: bool) -> Path:
    """Return where a result goes.

    Raises:
        UsageError: nothing can be written there.
    """
    out = Path(output) if output else model.with_suffix(suffix)
    if out.suffix != suffix:
        raise UsageError(f"the output must end in {suffix}; received {str(out)!r}")
    if not out.parent.is_dir():
        raise UsageError(f"no folder {str(out.parent)!r} to write {out.name} to")
    if out.exists() and not force:
        raise UsageError(f"{out} exists", hint="--force overwrites it, -o names another file")
    return out


def told(line: str) -> None:
    """Print a line."""
    say(line)
