"""Studies: what is refused, what is run once, resumed, failed, left out, and how it is told."""

from __future__ import annotations

import importlib.util
import json
import shutil
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from paths import ROOT

from edgeshrink.cli.display.progress import Watcher
from edgeshrink.devices.measurement import DeviceInfo
from edgeshrink.engine import Request, retell_study, study as run_study
from edgeshrink.engine.jobs.crew import Crew
from edgeshrink.engine.jobs.process import do
from edgeshrink.engine.jobs.tasks import Build, Compress
from edgeshrink.engine.studies.figures import stage_of
from edgeshrink.engine.studies.study_request import StudyRequest
from edgeshrink.engine.studies.study_run import plan_study
from edgeshrink.errors import ModelError, StudyError, UsageError
from edgeshrink.plugins import installed
from edgeshrink.recipes.column import MEASURES
from edgeshrink.recipes.recipe import Recipe
from edgeshrink.recipes.study import Study
from edgeshrink.results.ledger import Ledger, Row
from edgeshrink.results.metric import Score
from edgeshrink.results.report import Report
from edgeshrink.results.study_row import Value
from edgeshrink.results.verdict import Verdict
from edgeshrink.selftest import checks as selftest

GRID = """
title = "Digits"
cite = "Nobody (2026)"
seeds = [0, 1]
rules = "smoke"
[data.digits]
spec = "digits.npz"
preprocess = "scale=1/16"
[models.small]
file = "digits.keras"
data = "digits"
[models.shallow]
build = "nets:shallow"
recipe = "learnt"
data = "digits"
unlike = "two epochs, not two hundred"
[recipes]
half = "--shrink 0.5 --shrink-scope layer --epochs 1 --lr 1e-3"
learnt = "--train --epochs 2 --lr 1e-2"
steps = ["prune sparsity=0.5 training.epochs=0", "int8"]
none = "--prune 0.5 --prune-layers nowhere --epochs 0"
[unlike]
half = "one epoch, not ten"
[[tables]]
name = "1"
title = "Half"
columns = ["accuracy", "parameters", "ms"]
figure = {x = "share", y = "accuracy"}
rows = [
 {label = "base", model = "small", published = {accuracy = 97.5, parameters = 10000}, x = 0},
 {label = "half", model = "small", recipe = "half", published = {accuracy = 98}, x = 50},
]
[[tables.claims]]
against = "base"
columns = ["accuracy"]
why = "Half is enough."
[[tables]]
name = "2"
title = "Steps"
columns = ["sparsity", "size_kib"]
rows = [
 {label = "pruned", model = "small", recipe = "steps", at = "prune"},
 {label = "pruned file", model = "small", recipe = "steps"},
 {label = "wrong", model = "small", recipe = "none"},
 {label = "shallow", model = "shallow", published = {size_kib = 1}},
 {label = "float64", left_out = "no kernels compute in it"},
]
[[tables]]
name = "3"
title = "Layers"
columns = ["parameters", "macs"]
rows = [
 {label = "first", model = "small", layers = ["first"], published = {parameters = 80}},
 {label = "hid", model = "small", recipe = "half", at = "shrink", layers = ["hid*", "none"]},
]
"""
NETS = """
import keras

def shallow():
    layers = keras.layers
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10, "softmax")])
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A study beside files that only have to be there."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "grid.toml").write_text(GRID)
    (folder / "nets.py").write_text(NETS)
    (folder / "digits.npz").write_bytes(b"samples")
    made(folder / "digits.keras", "digits")
    return folder


def made(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", text)
        archive.writestr("model.weights.h5", text)


@pytest.fixture
def here(monkeypatch):
    """Do jobs in this process, with made-up results, and tell which were done."""
    done = []

    plugins = installed()

    def process(self, job, *started):
        done.append(job.name)
        do(job.folder, plugins)
        return None, False

    def build(self, folder, plugins):
        made(folder / "model.keras", self.build)
        return {}

    def compress(self, folder, plugins):
        asked = self.request
        if "nowhere" in asked.recipe.to_toml():
            raise ModelError("no layer is called nowhere", hint="")
        if asked.out.suffix == ".keras":
            made(asked.out, "trained")
        else:
            shutil.copy(Path(selftest.__file__).parent / "float.tflite", asked.out)
        return made_up(self, [str(step) for step in asked.recipe.steps])

    monkeypatch.setattr(Crew, "_process", process)
    monkeypatch.setattr(Build, "do", build)
    monkeypatch.setattr(Compress, "do", compress)
    return done


def made_up(task, steps):
    """Return a ledger in which each step halves weights, and costs a point and the seed's tenth."""
    asked = task.request
    seed = asked.recipe.seed
    rows, names = [], ["base", "base as float", *steps, "float"]
    for place, name in enumerate(names):
        halved = max(0, min(place - 1, len(steps)))
        right = 0.97 - (0.01 + seed / 1000 if halved else 0)
        rows.append(
            Row(
                step=name,
                kind="tflite" if place in (1, len(names) - 1) else "keras",
                file=str(asked.out),
                digest=f"{place}",
                parameters=10_000 // 2**halved,
                nonzeros=10_000 // 4**halved,
                macs=50_000,
                size_bytes=40_960 // 2**halved,
                compressed_bytes=30_720 // 2**halved,
                scores=(Score("top1", right, right - 0.01, right + 0.01, 400, True),),
            )
        )
    machine = DeviceInfo("desktop", cpu="made up", cores=2)
    report = Report(
        str(asked.model),
        str(asked.out),
        "",
        asked.recipe.to_toml(),
        {"desktop": machine},
        {},
        Ledger(tuple(rows)),
        Verdict("top1", 0.97, right, 400),
    )
    layers = [{"first": (80, 2592), "hidden": (row.parameters, row.macs)} for row in rows]
    used = "of another day" if seed else task.used
    found = {"report": report.as_dict(), "layers": layers, "used": used, "made": "2026-01-02"}
    return found | {"run": str(asked.run_folder)}


