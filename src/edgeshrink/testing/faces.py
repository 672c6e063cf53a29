"""The check that a plugin imports what stays: the three faces, and names that they have."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import tokenize
from collections.abc import Iterator
from pathlib import Path

FACES = ("edgeshrink.api", "edgeshrink.tflite", "edgeshrink.nn")
# for the plugin's tests
KIT = "edgeshrink.testing"


def check_faces(package: str) -> None:
    """Check that a plugin's modules import nothing of edgeshrink but names of its three faces.

    The source is read and not run; imports inside functions and for types alone count too, and
    `edgeshrink.testing` may be imported beside the faces. What is reached by attributes of a face,
    or by `importlib`, is not seen.

    Args:
        package: the plugin's top-level module or package, found on the module path.

    Raises:
        AssertionError: it imports something else, each with file and line; or its source is not
            found or cannot be read.
    """
    root, files = _sources(package)
    wrong = [
        f"{path.relative_to(root)}:{line} {said}"
        for path in files
        for line, said in _foreign(_parsed(path, root))
    ]
    if wrong:
        raise AssertionError(
            f"of edgeshrink a plugin imports {', '.join(FACES)} alone: {'; '.join(wrong)}"
        )


def _sources(package: str) -> tuple[Path, list[Path]]:
    """Return the folder that holds a plugin, and its files."""
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise AssertionError(f"{package} is not on the module path")
    if found.submodule_search_locations is None:
        files = [Path(found.origin or "")]
        root = files[0].parent
    else:
        folder = Path(next(iter(found.submodule_search_locations)))
        root, files = folder.parent, sorted(folder.rglob("*.py")) if folder.is_dir() else []
    if not files or not all(path.suffix == ".py" and path.is_file() for path in files):
        raise AssertionError(f"{package} has no Python source on the module path")
    return root, files


def _parsed(path: Path, root: Path) -> ast.Module:
    try:
        with tokenize.open(path) as stream:
            return ast.parse(stream.read())
    except (SyntaxError, ValueError) as error:
        raise AssertionError(f"{path.relative_to(root)} cannot be read: {error}") from error


def _foreign(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and words of what is imported from elsewhere in edgeshrink."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _ours(alias.name) and alias.name not in (*FACES, KIT):
                    yield node.lineno, f"imports {alias.name}"
        elif isinstance(node, ast.ImportFrom) and not node.level and _ours(node.module or ""):
            module = node.module or ""
            for alias in node.names:
                full = f"{module}.{alias.name}"
                if module in FACES and alias.name != "*" and not _has(module, alias.name):
                    yield node.lineno, f"imports {alias.name}, which {module} does not have"
                elif module not in (*FACES, KIT) and full not in (*FACES, KIT):
                    yield node.lineno, f"imports {full}"


def _ours(module: str) -> bool:
    return module.partition(".")[0] == "edgeshrink"


def _has(face: str, name: str) -> bool:
    return name in importlib.import_module(face).__all__
