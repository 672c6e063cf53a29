"""Models of scikit-learn: read safely, asked rightly, imitated by a net that is judged by them."""

from __future__ import annotations

import io
import json
import pickle
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeshrink as package
from edgeshrink.api import (
    DeviceProfile,
    EdgeshrinkError,
    Kind,
    ModelError,
    ModelFacts,
    OpenedModel,
    Package,
    Plan,
    Recipe,
    Training,
    UsageError,
)
from edgeshrink.engine import Request, plan
from edgeshrink.models import identify
from edgeshrink.plugins import installed
from edgeshrink.samples import load_dataset
from edgeshrink.testing import check_faces, check_light, check_method
from edgeshrink_sklearn import Imitate
from edgeshrink_sklearn.opening import is_pickle, is_skops, opened

sklearn = pytest.importorskip("sklearn")
skops_io = pytest.importorskip("skops.io")

from sklearn import cluster, datasets, ensemble, linear_model, multioutput, neighbors  # noqa: E402
from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import PolynomialFeatures, StandardScaler  # noqa: E402
from sklearn.svm import SVC, LinearSVC  # noqa: E402
from sklearn.tree import DecisionTreeClassifier  # noqa: E402

from edgeshrink_sklearn.estimator import answers_of  # noqa: E402
from edgeshrink_sklearn.points import around, how_many  # noqa: E402
from edgeshrink_sklearn.reading import saved  # noqa: E402

X, Y = (np.asarray(v) for v in datasets.load_iris(return_X_y=True))
ORDER = np.random.default_rng(0).permutation(len(X))
X, Y = X[ORDER].astype("float32"), Y[ORDER]


class Mine(ClassifierMixin, BaseEstimator):
    """An estimator that is not scikit-learn's."""

    def fit(self, x: Any, y: Any) -> Mine:
        self.classes_, self.n_features_in_ = np.unique(y), x.shape[1]
        return self

    def predict(self, x: Any) -> Any:
        return np.full(len(x), self.classes_[0])


def forest(trees: int = 5, **more: Any) -> Any:
    return ensemble.RandomForestClassifier(trees, random_state=0, **more).fit(X[:100], Y[:100])


def skops(folder: Path, estimator: Any, name: str = "model.skops") -> Path:
    skops_io.dump(estimator, folder / name)
    return folder / name


def read(path: Path, *custom: str, unsafe: bool = False) -> OpenedModel:
    found = opened(str(path), custom, unsafe=unsafe)
    assert found is not None
    return found


def data(folder: Path, **more: Any) -> str:
    parts = {"x_train": X[:100], "y_train": Y[:100], "x_test": X[100:], "y_test": Y[100:]}
    np.savez(folder / "iris.npz", **{**parts, **more})
    return str(folder / "iris.npz")


