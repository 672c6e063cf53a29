"""The front, its volume, and what is tried next."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from edgeshrink.engine.searching import database, storage
from edgeshrink.engine.searching.choosing import Chooser
from edgeshrink.engine.searching.front import hypervolume, knee, on_front
from edgeshrink.engine.searching.raising import Raise, Regained
from edgeshrink.engine.searching.request import Measured
from edgeshrink.engine.searching.results import SearchResults
from edgeshrink.engine.searching.storage import Board
from edgeshrink.errors import EdgeshrinkError, TargetError, UsageError
from edgeshrink.plugins import installed
from edgeshrink.recipes import Point, Space
from edgeshrink.results import Figures, Score

UNIT = st.integers(0, 8).map(lambda n: n / 8)
POINTS = st.integers(1, 4).flatmap(
    lambda goals: arrays.arrays(float, st.tuples(st.integers(1, 7), st.just(goals)), elements=UNIT)
)
TEXT = """
[[step]]
method = "shrink"
optional = true
ratio = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75]

[[step]]
method = "prune"
optional = true
sparsity = [0.5, 0.6, 0.7, 0.8, 0.9]

[[step]]
method = "cluster"
optional = true
clusters = [64, 32, 16, 8]

[[step]]
method = "int8"
rounding = ["nearest", "adaptive"]
"""


def test_the_front_of_a_few_points() -> None:
    values = np.array([[1, 3], [2, 2], [3, 1], [2, 1], [1, 3], [0, 0]])
    assert on_front(values).tolist() == [True, True, True, False, True, False]
    assert hypervolume(values, [0, 0]) == 6
    assert hypervolume(values, [1, 1]) == 1
    assert hypervolume(values, [3, 3]) == 0
    assert knee(np.array([[0, 10], [8, 9], [10, 0]])) == 1
    assert knee(np.array([[5.0, 5.0]])) == 0


@given(POINTS)
def test_the_volume_is_that_of_the_places_that_a_point_exceeds(values: np.ndarray) -> None:
    goals = values.shape[1]
    middles = (np.arange(8) + 0.5) / 8  # of cells that a value either covers or does not
    places = np.stack(np.meshgrid(*[middles] * goals), -1).reshape(-1, goals)
    covered = (values[None] > places[:, None]).all(-1).any(1).mean()
    assert hypervolume(values, [0.0] * goals) == pytest.approx(covered)
    front = values[on_front(values)]
    assert hypervolume(front, [0.0] * goals) == pytest.approx(covered)


@given(POINTS, st.randoms())
def test_no_point_of_the_front_is_beaten_and_every_other_one_is(values: np.ndarray, mix) -> None:
    good = on_front(values)
    assert good.any()
    for one, kept in zip(values, good, strict=True):
        beaten = any((other >= one).all() and (other > one).any() for other in values)
        assert kept == (not beaten)
    order = list(range(len(values)))
    mix.shuffle(order)
    assert (on_front(values[order]) == good[order]).all()


def worth(point: Point) -> tuple[float, float]:
    """A score that falls with every step and with two together, and the bytes that are saved."""
    shrink, prune, cluster, rounding = point
    score = 0.9 - 0.002 * shrink**2 - 0.002 * prune**2 - 0.002 * cluster**2
    score -= 0.001 * shrink * prune + 0.001 * prune * cluster - 0.002 * rounding
    size = (1 - shrink / 8) * (1 - prune / 8) * (1 - cluster / 7)
    return score, -np.log(size)


def tried(seed: int, count: int) -> float:
    """Return the share of the whole volume that so many trials reach."""
    space = Space.from_toml(TEXT, installed().methods)
    reference = (0.8, 0.0)
    chooser, seen = Chooser(space, reference, seed), dict[Point, tuple[float, float]]()
    for _ in range(count):
        point = chooser.next(seen, list(seen), lambda point: (1.0,))
        assert point is not None
        assert point not in seen
        seen[point] = worth(point)
    every = np.array([worth(point) for point in space.points()])
    return hypervolume(np.array(list(seen.values())), reference) / hypervolume(every, reference)


def test_a_tenth_of_a_space_has_nearly_its_whole_volume() -> None:
    """420 recipes; so many at random reach 0.8 to 0.9 of it."""
    assert tried(0, 42) > 0.97


def test_what_is_chosen_is_the_same_each_time_and_ends_with_the_space() -> None:
    space = Space.from_toml(
        TEXT.replace("0.25, 0.375, 0.5, 0.625, 0.75", "0.5"), installed().methods
    )
    small = Space(space.places[:1] + space.places[3:])
    orders = []
    for _ in range(2):
        chooser, seen = Chooser(small, (0.8, 0.0), 1), dict[Point, tuple[float, float]]()
        while (point := chooser.next(seen, list(seen), lambda p: (1.0,))) is not None:
            seen[point] = worth((point[0], 0, 0, point[1]))
        orders.append(list(seen))
    assert orders[0] == orders[1]
    assert set(orders[0]) == set(small.points())
    assert orders[0][:3] == [(0, 0), (1, 0), (0, 1)]  # the lightest, then each place alone


def test_of_two_that_gain_alike_the_cheaper_is_chosen() -> None:
    space = Space.from_toml(TEXT, installed().methods)
    chooser = Chooser(space, (0.8, 0.0), 0)
    points = [*chooser.first, *(p for p in space.points() if p[0] < 2 and p[2] < 2)][:12]
    seen = {point: worth(point) for point in points}
    plain = chooser.next(seen, points, lambda point: (1.0,))
    assert plain is not None
    dear = chooser.next(seen, points, lambda point: (1e9 if point == plain else 1.0,))
    assert dear != plain


@settings(max_examples=10)
@given(st.lists(st.floats(-1e3, 1e3), min_size=12, max_size=12))
def test_any_values_give_a_choice(values: list[float]) -> None:
    space = Space.from_toml(TEXT, installed().methods)
    points = list(space.points())[:12]
    seen = {point: (value, value) for point, value in zip(points, values, strict=True)}
    chosen = Chooser(space, (0.0, 0.0), 0).next(seen, points, lambda point: (1.0,))
    assert chosen is not None
    assert chosen not in seen


def board(
    tmp_path: Path,
    name: str = "first",
    sampler: str = "grid",
    text: str = TEXT,
    choose: Callable[[Board], Point | None] | None = None,
) -> Board:
    space = Space.from_toml(text, installed().methods)
    first = next(space.points())
    return Board(
        tmp_path / "trials.sqlite",
        name,
        space,
        ("score", "bytes"),
        "key",
        sampler,
        0,
        choose or (lambda _: first),
    )


def test_a_trial_whose_process_ended_before_its_first_sign_of_life_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "GRACE", 0.2)
    ours = board(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours.study.ask()  # by a process that does not come to more
    assert ours.busy()
    ours.free_the_dead()
    assert ours.busy()  # it may have begun just now
    time.sleep(0.3)
    ours.free_the_dead()
    assert not ours.busy()
    assert ours.taken() == {}


def test_what_is_measured_is_not_chosen_again(tmp_path: Path) -> None:
    ours = board(tmp_path)
    made: list[Point] = []

    def make(point: Point, trial: optuna.Trial) -> tuple[float, float]:
        made.append(point)
        return 0.5, 100.0

    for _ in range(2):
        ours.run(make)
    assert made == [next(ours.space.points())]  # the second was a twin of the first
    assert list(ours.taken()) == made
    assert [t.state.name for t in ours.trials] == ["COMPLETE", "PRUNED"]
    assert ours.trials[1].user_attrs["void"] == "the recipe of trial 0"
    with pytest.raises(UsageError, match="is there with another model"):
        Board(
            tmp_path / "trials.sqlite",
            "first",
            ours.space,
            ("score",),
            "no",
            "grid",
            0,
            lambda _: None,
        )


SMALL = """
[[step]]
method = "prune"
optional = true
sparsity = [0.5, 0.6]