def request(place, **more):
    return StudyRequest(place / "grid.toml", out=place, **more)


def table(report, name):
    found = next(t for t in report.tables if t.name == name)
    return {row.label: row for row in found.rows}


@pytest.mark.heavy
def test_a_study_is_run_told_and_resumed(place, here, capsys):
    plugins = installed()
    with Watcher(plugins):
        report = run_study(request(place), plugins)
    # a base that is built, and trained; two bases as they are; three recipes with two seeds
    assert len(here) == len(set(here)) == 10
    assert here.index("build nets:shallow") < here.index("shallow, learnt, seed 0")
    assert "small, none, seed 1: failed: no layer is called nowhere" in capsys.readouterr().err
    half, base = table(report, "1")["half"], table(report, "1")["base"]
    assert half.cells[0].ours.each == pytest.approx([96.0, 95.9])
    assert half.cells[0].ours.over == "seeds"
    assert half.cells[1].ours.mean == 5000
    assert half.cells[2].ours.mean > 0
    assert half.cells[2].doubt  # smoke is too short to be valid
    assert base.cells[0].ours.over == "samples"
    assert (base.cells[0].ours.low, base.cells[0].ours.high) == pytest.approx((96, 98))
    assert base.cells[0].difference == pytest.approx(97 - 97.5)
    steps = table(report, "2")
    assert steps["pruned"].cells[0].ours.mean == 50
    assert steps["pruned"].cells[1].ours.mean == 20
    assert steps["pruned file"].cells[1].ours.mean == 10
    assert steps["wrong"].missing == "failed: no layer is called nowhere"
    assert steps["shallow"].unlike == ("two epochs, not two hundred",)
    assert steps["float64"].missing == "left out: no kernels compute in it"
    layers = table(report, "3")
    assert [cell.ours.mean for cell in layers["first"].cells] == [80, 2592]
    assert layers["first"].cells[0].difference == 0
    assert [cell.ours.mean for cell in layers["hid"].cells] == [5000, 50_000]
    assert report.failed
    assert not report.lost

    here.clear()  # what is done is not done again; what failed is tried again
    again = run_study(request(place), plugins)
    assert here == ["small, none, seed 0", "small, none, seed 1"]
    assert again.tables[0].rows == report.tables[0].rows

    here.clear()
    (lost,) = (place / "grid.run" / "results").glob("small-half-1-*")
    shutil.rmtree(lost)
    told = table(run_study(request(place, only=("2/pruned",)), plugins), "1")["half"]
    assert told.notes == ("1 of 2 seeds are not run yet",)
    assert told.cells[0].ours.over == "samples"
    assert here == []
    asked = request(place, only=("1",))
    assert [one.run.seed for one in plan_study(asked, plugins) if not one.done] == [1]
    again = run_study(asked, plugins)
    assert here == ["small, half, seed 1"]
    assert table(again, "1")["half"].cells[:2] == half.cells[:2]
    assert table(again, "2")["pruned"].cells == steps["pruned"].cells  # there from before

    text = (place / "grid.md").read_text()
    assert "| shallow (c) | 0.0 | 40.0 / 1.0 / +39.0 |" in text
    assert "(c) two epochs, not two hundred" in text
    assert "(d) left out: no kernels compute in it" in text
    assert "(a) Half is enough. In figures, beside “base”: accuracy +0.5 points published" in text
    assert "(b) one epoch, not ten" in text
    assert "| half (a, b, c) | 95.95 [95.31–96.59] / 98.00 / −2.05 | 5,000 |" in text
    assert "digits.keras --shrink 0.5 --shrink-scope layer --epochs 1 --lr 1e-3 --data" in text
    assert "latency not valid" in text
    assert "shallow.keras: built by nets:shallow, trained with --train --epochs 2 --lr 1e-2" in text
    assert "(c) made on 2026-01-02; code that it used has changed since" in text
    assert base.stale == ""
    document = json.loads((place / "grid.json").read_text())
    cell = document["tables"][0]["rows"][1]["cells"]["accuracy"]
    assert cell["difference"] == pytest.approx(cell["ours"]["mean"] - 98)
    assert document["machines"]["desktop"]["cores"] > 0
    for written in ("grid.md", "grid.json", "grid.html"):
        assert str(place) not in (place / written).read_text()
    page = (place / "grid.html").read_text()
    if importlib.util.find_spec("matplotlib"):
        assert page.count("<svg") == 1
    else:
        assert "matplotlib is not installed" in page


