"""The command `pack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeshrink.cli.commands.unpack import Force, Output, checked, told
from edgeshrink.cli.shared import Debug, Json, print_json, registry, single
from edgeshrink.errors import ModelError
from edgeshrink.models import write_bytes


def app() -> typer.Typer:
    """Return the command."""
    return single(pack)


def pack(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A .tflite file.")],
    output: Output = "",
    force: Force = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Code a .tflite near its entropy, as an .esz file.

    The file is unpacked again before it is written, and must be the same to the last bit.

    Example: edgeshrink pack small.tflite -o small.esz
    """
    from edgeshrink.engine import pack as packing
    from edgeshrink.models import Kind, identify

    path = Path(model)
    kind = identify(path)
    if kind is not Kind.TFLITE:
        raise ModelError(
            f"pack takes a .tflite file; {model} is a {kind} file",
            hint="`edgeshrink compress MODEL --pack` makes packed files of Keras models",
        )
    out = checked(path, output, Kind.PACKED.suffix, force=force)
    packed, facts = packing(path, registry())
    write_bytes(out, packed)
    found = {"model": model, "output": str(out), **facts}
    if json:
        print_json(found)
    else:
        told(f"{out}: {len(packed):,} bytes of {path.stat().st_size:,} ({facts['coding']})")
        told(f"zlib -9 takes {facts['zlib_bytes']:,}, xz -9e {facts['xz_bytes']:,}")
