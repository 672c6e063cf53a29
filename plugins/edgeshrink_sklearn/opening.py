"""From what a user names to a scikit-learn model, told from other files in milliseconds."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.api import (
    Kind,
    ModelError,
    ModelFacts,
    OpenedModel,
    Package,
    TensorFacts,
    UsageError,
    import_object,
    pip_install,
)

if TYPE_CHECKING:
    import keras

    from edgeshrink_sklearn.estimator import Answers

PACKAGES = (
    Package("scikit-learn", "models of scikit-learn that a Keras net imitates"),
    Package("skops", "files of scikit-learn models that run no code"),
)
PICKLES = (".pkl", ".pickle", ".joblib")
PROTOCOLS = tuple(bytes((0x80, number)) for number in (2, 3, 4, 5))  # how a pickle begins
_OBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_SAVE = 'skops.io.dump(model, "model.skops") saves it so that nothing in the file runs'


def opened(spec: str, custom: Sequence[str], *, unsafe: bool) -> OpenedModel | None:
    """Return the scikit-learn model that `spec` names, or None where it names something else.

    Args:
        spec: a file that skops or, with `unsafe`, pickle or joblib saved; or `module:object`.
        custom: `module:object` of classes in a skops file that are not scikit-learn's.
        unsafe: whether code in a file may run.

    Raises:
        UsageError: scikit-learn or skops is not installed, or there is no such object.
        ModelError: it is a pickle, holds types that are not trusted, or is no model that answers
            samples with a class or with numbers.
    """
    path = Path(spec)
    try:
        is_file = path.is_file()
    except OSError:  # a name that is too long
        return None
    if not is_file:
        return _from_object(spec) if _OBJECT.fullmatch(spec) and not path.exists() else None
    if is_skops(path):
        _need(spec)
        from edgeshrink_sklearn.estimator import answers_of
        from edgeshrink_sklearn.reading import read_skops

        estimator, notes = read_skops(path, custom, unsafe=unsafe)
    elif is_pickle(path):
        if not unsafe:
            raise ModelError(
                f"{path.name} is a pickle, which runs code when it is read",
                hint=f"{_SAVE}; --unsafe reads it: only for files you trust",
            )
        _need(spec)
        from edgeshrink_sklearn.estimator import answers_of
        from edgeshrink_sklearn.reading import read_pickle

        estimator, notes = read_pickle(path)
    else:
        return None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return _opened(answers_of(estimator, path.name, digest), notes=notes)


def is_skops(path: Path) -> bool:
    """Tell whether a file is an archive of skops, by its content."""
    try:
        with path.open("rb") as stream:
            if stream.read(2) != b"PK":
                return False
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):  # who reads Keras's files says what is wrong
        return False
    return "schema.json" in names and "config.json" not in names


def is_pickle(path: Path) -> bool:
    """Tell whether a file is a pickle, by its name or its content."""
    if path.suffix.lower() in PICKLES:
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(2) in PROTOCOLS
    except OSError:
        return False


def _from_object(spec: str) -> OpenedModel:
    _need(spec)
    from edgeshrink_sklearn.estimator import answers_of, is_estimator
    from edgeshrink_sklearn.reading import saved

    found = import_object(spec, what="model")
    if callable(found) and not is_estimator(found):
        try:
            found = found()
        except Exception as error:  # a stranger's function may raise anything
            raise UsageError(f"model {spec!r} failed: {type(error).__name__}: {error}") from error
    if not is_estimator(found):
        raise ModelError(
            "module:object names a fitted estimator of scikit-learn, or a function that returns "
            f"one; {spec} is of the type {type(found).__name__}",
            hint="save a Keras model with model.save('model.keras'), and name the file",
        )
    content = saved(found, spec)
    answers = answers_of(found, spec, hashlib.sha256(content).hexdigest())
    return _opened(answers, name=spec.rpartition(":")[2], content=content)


def _opened(
    answers: Answers, *, name: str = "", content: bytes | None = None, notes: tuple[str, ...] = ()
) -> OpenedModel:
    """Return the model to imitate; its name is that of its class where none is given."""
    kind = type(answers.estimator).__name__
    facts = ModelFacts(
        Kind.SKLEARN,
        name=name or kind,
        class_name=kind,
        inputs=(TensorFacts("features", (None, answers.features)),),
        outputs=(TensorFacts("answers", (None, answers.width), activation=answers.activation),),
        classes=answers.classes,
    )

    def load() -> keras.Model:
        from edgeshrink_sklearn.asking import asking

        return asking(answers)

    return OpenedModel(facts, load, content, notes)


def _need(spec: str) -> None:
    """Check that both packages are there.

    Raises:
        UsageError: one is missing; the hint is the command that installs it.
    """
    missing = [package.name for package in PACKAGES if not package.version()]
    if missing:
        raise UsageError(
            f"{spec} is a model of scikit-learn, and {' and '.join(missing)} must be installed",
            hint=pip_install([package.name for package in PACKAGES]),
        )