def test_tables_are_told_again_in_the_words_of_now(place, tmp_path, here):
    plugins, folder = installed(), tmp_path / "told"
    shutil.copytree(place, folder, ignore=shutil.ignore_patterns("*.run"))
    asked = StudyRequest(folder / "grid.toml", out=folder)
    first = run_study(asked, plugins)
    shutil.rmtree(folder / "grid.run")
    (folder / "digits.keras").unlink()  # neither runs nor models are needed
    here.clear()
    new = '[[tables]]\nname = "4"\ntitle = "New"\ncolumns = ["macs"]\n'
    new += 'rows = [{label = "new", model = "small"}]\n'
    (folder / "grid.toml").write_text(GRID.replace("Half is enough.", "Half is little.") + new)
    again = retell_study(asked, plugins)
    assert here == []
    assert "(a) Half is little." in (folder / "grid.md").read_text()
    assert table(again, "4")["new"].missing == "not run"
    for name in ("1", "2", "3"):
        assert table(again, name) == table(first, name)
    written = (folder / "grid.json").read_text()
    for old, new, how in (
        ('label = "half"', 'label = "halved"', "is not in the study"),
        ("--shrink 0.5", "--shrink 0.4", "is done in another way"),
    ):
        (folder / "grid.toml").write_text(GRID.replace(old, new))
        with pytest.raises(StudyError, match=f"table '1', row 'half' {how} now"):
            retell_study(asked, plugins)
    assert (folder / "grid.json").read_text() == written
    (folder / "grid.json").write_text("{}")
    with pytest.raises(UsageError, match="no tables to tell again"):
        retell_study(asked, plugins)


