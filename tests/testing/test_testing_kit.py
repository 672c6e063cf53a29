from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pytest

from edgeshrink.api import (
    CommandFailed,
    Completed,
    EdgeshrinkError,
    Flag,
    Method,
    Need,
    Phase,
    Target,
    TargetError,
    UsageError,
)
from edgeshrink.plugins import installed
from edgeshrink.testing import check_light, check_method, check_target, tiny_data, tiny_model
from edgeshrink.testing.methods import check_declaration, check_options

# Keras's own saving does this with newer versions of NumPy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


@dataclass(frozen=True)
class Options:
    share: Annotated[float, Flag("A share.", min=0, below=1)]
    how: Annotated[Literal["a", "b"], Flag("How.")] = "a"


class Same(Method):
    """Change nothing."""

    name, title, phase = "same", "Nothing", Phase.PRUNE
    Options = Options
    keeps = frozenset({"sparsity", "clusters", "outputs"})

    def apply(self, model: Any, context: Any) -> Any:
        context.facts["share"] = self.options.share
        return model


def test_a_good_method_passes() -> None:
    check_method(Same)
    check_method(Same, {"share": 0.25, "how": "b"})


class Noisy(Same):
    """Add noise to what it says it keeps."""

    def apply(self, model: Any, context: Any) -> Any:
        for variable in model.weights:
            variable.assign_add(0.125 * abs(variable) + 0.001)
        return model


class LosesZeros(Noisy):
    """Add noise to zeros."""

    keeps = frozenset({"sparsity"})


class LosesClusters(Noisy):
    """Give each weight a value of its own."""

    keeps = frozenset({"clusters"})

    def apply(self, model: Any, context: Any) -> Any:
        for number, variable in enumerate(v for v in model.weights if len(v.shape) > 1):
            values = variable.numpy()
            values[..., 0] *= 1.5 + number
            variable.assign(values)
        return model


class Nothing(Same):
    """Forget to return the model."""

    def apply(self, model: Any, context: Any) -> Any:
        pass


class OtherShape(Same):
    """Return half a model."""

    def apply(self, model: Any, context: Any) -> Any:
        import keras

        return keras.Model(model.inputs, model.layers[-2].output)


class Wrapped(Same):
    """Leave a class behind that plain Keras does not know."""

    def apply(self, model: Any, context: Any) -> Any:
        import keras

        class Odd(keras.layers.Layer):
            def call(self, x: Any) -> Any:
                return x

        return keras.Model(model.inputs, Odd()(model.outputs[0]))


class NoJson(Same):
    """Leave an array among the facts."""

    def apply(self, model: Any, context: Any) -> Any:
        import numpy as np

        context.facts["array"] = np.zeros(3)
        return model


