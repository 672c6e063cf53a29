"""Objects of the user's own code, named `module:object`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

from edgeshrink.errors import UsageError, near


def import_object(spec: str, *, what: str) -> Any:
    """Return the object that `module:object` names; modules may be in the working directory.

    Args:
        spec: the module's dotted name, a colon, and the object's name in it.
        what: what the object is for, in messages, such as "--custom".

    Raises:
        UsageError: the spelling is wrong, there is no such module, importing it fails, or it has
            no such object.
    """
    module_name, colon, attribute = spec.partition(":")
    if not colon or not attribute or not all(p.isidentifier() for p in module_name.split(".")):
        raise UsageError(f"{what} must be written module:object; received {spec!r}")
    check_module(spec, what=what)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise _missing(spec, what, error.name) from error
    except (
        Exception,
        SystemExit,
    ) as error:  # the user's module may raise anything while it is imported
        raise UsageError(
            f"{what} {spec!r}: importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            known = [n for n in vars(found) if not n.startswith("_")]
            raise UsageError(
                f"{what} {spec!r}: {module_name} has no {attribute}", hint=near(name, known)
            )
        found = getattr(found, name)
    return found


def own_name(spec: str) -> str:
    """Return what the object of `module:object` is called where it is used.

    Example:
        >>> own_name("losses:focal")
        'focal'
    """
    return spec.rpartition(":")[2].rpartition(".")[2]


def own_digest(spec: str) -> str:
    """Return the SHA-256 of the source that `module:object` is in, in hex: it changes with it.

    Of what was defined in a notebook or a script itself, the object's own source counts.

    Args:
        spec: as `import_object` takes it.

    Raises:
        UsageError: there is no such module or object.
    """
    found = import_object(spec, what="--custom")
    module = sys.modules[spec.partition(":")[0]]
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    if origin is not None and Path(origin).is_file():
        return hashlib.sha256(Path(origin).read_bytes()).hexdigest()
    try:
        source = inspect.getsource(found)
    except (OSError, TypeError):  # typed into an interpreter
        code = getattr(found, "__code__", None)
        source = repr((code.co_code, code.co_consts, code.co_names)) if code else repr(found)
    return hashlib.sha256(source.encode()).hexdigest()


def reference(named: Any) -> str:
    """Return `module:object` of a class or function.

    Args:
        named: a class or function of the user's own.

    Raises:
        UsageError: it has no name by which a file can find it again.
    """
    where = getattr(named, "__qualname__", "")
    if not where or "<" in where:
        raise UsageError(
            f"own code must have a name in its module; received {where or repr(named)}",
            hint="define the class or function at the top of its module or notebook",
        )
    return f"{named.__module__}:{where}"


def check_module(spec: str, *, what: str) -> None:
    """Check that the module of `module:object` can be found, without importing it.

    Of a dotted name, the outermost package is looked for. The working directory is put at the end
    of `sys.path`, where it is not there yet.

    Args:
        spec: the module's dotted name, a colon, and the object's name in it.
        what: what the object is for, in messages, such as "--custom".

    Raises:
        UsageError: there is no such module.
    """
    here = str(Path.cwd())
    if here not in sys.path:  # as `python -m` does: people keep such modules beside their model
        sys.path.append(here)
    package = spec.partition(":")[0].partition(".")[0]
    if package not in sys.modules and importlib.util.find_spec(package) is None:
        raise _missing(spec, what, package)


def _missing(spec: str, what: str, module: str | None) -> UsageError:
    return UsageError(
        f"{what} {spec!r} needs a module that is not there: {module}",
        hint="run from the folder that holds it, or put that folder in PYTHONPATH",
    )
