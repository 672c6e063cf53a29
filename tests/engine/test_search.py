"""A search from its first trial to its report, ended in the middle, and done by two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from sqlalchemy.exc import SQLAlchemyError

from edgeshrink.devices import RULES
from edgeshrink.engine import Request, SearchRequest, plan_search, search
from edgeshrink.errors import EdgeshrinkError, UsageError
from edgeshrink.plugins import installed
from edgeshrink.recipes import Recipe
from edgeshrink.results import Budgets, SearchReport, search_summary, summary

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]

SPACE = """
[training]
epochs = 1
lr = 1e-3

[[step]]
method = "prune"
sparsity = [0.5, 0.8]

[[step]]
method = "int8"

[[step]]
method = "fp16"
"""


@pytest.fixture
def request_(digits_model: Path, digits: Path, tmp_path: Path) -> SearchRequest:
    (tmp_path / "space.toml").write_text(SPACE)
    base = Request(
        model=digits_model,
        recipe=Recipe(),
        out=tmp_path / "small.tflite",
        data=str(digits),
        preprocess="scale=1/16",
        bench=RULES["smoke"],
        budgets=Budgets(max_drop="none"),
    )
    return SearchRequest(base, tmp_path / "space.toml", sampler="grid")


def done(request: SearchRequest) -> SearchReport:
    return search(plan_search(request, installed()), installed())


def counted(request: SearchRequest) -> Counter[str]:
    """Return how often each recipe was measured."""
    place = request.storage or f"sqlite:///{request.run_folder / 'trials.sqlite'}"
    kept = optuna.load_study(study_name=request.study, storage=place)
    return Counter(str(t.params) for t in kept.trials if "found" in t.user_attrs)


def stages(request: SearchRequest, name: str) -> int:
    return len([p for p in (request.run_folder / "stages").glob(f"{name}-*") if p.is_dir()])


def test_a_search_measures_shares_tells_and_goes_on(request_: SearchRequest) -> None:
    first = done(replace(request_, trials=2))
    assert [trial.outcome for trial in first.trials] == ["measured"] * 2
    report = done(request_)
    assert len(report.trials) == 4 == report.size
    assert list(report.trials[:2]) == [
        replace(trial, on_front=new.on_front)
        for trial, new in zip(first.trials, report.trials, strict=False)
    ]
    assert set(counted(request_).values()) == {1}
    assert stages(request_, "prune") == 2  # of four recipes, each pruned once and converted twice
    assert report.front
    assert report.picked is not None
    picked = report.trials[report.picked]
    assert picked.on_front
    for trial in report.trials:
        assert (request_.run_folder / trial.file).stat().st_size == trial.values["bytes"]
        assert (request_.run_folder / trial.file).with_suffix(".recipe.toml").is_file()
    assert report.result is not None
    assert report.result.output == str(request_.base.out)
    # chosen on validation samples, told on test samples
    assert report.base is not None
    assert picked.score is not None
    assert picked.score.count == report.base.count != 397
    assert report.result.ledger.final.score.count == 397
    assert report.result.ledger.final.size_bytes == picked.values["bytes"]
    told = search_summary(report)
    assert told[: len(told) - 2] == list(summary(report.result))
    assert told[0] == str(report.result.verdict).splitlines()[0]
    assert told[-2].startswith(f"{report.output}: {picked.words} (knee of the front; 4 of 4 ")
    text = request_.base.out.with_suffix(".search.md").read_text()
    assert text.index("- " + told[0].split(":")[0]) < text.index(picked.words)
    for suffix in (".search.md", ".search.json", ".search.html", ".recipe.toml"):
        assert request_.base.out.with_suffix(suffix).is_file()
    again = done(request_)
    assert again.trials == report.trials
    assert len(list((request_.run_folder / "trials").glob("*/model.tflite"))) == 4


def test_the_best_third_is_made_with_more_effort(request_: SearchRequest, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(SPACE.replace("epochs = 1\nlr = 1e-3", "max_epochs = 2"))
    report = done(request_)
    efforts = Counter(trial.effort for trial in report.trials)
    assert efforts == {"quick": 2, "normal": 2}  # of four, two thirds are let be
    for trial in report.trials:
        assert (request_.run_folder / trial.file).stat().st_size == trial.values["bytes"]
    assert done(request_).trials == report.trials
    assert set(counted(request_).values()) == {1, 2}


def test_limits_that_nothing_keeps_leave_the_nearest(request_: SearchRequest) -> None:
    base = replace(request_.base, budgets=Budgets(max_drop="none", max_ms="0.000001"))
    report = done(replace(request_, trials=2, base=base))
    assert "no recipe keeps every budget; the nearest misses --max-ms 0.000001 by" in report.failed
    assert report.picked is not None
    assert request_.base.out.is_file()


def test_what_cannot_be_is_told_before_any_work(request_: SearchRequest, tmp_path: Path) -> None:
    tight = replace(request_.base, budgets=Budgets(max_bytes="1kB"))
    with pytest.raises(UsageError, match="no recipe of the space can be as small") as small:
        plan_search(replace(request_, base=tight), installed())
    assert "shrink" in small.value.hint
    with pytest.raises(UsageError, match="labelled samples"):
        plan_search(replace(request_, base=replace(request_.base, data="")), installed())
    named = replace(request_.base, out=tmp_path / "x.keras")
    with pytest.raises(UsageError, match=r"writes a \.tflite or \.esz"):
        plan_search(replace(request_, base=named), installed())
    assert not request_.run_folder.exists()


def test_another_space_needs_another_name(request_: SearchRequest, tmp_path: Path) -> None:
    done(replace(request_, trials=1))
    (tmp_path / "other.toml").write_text(SPACE.replace("0.8", "0.9"))
    with pytest.raises(UsageError, match="is there with another model"):
        done(replace(request_, space=tmp_path / "other.toml"))


WORKER = """
import sys
from pathlib import Path
from edgeshrink.devices import RULES
from edgeshrink.engine import Request, SearchRequest, plan_search, search
from edgeshrink.plugins import installed
from edgeshrink.recipes import Recipe
from edgeshrink.results import Budgets
from edgeshrink.api import hookimpl