def rewritten(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Change the members of an archive."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))
    return path


# ---------------------------------------------------------------- declared


def test_the_plugin_keeps_the_rules() -> None:
    check_light("edgeshrink_sklearn")
    check_faces("edgeshrink_sklearn")
    check_method(Imitate, apply=False)


def test_a_model_that_is_no_keras_model_first_becomes_one() -> None:
    methods = {**installed().methods, "imitate": Imitate}
    recipe = Recipe.from_steps(["prune sparsity=0.5", "int8"], methods)
    done = recipe.completed(methods, Kind.TFLITE, Kind.SKLEARN)
    assert [step.name for step in done.steps] == ["imitate", "prune", "int8", "strip"]
    again = done.completed(methods, Kind.TFLITE, Kind.SKLEARN)
    assert [step.name for step in again.steps] == ["imitate", "prune", "int8", "strip"]
    assert "imitate" not in [s.name for s in recipe.completed(methods, Kind.TFLITE).steps]
    with pytest.raises(UsageError, match="imitate takes a scikit-learn model but gets a keras"):
        done.check_order(Kind.KERAS)
    with pytest.raises(UsageError, match="prune takes a keras model but gets a scikit-learn"):
        recipe.check_order(Kind.SKLEARN)
    off = Recipe.from_flags({"imitate": False, "int8": True}, methods)
    with pytest.raises(UsageError, match="only imitate makes what other steps take") as error:
        off.completed(methods, Kind.TFLITE, Kind.SKLEARN)
    assert error.value.hint == "drop --no-imitate"
    assert [s.name for s in off.completed(methods, Kind.TFLITE).steps] == ["int8", "strip"]


# ---------------------------------------------------------------- what is asked


@pytest.mark.parametrize(
    "estimator",
    [
        ensemble.RandomForestClassifier(4, max_depth=2, random_state=0),
        ensemble.ExtraTreesClassifier(4, random_state=0),
        ensemble.GradientBoostingClassifier(n_estimators=3, random_state=0),
        ensemble.HistGradientBoostingClassifier(max_iter=3, random_state=0),
        ensemble.AdaBoostClassifier(n_estimators=3, random_state=0),
        neighbors.KNeighborsClassifier(2),
        MLPClassifier((4,), max_iter=400, random_state=0),
        SVC(),
        SVC(decision_function_shape="ovo"),
        LinearSVC(),
        linear_model.RidgeClassifier(),
        neighbors.NearestCentroid(),
        make_pipeline(StandardScaler(), SVC()),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_greatest_answer_is_what_the_model_predicts(estimator: Any) -> None:
    names = np.array(["b", "c", "a"])[Y]
    for labels, width in ((names, 3), (names == "b", 2)):
        fitted = estimator.fit(X[:100], labels[:100])
        answers = answers_of(fitted, "model", "")
        found = answers(X)
        assert found.shape == (150, width)
        assert found.dtype == np.float32
        assert (found >= 0).all()
        assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
        said = np.array(answers.classes)[found.argmax(axis=1)]
        assert (said == fitted.predict(X.astype(float))).all()


def test_probabilities_are_the_models_own() -> None:
    fitted = forest()
    assert answers_of(fitted, "m", "")(X) == pytest.approx(fitted.predict_proba(X), abs=1e-6)


def test_what_predict_names_has_the_greatest_probability() -> None:
    class Torn(Mine):
        def predict_proba(self, x: Any) -> Any:
            return np.tile([0.2, 0.5, 0.3], (len(x), 1))

    found = answers_of(Torn().fit(X, Y), "m", "")(X[:4])
    assert found.argmax(axis=1).tolist() == [0, 0, 0, 0]
    assert found[0] == pytest.approx([0.5, 0.2, 0.3], abs=1e-6)


def test_numbers_are_answered_as_they_are() -> None:
    one = ensemble.RandomForestRegressor(3, random_state=0).fit(X, X[:, 0])
    two = neighbors.KNeighborsRegressor(3).fit(X, X[:, :2])
    for fitted, width in ((one, 1), (two, 2)):
        answers = answers_of(fitted, "m", "")
        assert answers.activation == "linear"
        assert answers(X) == pytest.approx(fitted.predict(X).reshape(150, width), abs=1e-5)


def test_keras_asks_the_model_itself() -> None:
    from edgeshrink_sklearn.asking import asking

    fitted = forest()
    model = asking(answers_of(fitted, "m", "one"))
    assert model.predict_on_batch(X) == pytest.approx(fitted.predict_proba(X), abs=1e-6)
    other = asking(answers_of(fitted, "m", "two"))
    assert model.to_json() != other.to_json()  # answers are kept by it


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (ensemble.RandomForestClassifier(), "is not fitted: RandomForestClassifier has learned"),
        (cluster.KMeans(2, n_init=1).fit(X), "a classifier or a regressor.* is a KMeans"),
        (StandardScaler().fit(X), "a classifier or a regressor.* is a StandardScaler"),
        (
            multioutput.MultiOutputClassifier(DecisionTreeClassifier()).fit(X, np.c_[Y, Y]),
            "answers several questions at once",
        ),
        (ensemble.RandomForestClassifier(2).fit(X, Y * 0), "classes must be two or more"),
        ("text", "a classifier or a regressor.* is a str"),
    ],
)
def test_what_cannot_be_imitated_is_refused(estimator: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        answers_of(estimator, "m", "")


def test_a_model_that_does_not_answer_numbers_is_refused() -> None:
    class Words(Mine):
        def predict(self, x: Any) -> Any:
            raise TypeError("only words")

    with pytest.raises(ModelError, match="does not answer rows of 4 numbers: TypeError: only wo"):
        answers_of(Words().fit(X, Y), "m", "")


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    "estimator",
    [
        forest(),
        DecisionTreeClassifier(max_leaf_nodes=4).fit(X, Y),
        ensemble.GradientBoostingClassifier(n_estimators=2).fit(X, Y),
        ensemble.HistGradientBoostingClassifier(max_iter=2).fit(X, Y),
        ensemble.AdaBoostClassifier(n_estimators=2).fit(X, Y),
        ensemble.BaggingClassifier(n_estimators=2, max_features=0.5).fit(X, Y),
        make_pipeline(PolynomialFeatures(), DecisionTreeClassifier()).fit(X, Y),
        SVC().fit(X, Y),
        neighbors.KNeighborsClassifier(3, algorithm="brute").fit(X, Y),
        MLPClassifier((4,), max_iter=2000, tol=0.1).fit(X, Y),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_skops_saved_is_read_and_answers_alike(estimator: Any, tmp_path: Path) -> None:
    path = skops(tmp_path, estimator)
    found = read(path)
    assert found.facts.kind is Kind.SKLEARN
    assert found.facts.classes == (0, 1, 2)
    assert [t.shape for t in found.facts.inputs] == [(None, 4)]
    assert [t.shape for t in found.facts.outputs] == [(None, 3)]
    model = found.load()
    assert (model.predict_on_batch(X).argmax(axis=1) == estimator.predict(X)).all()


def test_files_are_told_by_their_content(tmp_path: Path) -> None:
    path = skops(tmp_path, forest()).rename(tmp_path / "forest")
    assert is_skops(path)
    assert not is_pickle(path)
    (tmp_path / "p").write_bytes(pickle.dumps(forest()))
    assert is_pickle(tmp_path / "p")
    (tmp_path / "broken.keras").write_bytes(b"PK\3\4")
    assert opened(str(tmp_path / "broken.keras"), (), unsafe=False) is None
    assert opened("x" * 5000, (), unsafe=False) is None
    assert opened(str(tmp_path), (), unsafe=False) is None


def test_where_keras_files_are_wanted_a_forest_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds a model of scikit-learn, which is not read"):
        identify(skops(tmp_path, forest()))


def test_a_pickle_is_refused_unless_it_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "forest.pkl"
    path.write_bytes(pickle.dumps(forest()))
    with pytest.raises(ModelError, match=r"forest\.pkl is a pickle, which runs code") as error:
        opened(str(path), (), unsafe=False)
    assert "skops.io.dump" in error.value.hint
    assert "--unsafe" in error.value.hint
    assert read(path, unsafe=True).facts.class_name == "RandomForestClassifier"


def test_types_that_skops_does_not_trust_are_refused_and_listed(tmp_path: Path) -> None:
    path = skops(tmp_path, make_pipeline(StandardScaler(), Mine()).fit(X, Y))
    kind = f"{Mine.__module__}.Mine"
    with pytest.raises(ModelError, match=f"not known to be harmless: {re.escape(kind)}") as error:
        read(path)
    assert f"--custom {Mine.__module__}:Mine" in error.value.hint
    for found in (read(path, f"{Mine.__module__}:Mine"), read(path, unsafe=True)):
        assert found.facts.class_name == "Pipeline"


def spoilt(path: Path, change: Callable[[np.ndarray], None], field: str = "left_child") -> Path:
    """Change the nodes of every tree in a file."""

    def changed(name: str, content: bytes) -> bytes:
        if name.endswith(".npy"):
            values = np.load(io.BytesIO(content))
            if field in (values.dtype.names or ()):
                change(values)
                stream = io.BytesIO()
                np.save(stream, values)
                return stream.getvalue()
        return content

    return rewritten(path, changed)


def set_to(field: str, value: int) -> Callable[[np.ndarray], None]:
    def change(nodes: np.ndarray) -> None:
        nodes[field][0] = value

    return change


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("left_child", 10_000, "a node leads back, or beyond the others"),
        ("right_child", 0, "a node leads back, or beyond the others"),
        ("right_child", -7, "a node leads back, or beyond the others"),
        ("feature", 4, "a node looks at a feature that is not there"),
        ("feature", -1, "a node looks at a feature that is not there"),
    ],
)
def test_trees_that_lead_astray_are_not_given_to_scikit_learn(
    field: str, value: int, why: str, tmp_path: Path
) -> None:
    path = spoilt(skops(tmp_path, forest()), set_to(field, value))
    with pytest.raises(ModelError, match=f"that scikit-learn did not make: {why}"):
        read(path)


@pytest.mark.parametrize(("field", "value"), [("left", 9_999), ("right", 0), ("feature_idx", 4)])
def test_trees_of_histograms_are_looked_at_too(field: str, value: int, tmp_path: Path) -> None:
    fitted = ensemble.HistGradientBoostingClassifier(max_iter=1).fit(X, Y)
    path = spoilt(skops(tmp_path, fitted), set_to(field, value), "feature_idx")
    with pytest.raises(ModelError, match="that scikit-learn did not make"):
        read(path)


def changed_schema(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    def changed(name: str, content: bytes) -> bytes:
        if name != "schema.json":
            return content
        schema = json.loads(content)
        change(schema)
        return json.dumps(schema).encode()

    return rewritten(path, changed)


def found_in(schema: Any, name: str) -> dict[str, Any]:
    """Return the first object of a class."""
    waiting = [schema]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, dict):
            if one.get("__class__") == name:
                return one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    raise AssertionError(name)


def test_a_tree_that_says_it_has_more_nodes_than_are_there_is_refused(tmp_path: Path) -> None:
    def more(schema: dict[str, Any]) -> None:
        count = found_in(schema, "Tree")["content"]["content"]["node_count"]
        count |= {"content": "1000000", "__id__": 1}

    path = changed_schema(skops(tmp_path, DecisionTreeClassifier().fit(X, Y)), more)
    with pytest.raises(ModelError, match="it says that it has more than is there"):
        read(path)


def test_a_tree_whose_numbers_stand_for_others_is_refused(tmp_path: Path) -> None:
    def twin(schema: dict[str, Any]) -> None:
        state = found_in(schema, "Tree")["content"]["content"]
        state["nodes"]["__id__"] = state["values"]["__id__"]

    path = changed_schema(skops(tmp_path, DecisionTreeClassifier().fit(X, Y)), twin)
    with pytest.raises(ModelError, match="two things in it have one identity"):
        read(path)


def test_a_tree_that_looks_at_more_than_its_estimator_is_given_is_refused(tmp_path: Path) -> None:
    def fewer(schema: dict[str, Any]) -> None:
        state = schema["content"]["content"]
        state["n_features_in_"] |= {"content": "2", "__id__": 1}

    for estimator in (DecisionTreeClassifier(), ensemble.RandomForestClassifier(2)):
        path = changed_schema(skops(tmp_path, estimator.fit(X, Y)), fewer)
        with pytest.raises(ModelError, match="a node looks at a feature that is not there"):
            read(path)


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    def emptied(name: str, content: bytes) -> bytes:
        return content if name == "schema.json" else b""

    path = rewritten(skops(tmp_path, forest()), emptied)
    with pytest.raises(ModelError, match=r"model\.skops cannot be read as a model of scikit-learn"):
        read(path)
    (tmp_path / "bad.pkl").write_bytes(b"\x80\x04nothing")
    with pytest.raises(ModelError, match=r"bad\.pkl cannot be read as a model of scikit-learn"):
        read(tmp_path / "bad.pkl", unsafe=True)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.skops", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b"{}")
        archive.writestr("1.npy", bytes(64 << 20))
    with pytest.raises(ModelError, match="looks like a zip bomb"):
        read(tmp_path / "b.skops")


def test_a_file_of_another_scikit_learn_is_told(tmp_path: Path) -> None:
    def older(name: str, content: bytes) -> bytes:
        return content.replace(sklearn.__version__.encode(), b"1.0.2")

    path = rewritten(skops(tmp_path, SVC().fit(X, Y)), older)
    (note,) = read(path).notes
    assert note == (
        f"model.skops was saved by scikit-learn 1.0.2 and is read by {sklearn.__version__}, "
        "which may answer otherwise"
    )


def test_without_scikit_learn_the_command_that_installs_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = skops(tmp_path, forest())
    monkeypatch.setattr(Package, "version", lambda self: "")
    with pytest.raises(UsageError, match="scikit-learn and skops must be installed") as error:
        read(path)
    assert error.value.hint.startswith("pip install ")


# ---------------------------------------------------------------- module:object


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "somebodys.py").write_text(
        "from sklearn.datasets import load_iris\n"
        "from sklearn.tree import DecisionTreeClassifier\n"
        "x, y = load_iris(return_X_y=True)\n"
        "tree = DecisionTreeClassifier(random_state=0).fit(x, y)\n"
        "number = 3\n"
        "def made():\n    return tree\n"
        "def failing():\n    raise RuntimeError('no luck')\n"
    )
    yield "somebodys"
    sys.modules.pop("somebodys", None)