[[step]]
method = "int8"
rounding = ["nearest", "adaptive"]

[[step]]
method = "fp16"
"""


def free(seed: int) -> Callable[[Board], Point | None]:
    return lambda ours: Chooser(ours.space, (0.0, 0.0), seed).free(ours.taken())


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_a_sampler_that_proposes_what_was_tried_comes_to_the_end_soon(
    tmp_path: Path, sampler: str
) -> None:
    ours = board(tmp_path, sampler=sampler, text=SMALL, choose=free(0))
    made: list[Point] = []

    def make(point: Point, trial: optuna.Trial) -> tuple[float, float]:
        made.append(point)
        return 1.0 - sum(point), 1.0  # the first is the best: what learns proposes it again

    while ours.has_room(None):
        ours.run(make)
    assert sorted(made) == sorted(ours.space.points())
    assert len(ours.trials) <= (storage.TWINS + 1) * len(made)
    assert free(0)(ours) is None


# what Python keeps of warnings is not told apart by thread
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_several_at_once_make_each_point_once_and_no_more_than_are_asked_for(
    tmp_path: Path,
) -> None:
    made: list[Point] = []
    board(tmp_path, text=SMALL)

    def make(point: Point, trial: optuna.Trial) -> tuple[float, float]:
        made.append(point)
        time.sleep(0.05)
        return 0.5, 1.0

    def helped(number: int, most: int | None) -> None:
        def late(ours: Board) -> Point | None:  # the first to begin is the last to choose
            found = next((p for p in ours.space.points() if p not in ours.taken()), None)
            time.sleep(0.3 / (1 + number))
            return found

        one = board(tmp_path, text=SMALL, choose=late)
        barrier.wait()
        while one.has_room(most) or one.busy():
            if one.has_room(most):
                one.run(make, most)

    for most in (5, None):
        barrier = threading.Barrier(3)
        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(helped, number, most) for number in range(3)]:
                done.result()
        assert len(made) == (most or 9)
    assert set(Counter(made).values()) == {1}


def test_a_point_is_made_once_more_with_more_effort_and_stands_as_one(tmp_path: Path) -> None:
    ours = board(tmp_path, text=SMALL)
    point = next(ours.space.points())
    made: list[str] = []

    def make(point: Point, trial: optuna.Trial) -> tuple[float, float]:
        made.append(trial.user_attrs.get(storage.RAISED, ""))
        return 0.5, 1.0

    ours.run(make)
    first = ours.taken()
    for _ in range(2):  # the second is by a process that saw what the first saw
        ours.run(make, raised=(point, "normal"))
    assert made == ["", "normal"]
    assert ours.taken() == first
    assert ours.trials[2].user_attrs["void"] == "trial 1 once more"
    assert [one.number for one in ours.raised(point, "normal")] == [1]
    assert ours.raised(point, "thorough") == []


def test_more_effort_that_ends_its_process_too_often_is_let_be(tmp_path: Path) -> None:
    ours = board(tmp_path, text=SMALL)
    point = next(ours.space.points())

    def make(point: Point, trial: optuna.Trial) -> tuple[float, float]:
        if storage.RAISED in trial.user_attrs:
            raise RuntimeError
        return 0.5, 1.0

    ours.run(make)
    for _ in range(storage.DEATHS):
        assert ours.raised(point, "normal") == []
        with pytest.raises(RuntimeError):
            ours.run(make, raised=(point, "normal"))
    assert len(ours.raised(point, "normal")) == storage.DEATHS
    assert list(ours.taken()) == [point]


# what Python keeps of warnings is not told apart by thread
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_several_may_begin_a_search_at_the_same_moment(tmp_path: Path) -> None:
    def begun(folder: Path) -> int:
        barrier.wait()
        return len(board(folder).trials)

    for place in range(5):
        folder = tmp_path / str(place)
        folder.mkdir()
        barrier = threading.Barrier(4)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(begun, [folder] * 4)) == [0] * 4


@pytest.mark.parametrize("error", [CancelledError(), TargetError("gone")])
def test_what_is_interrupted_is_no_death_of_a_recipe(tmp_path: Path, error: Exception) -> None:
    ours = board(tmp_path)

    def make(point: Point, trial: optuna.Trial) -> tuple[float, float]:
        raise error

    for _ in range(storage.DEATHS + 1):
        with pytest.raises(type(error)):
            ours.run(make)
    assert ours.taken() == {}


@pytest.mark.parametrize(
    ("url", "said", "hint"),
    [
        ("nonsense", "takes a database as SQLAlchemy writes it; received 'nonsense'", "sqlite:///"),
        ("redis://me:secret@host/d", r"received redis://me:\*\*\*@host/d", "sqlite:///"),
        (
            "oracle://me:secret@host/d",
            r"oracle://me:\*\*\*@host/d is installed: .* no ",
            "install it",
        ),
    ],
)
def test_a_place_that_is_none_is_told_without_its_password(url: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError, match=said) as error, database.telling(url):
        database.opened(url)
    assert hint in error.value.hint


def test_a_storage_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PAUSES", ())
    with pytest.raises(EdgeshrinkError, match=r"kept in sqlite:///.*unable to open"):
        board(tmp_path / "nowhere")
    ours = board(tmp_path)
    (tmp_path / "trials.sqlite").unlink()
    with pytest.raises(EdgeshrinkError, match=r"trials cannot be kept in sqlite:///") as error:
        ours.run(lambda point, trial: (0.5, 1.0))
    assert "goes on" in error.value.hint


def test_a_score_that_is_no_number_measures_nothing() -> None:
    good, bad = (Score("top1", value, 0, 1, 100, True) for value in (0.9, float("nan")))
    figures = Figures("a.tflite", 100)
    assert Measured(good, good, figures, figures).lacking(("bytes",)) == ""
    for pair in ((bad, good), (good, bad)):
        said = Measured(*pair, figures, figures).lacking(("bytes",))
        assert said == "its top1 is nan, and no number to compare by"


def test_a_recipe_costs_the_steps_that_none_had_and_those_before_them_count(tmp_path: Path) -> None:
    text = """
