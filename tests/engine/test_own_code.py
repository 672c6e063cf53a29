"""Losses, metrics and weights of classes of the user's own, from Python and on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import edgeshrink
from edgeshrink.errors import UsageError
from edgeshrink.models import own_digest
from edgeshrink.nn.learning.class_weights import class_weights, sample_weights
from edgeshrink.nn.learning.losses import output_loss
from edgeshrink.python.own import class_weight_of, loss_of, metric_of
from edgeshrink.recipes.training import Training, check_loss, own_losses
from edgeshrink.results.metric import own_metric
from edgeshrink.samples import Task

layers = keras.layers
CALLS: list[str] = []

MODULE = """
import keras
import numpy as np
from keras import ops

def focal(labels, outputs):
    wanted = ops.one_hot(ops.cast(labels, "int32"), outputs.shape[-1])
    sure = ops.sum(wanted * outputs, axis=-1)
    return -((1 - sure) ** 2) * ops.log(sure + 1e-7)

def near(labels, outputs):
    return np.take_along_axis(outputs, labels.reshape(-1, 1), 1)[:, 0]

near.higher_is_better = True

def broken(labels, outputs):
    return float(outputs.mean())
"""


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeshrink.cli", *arguments], capture_output=True, text=True
    )


def focal(labels: Any, outputs: Any) -> Any:
    """The loss of samples of which the model is not sure."""
    CALLS.append("focal")
    wanted = ops.one_hot(ops.cast(labels, "int32"), outputs.shape[-1])
    sure = ops.sum(wanted * outputs, axis=-1)
    return -((1 - sure) ** 2) * ops.log(sure + 1e-7)


def near(labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """How likely the right class is called."""
    found: np.ndarray = outputs[np.arange(len(labels)), labels]
    return found


def far(labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """How far that is from 1."""
    return 1 - near(labels, outputs)


far.higher_is_better = False  # type: ignore[attr-defined]


def scalar(labels: np.ndarray, outputs: np.ndarray) -> float:
    return float(outputs.mean())


def endless(labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    return np.full(len(labels), np.nan)


class Margin(keras.losses.Loss):
    """A loss with a setting of its own."""

    def __init__(self, width: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width

    def call(self, y_true: Any, y_pred: Any) -> Any:
        wanted = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1])
        return ops.mean(ops.relu(self.width - wanted * y_pred), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


class Silent(Margin):
    """One that does not tell it."""

    def get_config(self) -> dict[str, Any]:
        return keras.losses.Loss.get_config(self)


@pytest.fixture
def task_data() -> tuple[keras.Model, tuple[Any, Any]]:
    """A model and data in which one class of three is rare."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, 600, p=[0.6, 0.35, 0.05])
    x = (np.eye(3)[y] + rng.normal(0, 0.7, (600, 3))).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(16, "relu"), layers.Dense(3, "softmax")]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x[:400], y[:400], epochs=3, verbose=0)
    return model, ((x[:400], y[:400]), (x[400:], y[400:]))


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module of own losses and metrics, which is the working one."""
    (tmp_path / "quality.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("quality", None)
    if str(tmp_path) in sys.path:
        sys.path.remove(str(tmp_path))


def test_losses_are_written_with_what_they_are_made_with() -> None:
    assert loss_of("mse") == ("mse", ())
    assert loss_of(None) == (None, ())
    assert loss_of(keras.losses.Huber()) == ("Huber", ())
    assert loss_of(keras.losses.Huber(delta=0.5)) == ("Huber(delta=0.5)", ())
    assert loss_of(keras.losses.mean_squared_error) == ("mean_squared_error", ())
    assert loss_of(focal) == ("focal", (f"{__name__}:focal",))
    assert loss_of(Margin(2.0)) == ("Margin(width=2.0)", (f"{__name__}:Margin",))
    assert loss_of({"a": focal, "b": "mse"}) == ("a=focal,b=mse", (f"{__name__}:focal",))
    for text in ("Huber(delta=0.5)", "mean_squared_error", "a=huber(delta=0.5), b=mse"):
        check_loss(text)
    with pytest.raises(UsageError, match="does not tell its width"):
        loss_of(Silent(2.0))
    with pytest.raises(UsageError, match="must have a name in its module"):
        loss_of(lambda labels, outputs: 0)
    with pytest.raises(UsageError, match="received a float"):
        loss_of(0.5)
    for wrong in ("huber(delta)", "huber(delta=open('x'))", "huber(0.5"):
        with pytest.raises(UsageError, match="a loss is written"):
            check_loss(wrong)
    with pytest.raises(UsageError, match="no loss 'nope:focal'") as told:
        check_loss("nope:focal")  # of a recipe: what a stranger wrote imports nothing
    assert "on the command line" in told.value.hint
    assert own_losses("box=my.losses:giou(a=1),cls=mse") == (
        "box=giou(a=1),cls=mse",
        ("my.losses:giou",),
    )


def test_own_losses_are_computed() -> None:
    task = Task("out", "classification", (3,), sparse=True, activation="softmax")
    labels = np.array([0, 2, 1, 1])
    outputs = np.random.default_rng(0).dirichlet(np.ones(3), 4).astype("float32")
    loss = output_loss(task, chosen="focal", own={"focal": focal})
    expected = np.mean(np.asarray(focal(labels, outputs)))
    assert float(loss(labels, None, outputs)) == pytest.approx(expected, rel=1e-6)
    margin = output_loss(task, chosen="Margin(width=2.0)", own={"Margin": Margin})
    assert float(margin(labels, None, outputs)) == pytest.approx(
        float(Margin(2.0)(labels, outputs)), rel=1e-6
    )
    with pytest.raises(UsageError, match="cannot be made"):
        output_loss(task, chosen="Margin(breadth=1)", own={"Margin": Margin})
    for own, wanted in (
        (lambda a, b: len(3), "raised TypeError"),
        (lambda a, b: 1 / 0, "raised ZeroDivisionError"),
        (lambda a, b: "high", "the loss 'focal' raised"),
    ):
        with pytest.raises(UsageError, match=wanted):
            output_loss(task, chosen="focal", own={"focal": own})
    with pytest.raises(UsageError, match="takes no 'detla'") as told:
        output_loss(task, chosen="huber(detla=0.5)")
    assert told.value.hint == "did you mean 'delta'?"
    with pytest.raises(UsageError, match="is a dict"):
        output_loss(task, chosen="focal", own={"focal": {}})


def test_weights_of_classes_are_keras_s_own() -> None:
    rng = np.random.default_rng(0)
    outputs = rng.dirichlet(np.ones(3), 50).astype("float32")
    labels = rng.choice(3, 50, p=[0.7, 0.2, 0.1])
    weights = {0: 1.0, 1: 2.0, 2: 7.5}
    model = keras.Sequential([keras.Input((3,)), layers.Activation("linear")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    theirs = model.evaluate(
        outputs, labels, sample_weight=np.vectorize(weights.get)(labels), verbose=0, batch_size=50
    )
    for sparse in (True, False):
        task = Task("out", "classification", (3,), sparse=sparse, activation="softmax")
        given = labels if sparse else np.eye(3, dtype="float32")[labels]
        table = class_weights(class_weight_of(weights) or "", task, given)
        loss = output_loss(task, weigh=lambda y, t=task, w=table: sample_weights(w, t, y))
        ours = float(loss(given.astype("float32"), None, outputs))
        fit = float(
            keras.losses.SparseCategoricalCrossentropy()(
                labels, outputs, sample_weight=np.vectorize(weights.get)(labels)
            )
        )
        assert ours == pytest.approx(fit, rel=1e-5)
    assert theirs > 0
    balanced = class_weights("balanced", Task("o", "classification", (3,), sparse=True), labels)
    counts = np.bincount(labels, minlength=3)
    np.testing.assert_allclose(balanced, 50 / (3 * counts), rtol=1e-6)
    yes = Task("o", "binary", (1,), activation="sigmoid")
    ticks = (labels > 0).astype("float32")[:, None]
    table = class_weights("yes=4", yes, ticks, ["no", "yes"])
    np.testing.assert_array_equal(table, [1, 4])
    assert np.asarray(sample_weights(table, yes, ticks)).shape == (50,)
    told = float(
        output_loss(yes, weigh=lambda y: sample_weights(table, yes, y))(ticks, None, outputs[:, :1])
    )
    by_hand = keras.losses.BinaryCrossentropy()(
        ticks, outputs[:, :1], sample_weight=np.where(ticks[:, 0] > 0, 4.0, 1.0)
    )
    assert told == pytest.approx(float(by_hand), rel=1e-5)
    with pytest.raises(UsageError, match="no class 'maybe'"):
        class_weights("maybe=4", yes, ticks, ["no", "yes"])
    with pytest.raises(UsageError, match="answers regression"):
        class_weights("balanced", Task("o", "regression", (1,)), ticks)
    for wrong in ("heavy", "0=0", "0=-1", "0=nan", "0=1,"):
        with pytest.raises(ValueError, match="class_weight must be"):
            Training(class_weight=wrong)


def test_own_metrics_are_classes() -> None:
    labels, outputs = np.array([0, 1]), np.array([[0.75, 0.25], [0.5, 0.5]])
    found = own_metric(metric_of(far))
    assert (found.name, found.higher_is_better) == ("far", False)
    score = found().score(outputs, labels)
    assert (score.metric, score.value, score.count) == ("far", 0.375, 2)
    with pytest.raises(UsageError, match=r"of shape \(2,\); received shape \(\)"):
        own_metric(metric_of(scalar))().score(outputs, labels)
    with pytest.raises(UsageError, match="raised IndexError: index 7"):
        own_metric(metric_of(near))().score(outputs, np.array([0, 7]))
    with pytest.raises(UsageError, match="received nan for sample 0"):
        own_metric(metric_of(endless))().score(outputs, labels)
    with pytest.raises(UsageError, match="a list is no metric"):
        own_metric(f"{__name__}:CALLS")


@pytest.mark.heavy
def test_own_code_in_python(task_data: tuple[Any, Any], tmp_path: Path) -> None:
    model, data = task_data
    CALLS.clear()
    report = edgeshrink.compress(
        model,
        data=data,
        output=tmp_path / "m.tflite",
        prune=0.5,
        int8=True,
        epochs=3,
        lr=0.01,
        loss=focal,
        class_weight={2: 5.0},
        metric=near,
        rules="smoke",
        progress=False,
        max_drop="none",
    )
    assert CALLS
    base = report.ledger.base.scores[0]
    x, y = data[1]
    assert base.metric == "near"
    assert base.value == pytest.approx(near(y, model.predict(x, verbose=0)).mean(), abs=1e-6)
    assert "near" in repr(report)
    assert any(s.metric == "top1" for s in report.ledger.base.scores)
    with pytest.raises(UsageError, match="there is a metric 'top1' already"):
        edgeshrink.compress(model, data=data, int8=True, metric=_named_top1(), progress=False)


def _named_top1() -> Any:
    globals()["top1"] = near
    return f"{__name__}:top1"


@pytest.mark.heavy
def test_own_code_on_the_command_line_is_made_anew_when_it_changes(
    task_data: tuple[Any, Any], own_module: Path
) -> None:
    model, ((x, y), (x_test, y_test)) = task_data
    model.save("m.keras")
    np.savez("d.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    how = ("compress", "m.keras", "--data", "d.npz", "--prune", "0.5", "--int8", "--epochs", "1")
    more = ("--lr", "0.01", "--rules", "smoke", "--force", "--json", "--max-drop", "none")
    own = ("--loss", "quality:focal", "--metric", "quality:near", "--class-weight", "balanced")
    first = run_cli(*how, *own, *more)
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert told["ledger"]["rows"][0]["scores"][0]["metric"] == "near"
    before = sorted(p.name for p in Path("m.run").glob("prune-*"))
    assert run_cli(*how, *own, *more).returncode == 0
    assert sorted(p.name for p in Path("m.run").glob("prune-*")) == before
    digest = own_digest("quality:focal")
    Path("quality.py").write_text(MODULE.replace("** 2", "** 1"))
    sys.modules.pop("quality")
    assert own_digest("quality:focal") != digest
    assert run_cli(*how, *own, *more).returncode == 0
    assert len(list(Path("m.run").glob("prune-*"))) == 2 * len(before)
    broken = run_cli(*how, "--metric", "quality:broken", *more)
    assert broken.returncode == 2
    assert "must return a number for each sample" in broken.stderr
    missing = run_cli(*how, "--loss", "quality:focus", *more)
    assert missing.returncode == 2
    assert "did you mean 'focal'" in missing.stderr


class Counted(keras.callbacks.Callback):
    """Counts epochs, and may end the training."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.scores = most, list[float]()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.scores.append(logs["val_score"])
        self.model.stop_training = len(self.scores) >= self.most


@pytest.mark.heavy
def test_callbacks_are_called_and_stages_know_them(
    task_data: tuple[Any, Any], tmp_path: Path
) -> None:
    model, data = task_data
    how = {"data": data, "output": tmp_path / "m.tflite", "cluster": 8, "int8": True, "lr": 1e-3}
    how |= {"epochs": 4, "rules": "smoke", "progress": False, "max_drop": "none", "force": True}
    two = Counted(2)
    report = edgeshrink.compress(model, callbacks=two, **how)
    assert len(two.scores) == 2
    row = next(row for row in report.ledger.rows if row.facts.get("curve"))
    assert row.facts["curve"] == pytest.approx(two.scores)
    again = Counted(2)
    edgeshrink.compress(model, callbacks=[again], **how)
    assert again.scores == []  # the stage is there
    without = edgeshrink.compress(model, **how)
    row = next(row for row in without.ledger.rows if row.facts.get("curve"))
    assert len(row.facts["curve"]) == 4
    with pytest.raises(UsageError, match="received a function"):
        edgeshrink.compress(model, callbacks=focal, **how)