class Trials:
    @hookimpl
    def edgeshrink_run_finished(self, name):
        print(name, flush=True)

if __name__ == "__main__":
    model, data, out, space, storage, sampler, trials, worker = sys.argv[1:]
    base = Request(
        model=Path(model), recipe=Recipe(), out=Path(out), data=data, preprocess="scale=1/16",
        bench=RULES["smoke"], budgets=Budgets(max_drop="none"),
    )
    asked = SearchRequest(
        base, Path(space), sampler=sampler, storage=storage, worker=worker == "yes",
        trials=int(trials) or None,
    )
    installed().register(Trials(), "trials")
    search(plan_search(asked, installed()), installed())
"""


def started(request: SearchRequest, script: Path, out: Path, *, worker: bool) -> subprocess.Popen:
    script.write_text(WORKER)
    words = (request.base.model, request.base.data, out, request.space, request.storage)
    words = (*words, request.sampler, request.trials or 0)
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, words), "yes" if worker else "no"],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_search_goes_on_and_measures_nothing_twice(
    request_: SearchRequest, tmp_path: Path
) -> None:
    request = replace(request_, storage=f"sqlite:///{tmp_path / 'all.sqlite'}")
    process = started(request, tmp_path / "do.py", request.base.out, worker=False)
    try:
        until = time.monotonic() + 240
        while time.monotonic() < until:
            time.sleep(0.2)
            if (tmp_path / "all.sqlite").exists() and process.poll() is None:
                try:
                    if sum(counted(request).values()) >= 1:
                        break
                except (KeyError, optuna.exceptions.OptunaError, SQLAlchemyError):
                    continue
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = counted(request)
    assert 1 <= sum(before.values()) < 4
    report = done(request)
    after = counted(request)
    assert len(after) == 4
    assert set(after.values()) == {1}
    assert before <= after
    assert len(report.trials) == 4


def test_two_at_once_do_each_recipe_once(request_: SearchRequest, tmp_path: Path) -> None:
    request = replace(request_, storage=f"sqlite:///{tmp_path / 'all.sqlite'}")
    done(replace(request, trials=1))
    helper = started(request, tmp_path / "do.py", tmp_path / "helper.tflite", worker=True)
    report = done(request)
    helper.communicate(timeout=240)
    assert helper.returncode == 0
    assert len(report.trials) == 4
    assert set(counted(request).values()) == {1}


TWELVE = """
[training]
epochs = 1
lr = 1e-3

[[step]]
method = "prune"
optional = true
sparsity = [0.5, 0.8]

[[step]]
method = "cluster"
optional = true
clusters = 16

[[step]]
method = "int8"

