"""Where the tool comes from: a file of this machine, or a download whose checksum is pinned."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from edgeshrink.api import Flag, UsageError


@dataclass(frozen=True)
class Options:
    """What the table `[options]` of a device profile may say."""

    binary: Annotated[str, Flag("The tool, as a file of this machine.", metavar="FILE")] = ""
    url: Annotated[str, Flag("Where the tool is downloaded from, once.", metavar="URL")] = ""
    sha256: Annotated[str, Flag("What the download's SHA-256 must be.", metavar="HEX")] = ""
    kernels: Annotated[
        Literal["xnnpack", "builtin"],
        Flag("What runs operators on a processor: XNNPACK's kernels, or the tool's own."),
    ] = "xnnpack"


def find(options: Options) -> Path:
    """Return the tool's file on this machine.

    Raises:
        UsageError: the options name no tool, two of them, or one that is not there.
        EdgeshrinkError: the download failed, or is another file than was pinned.
    """
    if bool(options.binary) == bool(options.url):
        raise UsageError(
            "the runtime benchmark_model needs either a binary or a url in [options]",
            hint='binary = "benchmark_model" names a file, url and sha256 a download',
        )
    if options.binary:
        path = Path(options.binary).expanduser()
        if not path.is_file():
            raise UsageError(f"[options] binary must be a file; {options.binary!r} is none")
        return path
    if not options.url.startswith("https://"):
        raise UsageError(f"[options] url must begin with https://; received {options.url!r}")
    if not re.fullmatch(r"[0-9a-f]{64}", options.sha256):
        raise UsageError(
            f"[options] sha256 must be 64 hexadecimal digits; received {options.sha256!r}",
            hint="`sha256sum FILE` tells it, of a file that you trust",
        )
    # Only who downloads needs the modules for it.
    from edgeshrink_benchtool.download import download

    return download(options.url, options.sha256)
