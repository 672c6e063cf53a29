"""Recipes and studies of strangers: wrong types, depth, numbers of steps, names that are paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeshrink import cli
from edgeshrink.errors import RecipeError, StudyError, UsageError
from edgeshrink.plugins import installed
from edgeshrink.recipes import Recipe, Study
from edgeshrink.recipes.training import LOSSES, check_loss


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training = [1]", "training must be a table; received [1]"),
        ("training = 5", "training must be a table; received 5"),
        ("without = 3", "without lists methods; received 3"),
        ('without = "strip"', "without lists methods; received 'strip'"),
        ("without = [5]", "no method 5"),
        ("step = 5", "steps are written as [[step]] tables"),
        ('[[step]]\nmethod = "int8"\ntraining = 5', "int8 training must be a table; received 5"),
        ('[[step]]\nmethod = "int8"\ntraining = [0]', "int8 training must be a table"),
        ("[[step]]\nmethod = [1]", "no method [1]"),
        ('[[step]]\nmethod = "prune"\nsparsity = {a = 1}', "prune: sparsity must be a number"),
        ("a = " + "[" * 5000, "is not TOML: it is nested too deep"),
        ("seed = " + "9" * 5000, "is not TOML"),
        ('[[step]]\nmethod = "int8"\n' * 10_000, "a recipe has at most 100 steps; received 10,000"),
    ],
)
def test_a_strange_recipe_is_a_sentence(text: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_toml(text, installed().methods)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_thousand_steps_of_lines_are_too_many() -> None:
    with pytest.raises(UsageError, match="at most 100 steps"):
        Recipe.from_steps(["int8"] * 101, installed().methods)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--prune '0.8", "must close its quotes"),
        ("--int8=false", "--int8 takes no value; received '--int8=false'"),
        ("--int8=true", "--int8 takes no value"),
        ("--no-strip=1", "--no-strip takes no value"),
    ],
)
def test_a_strange_line_of_flags_is_a_sentence(line: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.from_text(line, installed().methods)
    assert said in str(caught.value)


def test_losses_are_known_before_keras_is_there() -> None:
    from keras.src.losses import ALL_OBJECTS

    theirs = {one.__name__.lower().replace("_", "") for one in ALL_OBJECTS}
    assert theirs - {"loss", "lossfunctionwrapper"} <= LOSSES
    for given in (
        "mse",
        "MeanSquaredError",
        "sparse_categorical_crossentropy",
        "a=mse, b=kld",
        None,
    ):
        check_loss(given)
    for given in ("nonsense", "", "a=nonsense", "mse,nonsense"):
        with pytest.raises(UsageError, match="Keras has no loss"):
            check_loss(given)


STUDY = """
title = "T"
[data.d]
spec = "x.npz"
preprocess = "{preprocess}"
[models.{model}]
file = "x.keras"
data = "d"
[recipes]
{recipe} = "{line}"
[[tables]]
name = "1"
title = "t"
columns = ["accuracy"]
rows = [{{label = "a", model = {model}, recipe = {recipe}}}]
"""


def study(**change: str) -> str:
    usual = {"preprocess": "none", "model": '"m"', "recipe": '"r"', "line": "--int8"}
    return STUDY.format(**{**usual, **change})


def test_a_usual_study_is_read() -> None:
    assert list(Study.from_toml(study()).models) == ["m"]
    for name in ("VGG-16", "tf_model.v2", "größe", "a(b)=c+d"):
        assert list(Study.from_toml(study(model=f'"{name}"', recipe=f'"{name}"')).models) == [name]


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/b", "", "..", ".x", "a\\u0000b", "a\\\\b", "x" * 101]
)
@pytest.mark.parametrize("key", ["model", "recipe"])
def test_names_that_become_folders_are_names(key: str, name: str) -> None:
    with pytest.raises(StudyError, match="a name has letters, digits"):
        Study.from_toml(study(**{key: f'"{name}"'}))


def test_a_study_is_held_to_its_words_in_a_dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x.npz", "x.keras"):
        (tmp_path / name).write_bytes(b"x")
    file = tmp_path / "s.toml"
    for text, said in (
        (study(preprocess="scale=1/0"), "preprocessing must hold finite numbers"),
        (study(line="--int8-qat --loss nonsense --int8"), "Keras has no loss 'nonsense'"),
        (study(line="--int8=false"), "--int8 takes no value"),
        (study(line="--prune '0.8"), "must close its quotes"),
        ("title = " + "[" * 5000, "nested too deep"),
        ("title = 'x'\ntables = 5", "must be a list of tables"),
    ):
        file.write_text(text)
        assert cli.run(["study", str(file), "--dry-run"]) == 1, text
        told = capfd.readouterr().err
        assert said in told
        assert "unexpected" not in told