def test_an_object_and_a_function_that_returns_one_are_models(module: str) -> None:
    one, other = (opened(f"{module}:{name}", (), unsafe=False) for name in ("tree", "made"))
    assert one is not None
    assert other is not None
    assert one.facts.name == "tree"
    assert one.content == other.content
    assert skops_io.get_untrusted_types(data=one.content) == ["sklearn.tree._tree.Tree"]


def test_the_same_estimator_is_saved_as_the_same_bytes() -> None:
    one, other = forest(), forest()
    assert saved(one, "m") == saved(other, "m")
    assert saved(one, "m") != saved(forest(6), "m")
    again = skops_io.loads(saved(one, "m"), trusted=["sklearn.tree._tree.Tree"])
    assert (again.predict_proba(X) == one.predict_proba(X)).all()


def test_objects_that_are_no_models_are_refused(module: str) -> None:
    with pytest.raises(ModelError, match="somebodys:number is of the type int"):
        opened(f"{module}:number", (), unsafe=False)
    with pytest.raises(UsageError, match="failed: RuntimeError: no luck"):
        opened(f"{module}:failing", (), unsafe=False)
    with pytest.raises(UsageError, match="somebodys has no nothing"):
        opened(f"{module}:nothing", (), unsafe=False)


# ---------------------------------------------------------------- points