class Refuses(Same):
    """Refuse everything."""

    def check(self, plan: Any) -> Any:
        raise UsageError("not this one")


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (Noisy, "says that it keeps outputs; it does not"),
        (LosesZeros, "says that it keeps zeros; conv/kernel lost some"),
        (LosesClusters, "says that it keeps clusters; conv/kernel has more values"),
        (Nothing, "must return a keras.Model"),
        (OtherShape, "changed the outputs' shape"),
        (Wrapped, "plain Keras cannot open what same made"),
        (NoJson, "facts must be JSON values"),
        (Refuses, "refuses a plain model: not this one"),
    ],
)
def test_a_bad_method_fails_with_the_rule(method: type[Method], why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        check_method(method)


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"name": "Two Words"}, "is not snake_case"),
        ({"name": "epochs"}, r"edgeshrink itself has the flags \['epochs'\]"),
        ({"title": ""}, "needs a title"),
        ({"phase": 3}, "phase must be a Phase"),
        ({"__doc__": ""}, "needs a docstring"),
        ({"accepts": ()}, "accepts nothing"),
        ({"produces": ".keras"}, "must be Kinds"),
        ({"data": True}, "data must be a Need"),
        ({"keeps": frozenset({"luck"})}, r"keeps \['luck'\]"),
    ],
)
def test_a_declaration_that_breaks_a_rule_is_refused(attributes: dict[str, Any], why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        check_declaration(type("Bad", (Same,), {"__doc__": "Bad.", **attributes}))


def test_options_that_change_on_their_way_are_found() -> None:
    @dataclass(frozen=True)
    class Changing:
        names: Annotated[tuple[str, ...], Flag("Names.")]

    bad = type("Bad", (Same,), {"__doc__": "Bad.", "Options": Changing})
    assert check_options(bad, {"names": ("a", "b")}).options.names == ("a", "b")
    with pytest.raises(AssertionError, match="differs when built from text"):
        check_options(bad, {"names": ("a,b",)})


@pytest.mark.parametrize("name", ["prune", "strip", "float"])
def test_methods_that_ship_declare_well(name: str) -> None:
    check_method(installed().methods[name], apply=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(installed().methods))
def test_methods_that_ship_pass(name: str) -> None:
    options = {
        "depthwise": {"layers": ("all",)},
        "distill": {"student": "width=0.5"},
        "mixed": {"drop": 50.0},
    }
    # the tiny model has no layer that keeps its input's shape, and one convolution, of one channel;
    # its samples are no pixels, and its classes have no names
    cannot = ("drop_layers", "depthwise", "metadata")
    check_method(installed().methods[name], options.get(name), apply=name not in cannot)


def test_a_method_that_needs_data_is_not_run_without() -> None:
    class Needy(Same):
        """Read the data."""

        data = Need.REQUIRED

        def apply(self, model: Any, context: Any) -> Any:
            assert len(context.data.train)
            return model

    check_method(Needy)


def test_the_tiny_model_and_data_fit_and_can_be_told_apart() -> None:
    import numpy as np

    data, model = tiny_data(), tiny_model(zeros=True)
    assert data.train is not None
    assert data.test is not None
    values = data.values(data.test, np.arange(4))["image"]
    assert model(values).shape == (4, 3)
    assert {
        name: part.labels is not None for name, part in data.subsets().items()
    } == dict.fromkeys(data.subsets(), True)
    assert tiny_data(labels=False).train.labels is None
    kernel = model.get_layer("hidden").kernel.numpy()
    assert np.mean(kernel == 0) == 0.5


def test_check_light_tells_heavy_from_light(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "kit_light.py").write_text("import json\n")
    (tmp_path / "kit_heavy.py").write_text("import numpy\n")
    (tmp_path / "kit_broken.py").write_text("1 / 0\n")
    check_light("kit_light")
    with pytest.raises(AssertionError, match="kit_heavy imports numpy; import them in the func"):
        check_light("kit_heavy")
    with pytest.raises(AssertionError, match="kit_broken cannot be imported: ZeroDivisionError"):
        check_light("kit_broken")


@pytest.mark.parametrize("module", ["edgeshrink_metrics", "edgeshrink_reports"])
def test_plugins_that_ship_are_light(module: str) -> None:
    check_light(module)


class Folder(Target):
    """This machine, kept simple: right in everything that the kit asks."""

    name = "folder"

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def connect(cls, address: str, options: Any) -> Self:
        root = Path(address) / "given"
        return cls(root)

    def folder(self) -> str:
        self.root.mkdir(exist_ok=True)
        return str(self.root)

    cache = folder

    def run(self, *argv: str, timeout: float | None = None, watch: Any = None) -> Completed:
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed("too late") from error
        except OSError as error:
            return Completed(argv, 127, "", str(error))
        for line in done.stdout.splitlines() if watch else ():
            watch(line)
        return Completed(argv, done.returncode, done.stdout, done.stderr)

    def push(self, local: Path, remote: str) -> None:
        try:
            shutil.copyfile(local, remote)
        except OSError as error:
            raise TargetError(str(error)) from error

    def pull(self, remote: str, local: Path, *, limit: int | None = None) -> None:
        if limit is not None and Path(remote).stat().st_size > limit:
            raise CommandFailed("too large")
        self.push(Path(remote), str(local))

    def close(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


class ThroughAShell(Folder):
    def run(self, *argv: str, timeout: float | None = None, watch: Any = None) -> Completed:
        return super().run("sh", "-c", " ".join(argv), timeout=timeout, watch=watch)


class AlwaysZero(Folder):
    def run(self, *argv: str, timeout: float | None = None, watch: Any = None) -> Completed:
        done = super().run(*argv, timeout=timeout, watch=watch)
        return Completed(argv, 0, done.stdout, done.stderr)


class NoTime(Folder):
    def run(self, *argv: str, timeout: float | None = None, watch: Any = None) -> Completed:
        return super().run(*argv, watch=watch)


class AsText(Folder):
    def push(self, local: Path, remote: str) -> None:
        try:
            Path(remote).write_text(local.read_bytes().decode("utf-8", "replace"))
        except OSError as error:
            raise TargetError(str(error)) from error


class Untidy(Folder):
    def close(self) -> None:
        pass


class Unlimited(Folder):
    def pull(self, remote: str, local: Path, *, limit: int | None = None) -> None:
        super().pull(remote, local)


class OnePlace(Folder):
    def place(self, local: Path) -> str:
        self.push(local, f"{self.cache()}/placed.bin")
        return f"{self.cache()}/placed.bin"


class DeafToErrors(Folder):
    def run(self, *argv: str, timeout: float | None = None, watch: Any = None) -> Completed:
        try:
            return super().run(*argv, timeout=timeout, watch=watch)
        except EdgeshrinkError:
            raise
        except Exception as error:
            raise CommandFailed("watch failed") from error


class OwnErrors(Folder):
    def push(self, local: Path, remote: str) -> None:
        shutil.copyfile(local, remote)


def test_a_good_target_passes(tmp_path: Path) -> None:
    check_target(Folder, str(tmp_path), timeout=0.2)


@pytest.mark.skipif(os.name != "posix", reason="the kit needs a POSIX shell")
def test_the_local_target_passes() -> None:
    check_target(installed().targets["local"], timeout=0.2)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (ThroughAShell, "standard output must come back whole"),
        (AlwaysZero, "a command's exit code must come back: 7, not 0"),
        (NoTime, "outlives its timeout must raise an EdgeshrinkError"),
        (AsText, "came back changed"),
        (Untidy, "close must remove the folder it gave"),
        (Unlimited, "larger than the limit must raise an EdgeshrinkError"),
        (OnePlace, "place must keep files of other content apart"),
        (DeafToErrors, "an error in watch must raise the caller's own Refusal, not CommandFailed"),
        (OwnErrors, "pulling a file that is not there must raise an EdgeshrinkError, not FileNot"),
    ],
)
def test_a_bad_target_fails_with_the_rule(target: type[Target], why: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=why):
        check_target(target, str(tmp_path), timeout=0.1)
