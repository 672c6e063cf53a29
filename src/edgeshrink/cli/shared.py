"""What commands share: their frame, the plugins with their warnings, and JSON."""

from __future__ import annotations

import inspect
import re
import shlex
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from edgeshrink.cli.plain_commands import Command
from edgeshrink.cli.say import say
from edgeshrink.plugins import Plugins, installed

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]
Devices = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Device to measure on (default: desktop); repeat for more."),
]
Toolchains = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="A chip's converter that the file must suit, and is handed to, as in openvino or "
        "tvm=PYTHON, the interpreter that it is installed for; repeat for more.",
    ),
]
At = Annotated[
    str,
    typer.Option(metavar="ADDRESS", help="Where the device is, instead of its profile's address."),
]
TrustProfile = Annotated[
    bool,
    typer.Option(
        "--trust-profile",
        help="Believe a device profile named by its path, which may name programs to run here.",
    ),
]
SshConfig = Annotated[
    str, typer.Option(metavar="FILE", help="Another configuration file for ssh, as its own -F.")
]

KerasModel = Annotated[
    str, typer.Argument(metavar="MODEL", help="A .keras, .h5 or SavedModel of Keras.")
]
Preprocess = Annotated[
    str,
    typer.Option(
        metavar="SPEC",
        help="What the model expects: none, scale=1/255, mean=…,std=…, or module:function.",
    ),
]
Metric = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="Score of record; MODULE:FUNCTION of labels and outputs is your own."
    ),
]
InputShapes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SHAPE", help="Fix a dynamic shape: 1,224,224,3 or NAME=1,224,224,3; repeatable."
    ),
]
Custom = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE:OBJECT", help="A layer, function or loss of your own; repeatable."
    ),
]
Unsafe = Annotated[
    bool,
    typer.Option("--unsafe", help="Run code that is stored in the model (Lambda layers, pickles)."),
]

PASSWORD = re.compile(r"(\w://[^/@:\s]*:)[^/@\s]+@")

_warned: set[str] = set()


def frame(**settings: Any) -> typer.Typer:
    """Return an empty app with the settings that all commands share."""
    return typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        **settings,
    )


def single(command: Callable[..., None]) -> typer.Typer:
    """Return the app of one command."""
    app = frame()
    app.command(help=help_of(command), cls=Command)(command)
    return app


def help_of(command: Callable[..., Any]) -> str:
    """Return a command's docstring, each paragraph in one line: help wraps by itself."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def warn(*more: str) -> None:
    """Write warnings to standard error: what plugins gave cause for, and `more`; each once."""
    found = installed().warnings if installed.cache_info().currsize else []
    for warning in (*found, *more):
        if warning not in _warned:
            _warned.add(warning)
            say(f"warning: {warning}", err=True)


def registry() -> Plugins:
    """Return the plugins of this environment; what is wrong with them has been said."""
    plugins = installed()
    _ = plugins.methods  # loads them, and so finds what is wrong
    warn()
    return plugins


def typed() -> str:
    """Return the command line as it was typed, but no password in a URL: reports are passed on."""
    return shlex.join(["edgeshrink", *(PASSWORD.sub(r"\1PASSWORD@", one) for one in sys.argv[1:])])


def print_json(document: Any) -> None:
    """Print a document as JSON on standard output."""
    from edgeshrink.results import json_text

    print(json_text(document))