[[step]]
method = "prune"
sparsity = [0.5, 0.8]

[[step]]
method = "int8"
qat = [false, true]
"""
    ours = board(tmp_path, text=text)
    top1 = Score("top1", 0.9, 0, 1, 100, True)
    figures = Figures("a.tflite", 100)
    results = SearchResults(SimpleNamespace(request=None, space=ours.space), ours)
    assert results.costs()((0, 0)) == (5.0, 10.0)  # nothing was timed yet
    recipe = ours.space.recipe((0, 1))
    steps = [str(one) for step in recipe.steps for one in (*step.before(), step)]
    assert [step.partition("(")[0] for step in steps] == ["prune", "qat", "int8"]
    took = tuple(zip(steps, (100.0, 300.0, 2.0), strict=True))

    def make(point: Point, trial: optuna.Trial) -> tuple[float, float]:
        found = Measured(top1, top1, figures, figures, took, "quick")
        trial.set_user_attr("found", asdict(found))
        trial.set_user_attr("seconds", 412.0)
        return 0.9, 100.0

    board(tmp_path, text=text, choose=lambda _: (0, 1)).run(make)
    costs = results.costs()
    # int8, and what a trial takes beside its steps; with more effort, all of prune
    assert costs((0, 0)) == (12.0, 12.0 + 312.0)
    assert costs((1, 1))[0] == 412.0
    assert costs((1, 0))[0] == 112.0
    assert costs((0, 1), "quick") == (10 + 300 + 900 + 2,)


def test_more_effort_gives_back_the_share_that_it_gave_so_far() -> None:
    score, deviation = np.array([0.6, 0.9, 1.2]), np.array([0.1, 0.0, 0.1])
    mean, spread = Regained(0.9, 0.5, 0.2).after(score, deviation)
    assert mean == pytest.approx([0.75, 0.9, 1.2])  # nothing is given back where nothing was lost
    assert spread == pytest.approx([np.hypot(0.05, 0.06), 0.0, 0.1])


def test_a_point_is_raised_where_that_promises_more_for_its_time_than_what_is_new() -> None:
    space = Space.from_toml(TEXT, installed().methods)
    points = list(space.points())
    tried = [*Chooser(space, (0.8, 0.0), 0).first, *points[::9]]
    seen = {point: worth(point) for point in tried}
    lost = max(seen, key=lambda point: seen[point][1])
    raised = Raise(lost, "normal", (0.84, seen[lost][1]), (10.0, 40.0))
    chooser, more = Chooser(space, (0.8, 0.0), 0), Regained(0.9, 0.5, 0.1)

    def chosen(raised: Raise, regained: Regained = more, left: float = math.inf) -> object:
        return chooser.next(
            seen,
            seen,
            lambda _: (10.0,),
            best=[raised.values],
            raises=[raised],
            regained=regained,
            left=left,
        )

    assert chosen(raised) == raised
    assert chosen(replace(raised, seconds=(1e6, 4e6))) in points
    assert chosen(replace(raised, seconds=(100.0, 400.0)), left=50.0) in points
    assert chosen(raised, Regained(0.9, 0.0, 1e-6)) in points  # it gave nothing so far
    brief = replace(raised, seconds=(1.0, 40.0))
    assert chosen(brief, left=5.0) == brief
