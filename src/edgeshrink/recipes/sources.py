"""Which source files a module uses: its own, and all that it imports, faces seen through."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

OURS = "edgeshrink"  # the core, and, as their names begin, the plugins beside it
PROGRAM = re.compile(r"[a-z]\w*\.py")  # a file beside it that a process of its own runs


@functools.cache
def used_digest(modules: frozenset[str]) -> str:
    """Return the SHA-256 of the sources that modules use, so that a change of one is a new digest.

    Args:
        modules: by name; within their own packages and edgeshrink's, imports are followed.
    """
    digest = hashlib.sha256()
    for name, path in sorted(used_sources(modules).items()):
        digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()


def used_sources(modules: frozenset[str]) -> dict[str, Path]:
    """Return the file of each module that some modules use, themselves among them.

    A name that a package or module only passes on is followed to where it is defined, so that who
    takes one name of a face does not use all that is behind it. Imports for type checkers alone
    do not count; imports within functions do.
    """
    found: dict[str, Path] = {}
    waiting, packages = list(modules), {OURS, *(name.partition(".")[0] for name in modules)}
    while waiting:
        name = waiting.pop()
        path = None if name in found else _file(name)
        if path is not None:
            found[name] = path
            waiting += [
                _origin(module, wanted)
                for module, wanted in _imports(name, path)
                if (top := module.partition(".")[0]) in packages or top.startswith(f"{OURS}_")
            ]
    return found


def _origin(module: str, name: str) -> str:
    """Return the module that a name of a module comes from."""
    if name and _file(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    path = _file(module)
    if name and path is not None:
        stub = path.with_suffix(".pyi")
        for source, passed in _imports(module, stub if stub.is_file() else path):
            if passed == name:
                return _origin(source, name)
    return module


def _imports(module: str, path: Path) -> Iterator[tuple[str, str]]:
    """Yield each import of a file: a module, and the name that is taken of it or nothing."""
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            whole = importlib.util.resolve_name(source, package)
            yield from ((whole, alias.name) for alias in node.names)
        elif isinstance(node, ast.Constant) and PROGRAM.fullmatch(str(node.value)):
            yield f"{package}.{str(node.value).removesuffix('.py')}", ""


@functools.cache
def _nodes(path: Path) -> list[ast.AST]:
    """Return what is in a file, but for what type checkers alone read."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        found.append(node)
        waiting += ast.iter_child_nodes(node)
    return found


@functools.cache
def _file(module: str) -> Path | None:
    """Return where a module lies, importing nothing of it, or None for what is no module."""
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top) if top else None
    if spec is None or not (spec.origin or "").endswith(".py"):
        return None
    path = Path(str(spec.origin))
    if not inner:
        return path
    beside = path.parent.joinpath(*inner)
    places = (beside.with_suffix(".py"), beside / "__init__.py")
    return next((place for place in places if place.is_file()), None)