[[step]]
method = "fp16"
"""


def test_two_that_choose_by_what_both_measured_lose_no_trial_and_make_none_twice(
    request_: SearchRequest, tmp_path: Path
) -> None:
    (tmp_path / "space.toml").write_text(TWELVE)
    storage = f"sqlite:///{tmp_path / 'all.sqlite'}"
    request = replace(request_, storage=storage, sampler="guided", trials=7)
    begun = done(replace(request, trials=1))
    assert begun.size == 12
    helper = started(request, tmp_path / "do.py", tmp_path / "helper.tflite", worker=True)
    report = done(request)
    theirs, _ = helper.communicate(timeout=240)
    assert helper.returncode == 0
    kept = optuna.load_study(study_name=request.study, storage=storage).trials
    assert {trial.state.name for trial in kept} <= {"COMPLETE", "PRUNED"}
    assert all("void" in trial.user_attrs for trial in kept if trial.state.name == "PRUNED")
    assert len(report.trials) == len(report.measured) == 7
    assert sum(counted(request).values()) == 7
    assert set(counted(request).values()) == {1}
    assert 1 <= len(theirs.splitlines()) <= 5


@pytest.mark.filterwarnings("ignore")  # Dask's own, where its processes end
def test_a_cluster_makes_the_recipes_that_one_process_makes(
    request_: SearchRequest, tmp_path: Path, scheduler: str
) -> None:
    with pytest.raises(UsageError, match=r"not those of another, nor its own.* received 2 places"):
        done(replace(request_, jobs=1, scheduler=scheduler))
    alone = done(replace(request_, goals=("bytes",)))
    request = replace(
        request_,
        base=replace(request_.base, out=tmp_path / "there.tflite"),
        goals=("bytes",),
        scheduler=scheduler,
    )
    report = done(request)

    def found(one: SearchReport) -> list[tuple[object, ...]]:
        return sorted((t.words, t.score, t.values["bytes"]) for t in one.trials)

    assert found(report) == found(alone)
    assert len(report.trials) == 4
    assert set(counted(request).values()) == {1}
    assert stages(request, "prune") == 2
    assert report.result is not None
    assert report.result.ledger.final.score.count == 397  # picked and judged here
    begun = [
        json.loads(path.read_text())["name"] for path in request.run_folder.glob("*/*/job.json")
    ]
    assert len(begun) == 4


def test_a_scheduler_that_does_not_answer_is_told(
    request_: SearchRequest, edgeshrink: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    pytest.importorskip("distributed")
    base = request_.base
    words = ("--data", base.data, "--preprocess", "scale=1/16", "--scheduler", "tcp://localhost:1")
    said = edgeshrink("search", base.model, *words, "-o", base.out)
    assert said.returncode == 2
    assert "error: no Dask scheduler answers at 'tcp://localhost:1'" in said.stderr
    assert "hint:  start one: dask scheduler" in said.stderr


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_lost_is_no_failure_of_a_recipe(
    request_: SearchRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        dashboard_address=None,
        local_directory=str(tmp_path / "dask"),
    ) as cluster:
        request = replace(request_, scheduler=cluster.scheduler_address)
        monkeypatch.setattr("edgeshrink.engine.jobs.cluster.ANSWER_SECONDS", 3)
        planned = plan_search(request, installed())
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(search, planned, installed())
            while not list(request.run_folder.glob("trials/*/job.json")):
                assert not running.done(), running.exception()
                time.sleep(0.1)
            cluster.close()
            with pytest.raises(EdgeshrinkError, match=r"the scheduler at .* was lost") as lost:
                running.result(120)
    assert "the same command goes on" in lost.value.hint
    report = done(replace(request_, trials=1))
    assert [trial.outcome for trial in report.trials] == ["measured"]


def test_recipes_that_all_fail_are_told(request_: SearchRequest, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text('[[step]]\nmethod = "mixed"\nbytes = [2386, 2390]\n')
    report = done(request_)
    assert [trial.outcome for trial in report.trials] == ["failed"] * 2
    assert all("bytes" in trial.said for trial in report.trials)
    assert report.failed == "nothing was measured"
    assert report.picked is None
    assert search_summary(report) == ["nothing was found: 0 of 2 recipes measured, 2 failed"]
    assert not request_.base.out.exists()
    assert done(request_).trials == report.trials


def test_on_an_npu_the_figures_of_its_compiler_count(request_: SearchRequest) -> None:
    pytest.importorskip("ethosu.vela")
    base = replace(request_.base, devices=("ethos-u55-128",))
    space = request_.base.out.parent / "npu.toml"
    space.write_text(SPACE.replace('\n[[step]]\nmethod = "fp16"\n', ""))
    report = done(replace(request_, base=base, space=space, goals=(), pick="smallest"))
    assert report.goals == ("flash", "cycles")
    assert report.before == {}  # the float file does not compile
    assert [trial.outcome for trial in report.trials] == ["measured"] * 2
    sizes = [trial.values["flash"] for trial in report.trials]
    assert sizes[1] < sizes[0]  # of more zeros
    assert report.picked == 1