def test_points_are_like_their_samples() -> None:
    x = np.c_[X, (Y > 0).astype("float32")]
    found = around(x, 3, 0)
    assert found.shape == (450, 5)
    assert found.dtype == x.dtype
    assert set(np.unique(found[:, 4])) == {0, 1}  # one of two kinds lies between none
    assert (found[:, :4].std(axis=0) / x[:, :4].std(axis=0)) == pytest.approx(1, abs=0.2)
    assert (found == around(x, 3, 0)).all()
    assert (found != around(x, 3, 1)).any()
    assert 0.4 < np.isin(found[:, :4], x[:, :4]).mean() < 0.95


def test_whole_numbers_stay_whole_and_within_their_type() -> None:
    x = np.random.default_rng(0).integers(0, 256, (50, 3), dtype=np.uint8)
    found = around(x, 4, 0)
    assert found.dtype == np.uint8
    assert len(found) == 200


def test_many_samples_have_few_points() -> None:
    assert how_many(None, 10) == 1000
    assert how_many(None, 1000) == 50
    assert how_many(None, 500_000) == 0
    assert how_many(7, 500_000) == 7
    assert len(around(X, 0, 0)) == 0


# ---------------------------------------------------------------- plans


def request(model: Any, folder: Path, spec: str, **more: Any) -> Request:
    step = Imitate.of({})
    base = Request(Path(model), Recipe((step,)), folder / "net.keras", data=spec)
    return replace(base, **more)


