"""Files of scikit-learn models: read so that nothing in them runs, and written in memory."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgeshrink.api import ModelError, check_module, swollen
from edgeshrink_sklearn.trees import TREES, check_owners, check_trees

# Types of scikit-learn that skops leaves to whoever reads a file: trees, since wrong numbers in
# them make scikit-learn read beyond its memory, which `check_trees` rules out; and optimizers of
# its networks, plain Python that no answer depends on.
CHECKED = frozenset(
    {
        *TREES,
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    }
)
SCHEMA = "schema.json"
MAX_SCHEMA_BYTES = 256 << 20
_ID = re.compile(r'"__id__": (\d+)')
_FILE = re.compile(r'"file": "(\d+)(\.\w+)"')


def read_skops(path: Path, custom: Sequence[str], *, unsafe: bool) -> tuple[Any, tuple[str, ...]]:
    """Return what a skops file holds, and notes on it.

    Args:
        path: the file.
        custom: `module:object` of classes that are trusted beside scikit-learn's.
        unsafe: whether every type in the file is trusted.

    Raises:
        ModelError: the file is damaged, looks like a zip bomb, or holds types that are not
            trusted, which the message lists.
    """
    import skops.io

    try:
        with zipfile.ZipFile(path) as archive:
            why = swollen(archive.infolist())
            if not why and archive.getinfo(SCHEMA).file_size > MAX_SCHEMA_BYTES:
                why = f"{SCHEMA} would unpack to over {MAX_SCHEMA_BYTES >> 20} MiB"
            if why:
                raise ModelError(f"{path.name} looks like a zip bomb: {why}")
            schema = json.loads(archive.read(SCHEMA))
            for spec in custom:
                check_module(spec, what="--custom")
            unknown = skops.io.get_untrusted_types(file=path)
            if not unsafe:
                named = {spec.replace(":", ".") for spec in custom}
                refused = sorted(set(unknown) - CHECKED - named)
                if refused:
                    module, _, name = refused[0].rpartition(".")
                    raise ModelError(
                        f"{path.name} holds types that are not known to be harmless: "
                        f"{', '.join(refused)}",
                        hint=f"--custom {module}:{name} trusts one, --unsafe all of them: only for "
                        "files you trust",
                    )
                check_trees(schema, archive, path.name)
    except ModelError:
        raise
    except Exception as error:  # skops raises what Python does on a damaged file
        raise _damaged(path, error) from error
    found, notes = _quietly(path, lambda: skops.io.load(path, trusted=unknown))
    if not unsafe:
        check_owners(found, path.name)
    return found, notes


def read_pickle(path: Path) -> tuple[Any, tuple[str, ...]]:
    """Return what pickle or joblib saved, and notes on it; code in the file runs.

    Raises:
        ModelError: it cannot be read.
    """
    import joblib

    return _quietly(path, lambda: joblib.load(path))


def saved(estimator: Any, spec: str) -> bytes:
    """Return what skops would save an estimator as; the same bytes for the same estimator.

    skops names objects by their addresses, which are numbered here in their order.

    Raises:
        ModelError: skops cannot save it.
    """
    import skops.io

    try:
        data = skops.io.dumps(estimator)
    except Exception as error:  # whatever a stranger's estimator raises
        raise ModelError(
            f"{spec} cannot be saved by skops: {type(error).__name__}: {error}"
        ) from error
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        text = archive.read(SCHEMA).decode()
        places = {name: str(n) for n, name in enumerate(dict.fromkeys(_ID.findall(text)))}
        text = _ID.sub(lambda found: f'"__id__": {places[found[1]]}', text)
        members = dict.fromkeys(f"{name}{suffix}" for name, suffix in _FILE.findall(text))
        text = _FILE.sub(lambda f: f'"file": "{places.get(f[1], f[1])}{f[2]}"', text)
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as again:
            again.writestr(zipfile.ZipInfo(SCHEMA), text)
            for member in members:
                stem, dot, suffix = member.partition(".")
                named = zipfile.ZipInfo(f"{places.get(stem, stem)}{dot}{suffix}")
                again.writestr(named, archive.read(member))
    return made.getvalue()


def _quietly(path: Path, read: Callable[[], Any]) -> tuple[Any, tuple[str, ...]]:
    """Return what `read` gives, with a note where another scikit-learn saved it."""
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = read()
        except Exception as error:  # both libraries raise what Python does on a damaged file
            raise _damaged(path, error) from error
    told = (w.message for w in caught if isinstance(w.message, InconsistentVersionWarning))
    notes = (
        f"{path.name} was saved by scikit-learn {w.original_sklearn_version} and is read by "
        f"{w.current_sklearn_version}, which may answer otherwise"
        for w in told
    )
    return found, tuple(dict.fromkeys(notes))


def _damaged(path: Path, error: Exception) -> ModelError:
    said = str(error).strip().partition("\n")[0]
    return ModelError(
        f"{path.name} cannot be read as a model of scikit-learn: {type(error).__name__}"
        f"{f': {said}' if said else ''}",
        hint="save it again, or copy or download it again",
    )