def test_a_run_that_is_cut_off_is_told_and_tried_again(place, tmp_path, here, monkeypatch):
    asked = request(place, only=("1/base",), run=tmp_path / "cut.run")
    with monkeypatch.context() as cut:
        cut.setattr(Crew, "_process", lambda self, *job: (-9, False))
        report = run_study(asked, installed())
    assert (
        "SIGKILL ended the process, before its first step: memory"
        in table(report, "1")["base"].missing
    )
    assert table(report, "1")["half"].missing == "not run"
    report = run_study(asked, installed())
    assert here == ["small, as it is, seed 0"]
    assert table(report, "1")["base"].missing == ""


def test_runs_of_a_file_need_not_wait_for_models_that_are_made(place, tmp_path, here, monkeypatch):
    asked = request(place, only=("1", "2/shallow"), run=tmp_path / "together.run", jobs=2)
    plain, begun, met = Crew._process, threading.Event(), []

    def process(self, job, *started):
        if "shallow" in job.name:
            met.append(begun.wait(20))
        else:
            begun.set()
        return plain(self, job, *started)

    monkeypatch.setattr(Crew, "_process", process)
    run_study(asked, installed())
    assert met == [True] * 3  # built, trained, run
    assert all(one.done for one in plan_study(asked, installed()))