@pytest.fixture
def here(tmp_path: Path) -> tuple[Path, Path]:
    if "imitate" not in installed().methods:
        pytest.skip("edgeshrink was installed before this plugin")
    return tmp_path, skops(tmp_path, forest())


def test_a_plan_is_made_without_tensorflow_knowing(here: tuple[Path, Path]) -> None:
    folder, path = here
    planned = plan(request(path, folder, data(folder)), installed())
    assert planned.base.kind is Kind.SKLEARN
    assert planned.base.size_bytes == path.stat().st_size
    assert planned.data is not None
    assert planned.data.class_names == ("0", "1", "2")


def test_data_of_other_features_is_refused(here: tuple[Path, Path]) -> None:
    folder, path = here
    spec = data(folder, x_train=X[:100, :3], x_test=X[100:, :3])
    with pytest.raises(EdgeshrinkError, match="4"):
        plan(request(path, folder, spec), installed())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"data": ""}, "imitate needs data"),
        ({"data": "", "data_free": True}, "statistics of batch norms, and the model has none"),
        ({"seconds": 60.0}, "--time goes by training steps of the model itself"),
    ],
)
def test_what_a_forest_cannot_do_is_refused(
    here: tuple[Path, Path], more: dict[str, Any], said: str
) -> None:
    folder, path = here
    with pytest.raises(EdgeshrinkError, match=said):
        plan(request(path, folder, data(folder), **more), installed())


@pytest.mark.parametrize("given", [{"teacher": "none"}, {"alpha": 0.5}, {"max_epochs": 3}])
def test_what_would_have_no_effect_is_refused(
    here: tuple[Path, Path], given: dict[str, Any]
) -> None:
    folder, path = here
    recipe = Recipe((Imitate.of({}, given),))
    with pytest.raises(UsageError, match="has no effect: the net learns what"):
        plan(request(path, folder, data(folder), recipe=recipe), installed())


