from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from edgeshrink.api import Flag, Method, NoOptions, Phase, Training
from edgeshrink.cli.commands import compress
from edgeshrink.cli.shared import single, typed
from edgeshrink.cli.typer_flags import flags_of, with_method_flags
from edgeshrink.plugins import CORE_KEYS, Plugins
from edgeshrink.recipes.recipe import Recipe


@dataclass(frozen=True)
class TrimOptions:
    share: Annotated[float, Flag("A share [of it].", min=0, below=1)]
    how: Annotated[Literal["fast", "slow"], Flag("How.")] = "fast"
    names: Annotated[tuple[str, ...], Flag("Names.")] = ("all",)
    deep: Annotated[bool, Flag("Deep.")] = False
    limit: Annotated[int | None, Flag("A limit.", metavar="MOST")] = None


class Trim(Method):
    """Trim a lot.

    More on it.
    """

    name, title, phase = "trim_it", "Trimming", Phase.PRUNE
    Options = TrimOptions
    training = Training()

    def apply(self, model: Any, context: Any) -> Any:
        return model


class Switch(Method):
    """Switch over."""

    name, title, phase, Options = "switch", "Switching", Phase.PRECISION, NoOptions

    def apply(self, model: Any, context: Any) -> Any:
        return model


class Hidden(Switch):
    """Not on the command line."""

    name, flag = "hidden", False


METHODS = {method.name: method for method in (Trim, Switch, Hidden)}


def parsed(*argv: str) -> dict[str, Any]:
    got: dict[str, Any] = {}

    def command(
        model: str, *, chosen: dict[str, Any], training: dict[str, Any], own: bool = False
    ) -> None:
        """Do it."""
        got.update(model=model, own=own, chosen=chosen, training=training)

    app = single(with_method_flags(METHODS, training=Training)(command))
    result = CliRunner().invoke(app, list(argv), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return got


def help_text() -> str:
    def command(*, chosen: dict[str, Any], training: dict[str, Any]) -> None:
        """Do it."""

    app = single(with_method_flags(METHODS, training=Training)(command))
    env = {"COLUMNS": "200", "TERMINAL_WIDTH": "200", "NO_COLOR": "1"}
    return CliRunner().invoke(app, ["--help"], env=env).output


def test_nothing_given_is_nothing_chosen() -> None:
    assert parsed("m") == {"model": "m", "own": False, "chosen": {}, "training": {}}


def test_values_arrive_as_they_were_typed() -> None:
    value = ["--trim-it", "0.5", "--trim-it-how", "slow", "--trim-it-deep"]
    lists = ["--trim-it-names", "a", "--trim-it-names", "b,c"]
    got = parsed("m", *value, *lists, "--trim-it-epochs", "3", "--epochs", "2", "--own")
    assert got["own"]
    assert got["training"] == {"epochs": "2"}
    assert got["chosen"] == {
        "trim_it": "0.5",
        "trim_it_how": "slow",
        "trim_it_names": "a,b,c",
        "trim_it_deep": True,
        "trim_it_epochs": "3",
    }
    (step,) = Recipe.from_flags(got["chosen"], METHODS).steps
    assert str(step) == "trim_it(share=0.5, how=slow, names=a+b+c, deep=True)"
    assert step.tuning == Training(epochs=3)


def test_a_negative_number_is_a_value() -> None:
    assert parsed("m", "--trim-it", "-1")["chosen"] == {"trim_it": "-1"}


@pytest.mark.parametrize(("flag", "value"), [("--switch", True), ("--no-switch", False)])
def test_a_switch_can_be_given_both_ways(flag: str, value: bool) -> None:
    assert parsed("m", flag)["chosen"] == {"switch": value}


def test_help_has_a_panel_a_method_with_bounds_choices_and_defaults() -> None:
    text = help_text()
    assert "Trimming" in text
    assert "A share [of it]. (at least 0 and below 1)" in text
    assert "fast|slow" in text
    assert "How. (default: fast)" in text
    assert "Names. (default: all; repeatable, or with commas)" in text
    assert "MOST" in text
    assert "--no-switch" in text
    assert "More on it" not in text


def test_training_of_one_method_is_taken_but_not_in_help() -> None:
    assert "--trim-it-epochs" not in help_text()
    assert ("trim_it_epochs", True) in {(key, hidden) for key, _, hidden in flags_of(Trim)}


def test_a_method_without_a_flag_has_none() -> None:
    assert flags_of(Hidden) == []
    assert "--hidden" not in help_text()


def test_core_keys_are_the_flags_of_compress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compress, "registry", lambda: Plugins([]))
    command = typer.main.get_command(compress.app())
    options = [p for p in command.params if p.param_type_name == "option"]
    spelled = {name.lstrip("-") for p in options for name in (*p.opts, *p.secondary_opts)}
    assert {name.replace("-", "_") for name in spelled | {"help"}} == CORE_KEYS


def test_a_password_in_an_address_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["search", "--storage", "postgresql://me:se:cret@host/d", "--at", "ssh://pi@host:22"]
    monkeypatch.setattr("sys.argv", ["edgeshrink", *words, "http://a:b/c@d"])
    assert typed() == (
        "edgeshrink search --storage postgresql://me:PASSWORD@host/d --at ssh://pi@host:22 "
        "http://a:b/c@d"
    )
