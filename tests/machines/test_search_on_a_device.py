"""A search whose device is lost in the middle: it waits, goes on, and loses no recipe."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest

from edgeshrink.api import TargetError, hookimpl
from edgeshrink.devices import RULES
from edgeshrink.engine import Request, SearchRequest, plan_search, search
from edgeshrink.engine.searching import searcher
from edgeshrink.plugins import installed
from edgeshrink.recipes import Recipe
from edgeshrink.results import Budgets, SearchReport

pytestmark = [pytest.mark.device, pytest.mark.timeout(600)]

SPACE = """
[[step]]
method = "int8"

[[step]]
method = "fp16"

[[step]]
method = "dynamic"
"""


@pytest.fixture
def request_(server: Any, digits_model: Path, digits: Path, tmp_path: Path) -> SearchRequest:
    options = server.options()
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "board.toml").write_text(
        f'title = "A board"\ntarget = "ssh"\nruntime = "litert"\naddress = "ssh:device"\n'
        f'python = "{sys.executable}"\n[connection]\nconfig = "{options.config}"\n'
        "connect_timeout = 5\nalive_interval = 1\nalive_count = 5\n"
    )
    base = Request(
        model=digits_model,
        recipe=Recipe(),
        out=tmp_path / "small.tflite",
        data=str(digits),
        preprocess="scale=1/16",
        devices=(str(tmp_path / "board.toml"),),
        trust_profile=True,
        bench=RULES["smoke"],
        budgets=Budgets(max_drop="none"),
    )
    return SearchRequest(base, tmp_path / "space.toml", sampler="grid")


class Told:
    """An observer that keeps what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @hookimpl
    def edgeshrink_told(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def told() -> Iterator[Told]:
    watcher = Told()
    installed().register(watcher, "told")
    yield watcher
    installed().unregister("told")


def done(request: SearchRequest) -> SearchReport:
    return search(plan_search(request, installed()), installed())


def trials(request: SearchRequest) -> list[optuna.trial.FrozenTrial]:
    place = f"sqlite:///{request.run_folder / 'trials.sqlite'}"
    return optuna.load_study(study_name=request.study, storage=place).trials


def until_the_second(request: SearchRequest, running: Any) -> None:
    """Return when the second recipe is being made, and not measured yet."""
    while len(list(request.run_folder.glob("trials/*/job.json"))) < 2:
        assert not running.done(), running.exception()
        time.sleep(0.02)


def test_a_device_that_is_back_after_a_while_has_lost_no_recipe(
    request_: SearchRequest, server: Any, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher, "WAITS", (1.0,) * 60)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(done, request_)
        until_the_second(request_, running)
        server.stop()
        while not any(line.endswith("; trying again in 1 s") for line in told.lines):
            assert not running.done(), running.exception()
            time.sleep(0.02)
        server.start()
        report = running.result()
    assert [trial.outcome for trial in report.trials] == ["measured"] * 3
    assert all(trial.values["ms"] > 0 for trial in report.trials)
    assert [trial.state.name for trial in trials(request_)] == ["COMPLETE"] * 3
    assert set(Counter(str(trial.params) for trial in trials(request_)).values()) == {1}
    assert report.result is not None
    assert report.result.ledger.final.on[0].latency is not None


def test_a_device_that_stays_away_ends_the_search_and_the_same_command_goes_on(
    request_: SearchRequest, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher, "WAITS", (0.1, 0.1))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(done, request_)
        until_the_second(request_, running)
        server.stop()
        with pytest.raises(
            TargetError, match=r"board was lost: .*; it did not come back"
        ) as caught:
            running.result()
    assert caught.value.hint.endswith("the same command goes on from the last whole trial")
    assert caught.value.exit_code == 3
    assert [trial.state.name for trial in trials(request_)] == ["COMPLETE", "FAIL"]
    assert not request_.base.out.exists()
    (first,) = [trial.user_attrs["found"] for trial in trials(request_)[:1]]
    server.start()
    report = done(request_)
    assert [trial.outcome for trial in report.trials] == ["measured"] * 3
    measured = [trial for trial in trials(request_) if trial.state.name == "COMPLETE"]
    assert set(Counter(str(trial.params) for trial in measured).values()) == {1}
    assert measured[0].user_attrs["found"] == first


def test_a_device_that_never_answered_is_not_waited_for(
    request_: SearchRequest, server: Any, told: Told
) -> None:
    server.stop()
    with pytest.raises(TargetError, match="refuses connections") as caught:
        done(request_)
    assert "start the ssh server" in caught.value.hint
    assert told.lines == []
    assert [trial.state.name for trial in trials(request_)] == ["FAIL"]
