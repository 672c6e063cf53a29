from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, strategies as st

from edgeshrink.api import Flag, Kind, Method, NoOptions, Phase, Training
from edgeshrink.errors import EdgeshrinkError, RecipeError, UsageError
from edgeshrink.recipes.recipe import Recipe


@dataclass(frozen=True)
class TrimOptions:
    share: Annotated[float, Flag("A share.", min=0, below=1)]
    how: Annotated[Literal["fast", "slow"], Flag("How.")] = "fast"
    names: Annotated[tuple[str, ...], Flag("Names.")] = ()
    note: Annotated[str, Flag("A note.")] = ""
    deep: Annotated[bool, Flag("Deep.")] = False
    limit: Annotated[int | None, Flag("A limit.", min=0)] = None


class Trim(Method):
    """Trim."""

    name, title, phase = "trim", "Trimming", Phase.PRUNE
    Options = TrimOptions
    training = Training(epochs=2)

    def apply(self, model: Any, context: Any) -> Any:
        return model


class Grow(Method):
    """Grow."""

    name, title, phase, Options = "grow", "Growing", Phase.DISTILL, NoOptions

    def apply(self, model: Any, context: Any) -> Any:
        return model


class Whole(Method):
    """Write whole numbers."""

    name, title, phase, Options = "whole", "Whole", Phase.PRECISION, NoOptions
    produces, slot = Kind.TFLITE, "precision"

    def apply(self, model: Any, context: Any) -> Any:
        return b""


class Plain(Whole):
    """Write as it is."""

    name, title, default = "plain", "Plain", True


class Clean(Method):
    """Clean up."""

    name, title, phase, Options = "clean", "Cleaning", Phase.STRIP, NoOptions
    accepts, produces, default_on = (Kind.TFLITE,), Kind.TFLITE, True

    def apply(self, model: Any, context: Any) -> Any:
        return model


METHODS = {method.name: method for method in (Grow, Trim, Plain, Whole, Clean)}

texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
# a name with a comma cannot be told from two names in `--step`; in TOML it can
steps = st.one_of(
    st.builds(
        lambda options, training: Trim(TrimOptions(**options), Training(**training)),
        st.fixed_dictionaries(
            {"share": st.floats(0, 1, exclude_max=True)},
            optional={
                "how": st.sampled_from(["fast", "slow"]),
                "names": st.lists(texts, max_size=3).map(tuple),
                "note": texts,
                "deep": st.booleans(),
                "limit": st.integers(0, 2**40),
            },
        ),
        st.fixed_dictionaries(
            {},
            optional={
                "epochs": st.integers(0, 99),
                "lr": st.floats(1e-12, 1e3),
                "loss": texts,
                "teacher": st.sampled_from(["none", "original"]),
            },
        ),
    ),
    st.builds(Grow),
    st.builds(Whole),
)
recipes = st.builds(
    Recipe,
    st.lists(steps, max_size=4).map(tuple),
    st.builds(Training, epochs=st.none() | st.integers(0, 9), loss=st.none() | texts),
    st.integers(0, 2**31),
    st.sampled_from([(), ("clean",)]),
)


def content(recipe: Recipe) -> tuple[Any, ...]:
    steps = [(type(s), s.options, s.tuning) for s in recipe.steps]
    return steps, recipe.training, recipe.seed, recipe.without


@given(recipes)
def test_a_recipe_is_the_same_after_toml(recipe: Recipe) -> None:
    assert content(Recipe.from_toml(recipe.to_toml(), METHODS)) == content(recipe)


@given(st.text(max_size=80))
def test_any_text_is_a_recipe_or_a_recipe_error(text: str) -> None:
    try:
        found = Recipe.from_toml(text, METHODS)
    except RecipeError:
        return
    assert content(Recipe.from_toml(found.to_toml(), METHODS)) == content(found)


@given(st.lists(st.text(max_size=30), max_size=3))
def test_any_step_line_is_read_or_refused(lines: list[str]) -> None:
    try:
        found = Recipe.from_steps(lines, METHODS)
    except EdgeshrinkError:
        return
    assert len(found.steps) == len(lines)


def test_flags_mean_the_order_of_phases() -> None:
    recipe = Recipe.from_flags({"whole": True, "trim": 0.5, "grow": True}, METHODS)
    assert [step.name for step in recipe.steps] == ["grow", "trim", "whole"]


def test_steps_keep_their_order() -> None:
    recipe = Recipe.from_steps(["trim share=0.5 training.epochs=1", "grow"], METHODS)
    assert [str(step) for step in recipe.steps] == ["trim(share=0.5)", "grow"]
    assert recipe.steps[0].tuning == Training(epochs=1)


