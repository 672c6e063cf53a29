"""Write the reference pages from the program itself; `--check` fails if one is stale.

python docs/generate.py [--check]
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from unittest import mock

import faces

from edgeshrink import hookspecs
from edgeshrink.cli.commands.methods import about, sentence, spelling
from edgeshrink.cli.table import COMMANDS
from edgeshrink.cli.typer_flags import default_text, flags_of, inner_type, metavar
from edgeshrink.flag import options_of
from edgeshrink.plugins import Plugins, installed
from edgeshrink.recipes import (
    MEASURES,
    Base,
    Claim,
    Figure,
    Heading,
    Method,
    Source,
    StudyRow,
    Table,
)

REFERENCE = Path(__file__).parent / "reference"
MARK = "<!-- Written by docs/generate.py; do not edit. -->\n"
MOMENTS = re.compile(r"^# --- (.*) ---$")


def main() -> int:
    """Write all pages, or check them; return the exit code."""
    wanted = dict(pages())
    folders = [REFERENCE / "commands", REFERENCE / "python"]
    stale = [path for path, text in wanted.items() if not _is(path, text)]
    extra = [path for folder in folders for path in folder.glob("*.md") if path not in wanted]
    if "--check" in sys.argv[1:]:
        for path in (*stale, *extra):
            print(f"stale: {path.relative_to(REFERENCE.parent)}; run python docs/generate.py")
        return int(bool(stale or extra))
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    for path in extra:
        path.unlink()
    return 0


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def pages() -> Iterator[tuple[Path, str]]:
    """Yield each page's path and text; only what ships with edgeshrink is in them."""
    plugins = ours()
    with mock.patch("edgeshrink.cli.commands.compress.registry", return_value=plugins):
        for name in COMMANDS:
            yield REFERENCE / "commands" / f"{name}.md", _command(name)
    yield REFERENCE / "commands" / "README.md", _index()
    yield REFERENCE / "methods.md", _methods(list(plugins.methods.values()))
    yield REFERENCE / "hooks.md", _hooks()
    yield REFERENCE / "study.md", _study()
    for name, text in faces.pages():
        yield REFERENCE / "python" / f"{name}.md", f"{MARK}\n{text}"


def ours() -> Plugins:
    """Return the plugins that ship with edgeshrink, whatever else is installed."""
    entries = entry_points(group="edgeshrink")
    found = {e.name: e for e in entries if e.dist and e.dist.name == "edgeshrink"}
    if not found:
        return installed()
    plugins = Plugins(found[name] for name in sorted(found))
    if broken := [one for one in plugins.loaded if one.error]:
        raise SystemExit(f"plugins cannot be loaded: {broken}")
    return plugins


def _index() -> str:
    rows = [
        f"| [`edgeshrink {name}`]({name}.md) | {entry.help} |" for name, entry in COMMANDS.items()
    ]
    codes = (
        "Exit codes: 0 done; 1 the work failed, or what is inside a file is wrong; 2 what the "
        "command line shows is wrong, a missing file too; 3 a device was unreachable or lost; 4 a "
        "budget or check was not met (the best file found is kept); 130 interrupted."
    )
    table = "\n".join(["| command | |", "| --- | --- |", *rows])
    return f"{MARK}\n# Commands\n\n{table}\n\n{codes}\n"


def _command(name: str) -> str:
    from edgeshrink.cli.app import Commands

    root = Commands(name="edgeshrink")
    command = root.get_command(None, name)
    parts = [f"{MARK}\n# edgeshrink {name}", *_body(command, f"edgeshrink {name}")]
    for inner, sub in getattr(command, "commands", {}).items():
        parts += [f"## edgeshrink {name} {inner}", *_body(sub, f"edgeshrink {name} {inner}")]
    return "\n\n".join(parts) + "\n"


def _body(command: Any, path: str) -> Iterator[str]:
    paragraphs = [p.strip() for p in inspect.cleandoc(command.help or "").split("\n\n")]
    for paragraph in paragraphs:
        _, is_example, line = paragraph.partition("Example: ")
        yield f"```console\n$ {line}\n```" if is_example else paragraph
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([path, *(str(p.metavar) for p in arguments), "[OPTIONS]"])
    yield f"```\n{usage}\n```"
    if arguments:
        yield _table(("argument", ""), ((f"`{p.metavar}`", p.help or "") for p in arguments))
    panels: dict[str, list[Any]] = {}
    for option in command.params:
        if option.param_type_name == "option" and option.name != "help":
            panels.setdefault(option.rich_help_panel or "Options", []).append(option)
    for panel, options in panels.items():
        shown = [option for option in options if not option.hidden]
        text = _table(("option", "value", ""), map(_option, shown))
        if hidden := [_escape(option.opts[0]) for option in options if option.hidden]:
            text += "\n\nFor this step alone: " + ", ".join(f"`{flag}`" for flag in hidden) + "."
        yield f"**{panel}**\n\n{text}" if shown else text.strip()