def test_an_interrupted_study_ends_its_processes_and_goes_on(place, tmp_path, here, monkeypatch):
    asked, begun = request(place, only=("1",), run=tmp_path / "stopped.run"), []

    def interrupted(self, job, *started):
        begun.append(job.name)
        self._closed.wait(10)
        return -15, False

    def stop(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(Crew, "_process", interrupted)
        cut.setattr("edgeshrink.engine.studies.doing.wait", stop)
        with pytest.raises(KeyboardInterrupt):
            run_study(asked, installed())
    assert len(begun) == 1  # the other runs are not begun any more
    assert not any(one.done for one in plan_study(asked, installed()))
    run_study(asked, installed())
    assert len(here) == 3


@pytest.mark.parametrize(
    ("old", "new", "said", "hint"),
    [
        (
            'model = "small", recipe = "half"',
            'model = "smalls", recipe = "half"',
            "'smalls'",
            "small",
        ),
        ('recipe = "steps", at', 'recipe = "stems", at', "'stems'", "steps"),
        ('"sparsity", "size_kib"', '"sparsity", "size_kb"', "'size_kb'", "size_kib"),
        ("published = {size_kib = 1}", "published = {size = 1}", "'size' is no column", "size_kib"),
        ('label = "pruned",', 'lable = "pruned",', "'lable'", "label"),
        ("seeds = [0, 1]", "seeds = [0, -1]", "at least 0; received -1", ""),
        ('data = "digits"\n[models', 'data = "digit"\n[models', "data 'digit'", "digits"),
        ("--shrink 0.5", "--shrink 1.5", "below 1; received 1.5", ""),
        ("--shrink-scope", "--shrink-scoop", "--shrink-scoop", "--shrink-scope"),
        ('"prune sparsity', '"prun sparsity', "'prun'", "prune"),
        ('file = "digits.keras"', 'file = "digit.keras"', "'digit.keras'", "--root"),
        ('y = "accuracy"}', 'y = "accuracies"}', "'accuracies' is no column", "accuracy"),
        ('columns = ["parameters", "macs"]', 'columns = ["parameters", "ms"]', "layers have", ""),
        ('label = "pruned file"', 'label = "pruned"', "there twice", ""),
        ('build = "nets:shallow"\n', "", "has a file or is built", ""),
        ('half = "one', 'halves = "one', "'halves'", "half"),
        ('against = "base"', 'against = "bas"', "'bas' does not exist", "base"),
        ('against = "base"', 'rows = ["hall"]', "no row fits 'hall'", "half"),
        ('against = "base"\ncolumns = ["accuracy"]', "", "needs a row that it is against", ""),
        ('columns = ["accuracy"]\nwhy', 'columns = ["accurate"]\nwhy', "'accurate'", "accuracy"),
        ("why = ", "says = 'more'\nwhy = ", "'more'", ""),
        ('"ms"]', '"ms@rpi4"]', "only ms is told @device, one of desktop", ""),
        ('spec = "digits.npz"', 'spec = "digit.npz"', "data.digits: no file", "--root"),
        ('rules = "smoke"', 'devices = ["desktops"]', "desktops", "desktop"),
        ('title = "Digits"', "title =", "not TOML", ""),
    ],
)
def test_mistakes_are_told_with_file_key_and_what_was_received(
    place, tmp_path, old, new, said, hint
):
    assert old in GRID
    (tmp_path / "wrong.toml").write_text(GRID.replace(old, new, 1))
    asked = StudyRequest(tmp_path / "wrong.toml", root=place, out=tmp_path)
    with pytest.raises(StudyError) as caught:
        plan_study(asked, installed())
    assert str(caught.value).startswith("wrong.toml")
    assert said in str(caught.value)
    assert hint in caught.value.hint


def test_a_pattern_that_fits_no_row_is_refused(place):
    with pytest.raises(UsageError, match="no row fits --only '7"):
        plan_study(request(place, only=("7",)), installed())


def test_the_folder_of_the_tables_is_made_and_its_parents_are_not(place, here):
    only = ("1/base",)
    run_study(replace(request(place, only=only), out=place / "tables"), installed())
    assert (place / "tables" / "grid.md").is_file()
    for out in (place / "no" / "tables", place / "grid.toml"):
        with pytest.raises(UsageError, match="no folder"):
            plan_study(replace(request(place, only=only), out=out), installed())


def test_two_studies_do_not_share_a_run(place, tmp_path):
    (tmp_path / "changed.toml").write_text(GRID.replace("--shrink 0.5", "--shrink 0.4"))
    asked = StudyRequest(tmp_path / "changed.toml", root=place, out=place, run=place / "grid.run")
    planned = plan_study(asked, installed())
    assert not any(one.done for one in planned if one.run.recipe == "half")


def test_a_run_is_a_page_too(tmp_path):
    plugins = installed()
    recipe = Recipe.from_text('--prune 0.5 --prune-layers "<a> & b"', plugins.methods)
    task = Compress(Request(Path("m.keras"), recipe, tmp_path / "m.tflite"))
    report = Report.from_dict(made_up(task, ["prune(sparsity=0.5)"])["report"])
    page = plugins.reporters["html"]
    text = page().render(report)
    assert text.count("<tr>") == 1 + len(report.ledger.rows)
    assert "&lt;a&gt; &amp; b" in text
    assert "<td>prune(sparsity=0.5)</td>" in text
    both = page().compare({"one": report, "two": report})
    assert both.count("<tr>") == 1 + 2 * 2


def test_flags_are_read_as_they_are_typed():
    methods = installed().methods
    recipe = Recipe.from_text(
        "--int8 --prune=0.5 --prune-layers a,b --no-strip --epochs 3", methods
    )
    assert [step.name for step in recipe.steps] == ["prune", "int8"]
    assert recipe.steps[0].options.layers == ("a", "b")
    assert recipe.without == ("strip",)
    assert recipe.training.epochs == 3
    for wrong, said in (
        ("--prune", "--prune needs a value"),
        ("prune 0.5", "flags begin with --"),
        ("--int9", "no flag '--int9'"),
    ):
        with pytest.raises(UsageError, match=said):
            Recipe.from_text(wrong, methods)


def test_the_interval_over_seeds_is_student_s():
    value = Value.of([1.0, 2.0, 3.0])
    assert value.mean == 2
    # the 97.5 % quantile of t with two degrees of freedom is 4.3027
    assert value.high - value.mean == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert Value.of([5.0], (4.0, 6.0)).over == "samples"
    near_the_top = Value.of([97.0, 98.0, 99.0], bounds=MEASURES["accuracy"].bounds)
    assert near_the_top.high == 100  # 100.48 would be no accuracy
    assert MEASURES["accuracy_gain"].bounds[0] < -1e9
    assert Value.of([5.0]).low is None


def test_a_stage_is_found_by_its_step():
    class Row:
        def __init__(self, step):
            self.step = step

    rows = [Row(s) for s in ("base", "base as float", "prune(sparsity=0.5)", "int8", "strip")]
    assert [stage_of(rows, at) for at in ("file", "float", "base", "prune", "int8", "shrink")] == [
        4,
        1,
        0,
        2,
        3,
        None,
    ]


def test_the_papers_studies_can_be_read():
    folder = ROOT / "benchmarks" / "papers"
    for path in folder.glob("*.toml"):
        study = Study.read(path)
        assert study.tables
        assert all(row.published or row.x is not None for t in study.tables for row in t.rows)


def test_a_study_without_published_values_speaks_of_none(place, here):
    example = ROOT / "examples" / "study" / "digits.toml"
    (place / "digits.toml").write_text(example.read_text().replace('"demo"', '"smoke"'))
    asked = StudyRequest(place / "digits.toml", out=place / "told")
    report = run_study(asked, installed())
    text = (place / "told" / "digits.md").read_text()
    assert "In each column: ours [95 % interval]. The interval" in text
    assert [row.label for row in report.tables[0].rows] == [
        *("Float", "int8", "Half, taught", "Quarter, taught", "Half, alone", "Quarter, alone")
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_does_the_runs(tmp_path, digits, scheduler):
    (tmp_path / "grid.toml").write_text(GRID)
    (tmp_path / "nets.py").write_text(NETS)
    shutil.copy(digits, tmp_path / "digits.npz")
    (tmp_path / "digits.keras").write_bytes(b"not read")
    asked = request(tmp_path, only=("2/shallow",), scheduler=scheduler)
    row = table(run_study(asked, installed()), "2")["shallow"]
    assert row.missing == ""
    assert row.cells[1].ours.mean < 5
    assert all(one.done for one in plan_study(asked, installed()))
    assert (tmp_path / "grid.run" / "stages" / "outputs").is_dir()


@pytest.mark.slow
def test_the_command_works_in_processes_of_its_own(tmp_path, digits, digits_model, edgeshrink):
    (tmp_path / "grid.toml").write_text(GRID)
    (tmp_path / "nets.py").write_text(NETS)
    shutil.copy(digits, tmp_path / "digits.npz")
    shutil.copy(digits_model, tmp_path / "digits.keras")
    done = edgeshrink("study", "grid.toml", "--jobs", "2", "--json")
    assert done.returncode == 1, done.stderr
    told = {
        t["name"]: {r["label"]: r for r in t["rows"]} for t in json.loads(done.stdout)["tables"]
    }

    def ours(table, row, key):
        return told[table][row]["cells"][key]["ours"]["mean"]

    assert "nowhere" in told["2"]["wrong"]["missing"]
    assert [row["missing"] for row in told["1"].values()] == ["", ""]
    assert ours("1", "base", "accuracy") > 90
    assert ours("1", "half", "parameters") < ours("1", "base", "parameters") / 1.8
    assert ours("1", "base", "ms") > 0
    assert ours("2", "pruned", "sparsity") == pytest.approx(50, abs=3)
    assert ours("2", "pruned file", "size_kib") < ours("2", "pruned", "size_kib")
    assert ours("2", "shallow", "size_kib") < 5
    assert ours("3", "first", "parameters") == 80
    assert ours("3", "first", "macs") == 72 * 36
    again = edgeshrink("study", "grid.toml", "--only", "1")
    assert again.returncode == 1, again.stderr  # what failed before is in the tables still
    assert again.stdout.splitlines()[-1] == "written: grid.md, grid.json, grid.html"
    listed = edgeshrink("study", "grid.toml", "--dry-run")
    assert listed.stdout.splitlines()[-1] == "6 of 8 runs are done"