def test_steps_equal_flags_equal_toml() -> None:
    flags = Recipe.from_flags({"trim": "0.5", "trim_names": "a,b"}, METHODS)
    lines = Recipe.from_steps(['trim share=0.5 names="a,b"'], METHODS)
    toml = Recipe.from_toml('[[step]]\nmethod = "trim"\nshare = 0.5\nnames = ["a", "b"]\n', METHODS)
    assert content(flags) == content(lines) == content(toml)


def test_an_option_without_its_method_is_refused() -> None:
    with pytest.raises(UsageError, match="--trim-how has no effect without --trim"):
        Recipe.from_flags({"trim_how": "slow"}, METHODS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 1", "here has an unknown key 'sed'"),
        ('[[step]]\nmethod = "trm"', "here: no method 'trm'"),
        ("[[step]]\nshare = 1", "here: a [[step]] needs a method; received {'share': 1}"),
        ('[[step]]\nmethod = "trim"', "here: trim needs a value: A share"),
        (
            '[[step]]\nmethod = "trim"\nshare = 2',
            "here: trim: share must be a number at least 0 and below 1; received 2",
        ),
        ('[[step]]\nmethod = "trim"\nshare = 0\nshar = 1', "here: trim has no option 'shar'"),
        ("step = 3", "here: steps are written as [[step]] tables"),
        ("seed = -1", "here: seed must be a whole number at least 0; received -1"),
        ("[training]\nepoch = 1", "here: training has no option 'epoch'"),
        ('without = ["x"]', "here: no method 'x'"),
    ],
)
def test_what_is_wrong_in_a_recipe_file_is_said_with_its_name(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_toml(text, METHODS, origin="here")
    assert str(caught.value) == message


def test_a_recipe_is_completed_for_a_tflite() -> None:
    recipe = Recipe.from_flags({"trim": 0.5}, METHODS).completed(METHODS, Kind.TFLITE)
    assert [step.name for step in recipe.steps] == ["trim", "plain", "clean"]
    without = Recipe.from_flags({"whole": True, "clean": False}, METHODS)
    done = without.completed(METHODS, Kind.TFLITE)
    assert [step.name for step in done.steps] == ["whole"]
    assert done.without == ("clean",)


def test_two_precisions_are_refused() -> None:
    recipe = Recipe((Whole(), Plain()))
    with pytest.raises(UsageError, match="a recipe has one precision; received whole and plain"):
        recipe.check_order(Kind.KERAS)


def test_a_step_that_gets_the_wrong_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="trim takes a keras model but gets a tflite") as error:
        Recipe((Whole(), Trim(TrimOptions(0.5)))).check_order(Kind.KERAS)
    assert error.value.hint == "put trim earlier, or drop one of them"


def test_a_step_that_no_other_place_helps_is_not_sent_to_one() -> None:
    with pytest.raises(UsageError, match="gets a keras model from trim") as error:
        Recipe((Trim(TrimOptions(0.5)), Clean())).check_order(Kind.KERAS)
    assert error.value.hint == "drop clean, or write a .tflite file"
    with pytest.raises(UsageError, match="gets a keras model from the model") as error:
        Recipe((Clean(), Whole())).check_order(Kind.KERAS)
    assert error.value.hint == "put whole before it"


@pytest.mark.parametrize("value", [{"deep": True}, 1, "yes"])
def test_a_switch_takes_no_options(value: Any) -> None:
    with pytest.raises(UsageError, match="clean is on or off, True or False; received") as error:
        Recipe.from_flags({"clean": value}, METHODS)
    assert "as in clean_OPTION=" in error.value.hint


def test_an_option_of_what_is_switched_off_is_refused() -> None:
    @dataclass(frozen=True)
    class TidyOptions:
        deep: Annotated[bool, Flag("Deep.")] = False

    class Tidy(Clean):
        """Tidy up."""

        name, Options = "tidy", TidyOptions

    with pytest.raises(UsageError, match="--tidy-deep has no effect beside --no-tidy") as error:
        Recipe.from_flags({"tidy": False, "tidy_deep": True}, {"tidy": Tidy})
    assert error.value.hint == "drop one of them"


def test_training_settings_step_beats_recipe_beats_method() -> None:
    step = Trim(TrimOptions(0.5), Training(lr=0.5))
    recipe = Recipe((step,), Training(lr=0.1, batch_size=8))
    assert recipe.resolved(step) == Training(epochs=2, lr=0.5, batch_size=8)


def test_a_written_recipe_asks_for_nothing_twice() -> None:
    from edgeshrink_quantize import Int8, Qat, Strip

    methods = {m.name: m for m in (Int8, Qat, Strip)}
    recipe = Recipe.from_flags({"int8": True, "int8_qat": True}, methods)
    whole = recipe.completed(methods, Kind.TFLITE)
    assert [s.name for s in whole.steps] == ["qat", "int8", "strip"]
    again = Recipe.from_toml(whole.to_toml(), methods).completed(methods, Kind.TFLITE)
    assert [str(s) for s in again.steps] == [str(s) for s in whole.steps]
