"""The check that a plugin imports what stays: the three faces, and names that they have."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

FACES = ("edgeshrink.api", "edgeshrink.tflite", "edgeshrink.nn")


def check_faces(package: str) -> None:
    """Check that a plugin's modules import nothing of edgeshrink but names of its three faces.

    The source is read and not run; imports inside functions and for types alone count too.

    Args:
        package: the plugin's top-level module or package, found on the module path.

    Raises:
        AssertionError: it imports something else, each with file and line; or it is not found.
    """
    wrong = [
        f"{path.name}:{line} imports {what}"
        for path in _sources(package)
        for line, what in _foreign(ast.parse(path.read_text(encoding="utf-8")))
    ]
    if wrong:
        raise AssertionError(f"only {', '.join(FACES)} may be imported: {'; '.join(wrong)}")


def _sources(package: str) -> list[Path]:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise AssertionError(f"{package} is not on the module path")
    origin = Path(found.origin)
    return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]


def _foreign(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of what is imported from elsewhere in edgeshrink."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "edgeshrink" and alias.name not in FACES:
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module or ""
            if module.partition(".")[0] != "edgeshrink":
                continue
            for alias in node.names:
                full = f"{module}.{alias.name}"
                if full not in FACES and not (module in FACES and _has(module, alias.name)):
                    yield node.lineno, full


def _has(face: str, name: str) -> bool:
    return name in importlib.import_module(face).__all__