def _option(option: Any) -> tuple[str, str, str]:
    names = ", ".join(f"`{n}`" for n in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f"`{_escape(option.metavar or 'TEXT')}`"
    text = (option.help or "").replace("\\[", "[")
    if option.show_default and option.default not in (None, "", False, []):
        text += f" (default: {option.default})"
    return names, value, _escape(text)


def _methods(found: list[type[Method]]) -> str:
    rows = (
        (
            f"[`{method.name}`](#{method.name})",
            f"`{_escape(spelling(method))}`",
            method.phase.name.lower().replace("_", " "),
            str(method.data),
            sentence(method),
        )
        for method in found
    )
    parts = [
        f"{MARK}\n# Methods",
        "In the order in which flags run them; `--step` and recipes give any other. An option is "
        "a flag, a key of a `[[step]]` table and a Python argument, with the same name.",
        _table(("method", "flag", "phase", "data", ""), rows),
    ]
    for method in found:
        parts += [f"## {method.name}", sentence(method), _keys(method)]
        if method.training is not None:
            parts.append("Trains: takes every key of `[training]` in a `[step.training]` table.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _keys(method: type[Method]) -> str:
    names = {key: name for key, (group, name) in method.flag_keys().items() if group == "options"}
    rows = (
        (
            f"`--{key.replace('_', '-')}`",
            f"`{names[key]}`" if key in names else "",
            "" if inner_type(option.type) is bool else f"`{_escape(metavar(option))}`",
            default_text(option),
            _escape(about(option)),
        )
        for key, option, hidden in flags_of(method)
        if not hidden
    )
    return _table(("flag", "key", "value", "default", ""), rows) if method.flag else ""


def _hooks() -> str:
    parts = [
        f"{MARK}\n# Hooks",
        "A plugin implements those that it needs, with `edgeshrink.api.hookimpl`; an "
        "implementation may take any subset of the arguments. How to begin: "
        "[write a plugin](../how-to/write-a-plugin.md).",
    ]
    hooks = {name: hook for name, hook in vars(hookspecs).items() if _is_hook(hook)}
    for line in inspect.getsource(hookspecs).splitlines():
        if moment := MOMENTS.match(line):
            head, _, rest = moment[1].partition(":")
            parts += [f"## {head}", rest.strip()[:1].upper() + rest.strip()[1:]]
        elif (named := re.match(r"def (\w+)\(", line)) and named[1] in hooks:
            parts += _hook(hooks[named[1]])
    return "\n\n".join(part for part in parts if part) + "\n"


def _study() -> str:
    parts = [
        f"{MARK}\n# Studies",
        "The keys of the TOML file that `edgeshrink study` reads; an unknown one is refused. How "
        "to begin: [run a study](../how-to/run-a-study.md). `[recipes]` has a line of flags, or a "
        "list of steps, under each name; `[unlike]` has, for some of these names, a sentence "
        "on what is done otherwise than in the publication.",
    ]
    for head, kind in (
        ("At the top", Heading),
        ("`[data.NAME]`", Source),
        ("`[models.NAME]`", Base),
        ("`[[tables]]`", Table),
        ("`rows`, in a table", StudyRow),
        ("`figure`, in a table", Figure),
        ("`claims`, in a table", Claim),
    ):
        options = (
            (f"`{o.name}`", "yes" if o.required else "", default_text(o), _escape(about(o)))
            for o in options_of(kind)
        )
        parts += [f"## {head}", _table(("key", "needed", "default", ""), options)]
    measures = ((f"`{name}`", m.head, m.unit and _escape(m.unit)) for name, m in MEASURES.items())
    parts += [
        "## Columns",
        "A measure, `ms@DEVICE`, or `measure:name` where two columns would be called the same. "
        "1 KiB is 1,024 bytes; a change is from the base as a float .tflite.",
        _table(("measure", "", "unit"), measures),
    ]
    return "\n\n".join(parts) + "\n"


def _is_hook(value: Any) -> bool:
    return hasattr(value, "edgeshrink_spec")


def _hook(hook: Callable[..., Any]) -> list[str]:
    signature = str(inspect.signature(hook)).replace("'", "")
    return [
        f"### {hook.__name__}",
        f"```python\ndef {hook.__name__}{signature}\n```",
        inspect.getdoc(hook) or "",
    ]


def _table(heads: tuple[str, ...], rows: Any) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