def test_settings_that_no_step_goes_by_are_told(here: tuple[Path, Path]) -> None:
    folder, path = here

    def told(*steps: Any, **tuned: Any) -> list[str]:
        recipe = Recipe(steps, Training(**tuned))
        planned = plan(request(path, folder, data(folder), recipe=recipe), installed())
        return [one for one in planned.warnings if "no effect" in one]

    step = Imitate.of({})
    assert told(step, effort="thorough", epochs=2) == [
        "no step chooses how long it trains: --effort has no effect"
    ]
    assert told(step, epochs=2) == []
    untrained = type("Untrained", (Imitate,), {"training": None})()
    assert told(untrained, epochs=2, batch_size=8) == [
        "no step trains: --epochs, --batch-size have no effect"
    ]
    assert told(untrained, epochs=0) == []


def test_features_that_8_bits_do_not_tell_apart_are_told(tmp_path: Path) -> None:
    wide = X * np.array([1000, 1, 1, 1], "float32")
    facts = ModelFacts(Kind.SKLEARN)
    after = (installed().methods["int8"](),)
    found = load_dataset(data(tmp_path, x_train=wide[:100]))
    (said,) = Imitate().check(Plan(facts, (), after, found, DeviceProfile("test")))
    assert said.endswith(
        "and 3 of 4 vary by less: fit the model on features of one size, or take --dynamic, which "
        "leaves them in float"
    )
    assert said.startswith("8 bits round all features to steps of 3")
    assert list(Imitate().check(Plan(facts, (), (), found, DeviceProfile("test")))) == []
    alike = load_dataset(data(tmp_path))
    assert list(Imitate().check(Plan(facts, (), after, alike, DeviceProfile("test")))) == []


# ---------------------------------------------------------------- the whole way


@pytest.mark.heavy
def test_a_forest_becomes_a_net_that_is_judged_by_it(here: tuple[Path, Path]) -> None:
    folder, path = here
    report = package.compress(
        path,
        output=folder / "net.tflite",
        int8=True,
        imitate_units=(4, 16),
        imitate_epochs=6,
        data=data(folder),
        rules="smoke",
    )
    base, net, *_, final = report.ledger.rows
    assert base.score.value == pytest.approx(forest().score(X[100:], Y[100:]))
    assert base.kind == "scikit-learn"
    assert base.size_bytes == path.stat().st_size == report.ledger.weight_bytes
    assert [row.step for row in report.ledger.rows][0::3] == ["base", "strip"]
    assert net.facts["units"] in (4, 16)
    assert [t["units"] for t in net.facts["trials"]] == [4, 16]
    assert final.agreement.top1 > 0.85
    assert final.agreement.samples == 50
    assert final.size_bytes < base.size_bytes
    said = " ".join(net.notes)
    assert f"a net of {net.facts['units']} hidden units learned the model's answers to 90 " in said
    assert "training samples and 49,950 points around them" in said
    assert "likeness of answers to validation samples, 1 at most: 4 units " in said
    lines = " ".join(package.results.summary(report))
    assert f"where the original's own file has {base.size_bytes:,};" in lines
    assert "(median, threads: 1" in lines
    assert "the original runs on no such runtime" in lines
    assert ", kernels: xnnpack" in lines


@pytest.mark.heavy
def test_a_regressor_becomes_a_net_and_goes_on_from_its_stages(
    here: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = here
    x, y = datasets.load_diabetes(return_X_y=True)
    fitted = linear_model.Ridge(0.01).fit(x[:300], y[:300])
    np.savez(folder / "d.npz", x_train=x[:300], y_train=y[:300], x_test=x[300:], y_test=y[300:])
    path = skops(folder, fitted, "ridge.skops")
    values: dict[str, Any] = {"imitate_units": (16,), "imitate_epochs": 20, "rules": "smoke"}
    made = [
        package.compress(
            path, output=folder / "net.keras", data=str(folder / "d.npz"), force=True, **values
        )
        for _ in range(2)
    ]
    base, net = made[0].ledger.rows
    assert base.score.metric == "mae"
    assert base.score.value == pytest.approx(np.abs(fitted.predict(x[300:]) - y[300:]).mean(), 1e-4)
    assert net.facts["likeness"] > 0.95
    assert net.score.value == pytest.approx(base.score.value, rel=0.1)
    assert made[1].ledger.rows[1].reused
