"""`search`, `sensitivity` and `study` as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgeshrink.python.asked import (
    Shapes,
    budgets_of,
    check_flags,
    many,
    preprocess_of,
    reading_of,
    request_of,
    seconds_of,
    shapes_of,
    training_of,
)
from edgeshrink.python.given import given_data, given_model
from edgeshrink.python.own import checked_callbacks, decode_of, metric_of
from edgeshrink.python.speaking import speaks_python
from edgeshrink.python.watching import watched
from edgeshrink.results import USUAL_TRIALS

if TYPE_CHECKING:
    import keras

    from edgeshrink.python.results import Layers, Search, Study


@speaks_python
def search(
    model: str | Path | keras.Model,
    *,
    data: Any,
    output: str | Path | None = None,
    preprocess: str | Callable[..., Any] = "none",
    resize: str = "keras",
    clip_seconds: float | None = None,
    window: int | None = None,
    window_step: int | None = None,
    window_label: str = "most",
    label_column: str = "",
    group_column: str = "",
    ignore_columns: str | Sequence[str] = (),
    task: str = "",
    decode: str | Callable[..., Any] = "",
    metric: str | Callable[..., Any] = "",
    device: str | Sequence[str] = "desktop",
    toolchain: str | Sequence[str] = (),
    at: str = "",
    trust_profile: bool = False,
    goals: str | Sequence[str] = (),
    trials: int | None = None,
    time: float | str | None = None,
    pick: Literal["knee", "smallest", "fastest", "best"] = "knee",
    sampler: str = "guided",
    space: str | Path | None = None,
    sensitivity: str | Path | None = None,
    storage: str = "",
    name: str = "",
    jobs: int | None = None,
    scheduler: str = "",
    max_drop: float | str | None = None,
    max_bytes: int | str = "",
    max_ms: float | str = "",
    max_arena: int | str = "",
    seed: int = 0,
    run: str | Path | None = None,
    force: bool = False,
    unsafe: bool = False,
    custom: str | Callable[..., Any] | Sequence[str | Callable[..., Any]] = (),
    input_shape: Shapes = None,
    rules: str = "quick",
    callbacks: Sequence[Any] = (),
    progress: bool = True,
    **flags: Any,
) -> Search:
    """Find the recipe that is as small and fast as it gets; the same as `edgeshrink search`.

    ```python
    found = edgeshrink.search(
        model, data=(x, y), output="best.tflite", goals="bytes", max_drop=5, trials=2, epochs=1
    )
    front = [row["recipe"] for row in found.table() if row["on_front"]]
    ```

    Args:
        model: as for `compress`.
        data: as for `compress`, with labels.
        output: the .tflite or .esz file to write; None puts `<model>.tflite` here.
        preprocess: as for `compress`.
        resize: likewise.
        clip_seconds: likewise.
        window: likewise.
        window_step: likewise.
        window_label: likewise.
        label_column: likewise.
        group_column: likewise.
        ignore_columns: likewise.
        task: likewise.
        decode: likewise.
        metric: likewise.
        device: likewise.
        toolchain: likewise.
        at: likewise.
        trust_profile: likewise.
        goals: what counts beside the score: `bytes`, `ms`, `arena`, `flash`, `cycles`.
        trials: recipes that are measured, at most; None for 40, or for no end where `time` is
            given or the sampler is a grid.
        time: after which no further recipe begins: seconds, or `"20m"`.
        pick: which of the front is written.
        sampler: what chooses the next recipe: `guided`, `grid`, `random`, `tpe` or `nsga2`.
        space: a file that says what may be tried.
        sensitivity: a file with what layers bear, which `sensitivity(...).save()` writes.
        storage: a database that other workers can see, as SQLAlchemy writes a place.
        name: of the search there.
        jobs: recipes side by side.
        scheduler: the address of a Dask cluster.
        max_drop: as for `compress`.
        max_bytes: likewise.
        max_ms: likewise.
        max_arena: likewise.
        seed: of everything random.
        run: where all recipes are kept; the same call goes on there.
        force: overwrite `output`.
        unsafe: as for `compress`.
        custom: likewise.
        input_shape: likewise.
        rules: likewise.
        callbacks: as for `compress`.
        progress: likewise.
        flags: of training, as on the command line: `epochs=5, lr=1e-3`.

    Returns:
        What was tried; `failed` says why nothing is as was asked for.

    Raises:
        edgeshrink.errors.EdgeshrinkError: something is wrong; the message says what.
    """
    from edgeshrink.engine import SearchRequest, plan_search, search as run_search
    from edgeshrink.plugins import installed
    from edgeshrink.python.results import Search
    from edgeshrink.recipes import Recipe

    plugins = installed()
    check_flags(flags, search)
    base = request_of(
        model,
        recipe=Recipe(training=training_of(flags)[0], seed=seed),
        output=output,
        data=data,
        custom=custom,
        loss=flags.get("loss"),
        metric=metric,
        input_shape=input_shape,
        device=device,
        toolchain=toolchain,
        run=run,
        rules=rules,
        preprocess=preprocess_of(preprocess),
        reading=reading_of(
            resize=resize,
            clip_seconds=clip_seconds,
            window=window,
            window_step=window_step,
            window_label=window_label,
            label_column=label_column,
            group_column=group_column,
            ignore_columns=ignore_columns,
        ),
        task=task,
        decode=decode_of(decode),
        at=at,
        trust_profile=trust_profile,
        force=force,
        unsafe=unsafe,
        budgets=budgets_of(
            max_drop=max_drop, max_bytes=max_bytes, max_ms=max_ms, max_arena=max_arena
        ),
        command="edgeshrink.search(...)",
    )
    unbounded = time is not None or sampler == "grid"
    request = SearchRequest(
        base,
        Path(space) if space else None,
        Path(sensitivity) if sensitivity else None,
        many(goals),
        trials or (None if unbounded else USUAL_TRIALS),
        seconds_of(time),
        pick,
        sampler,
        storage,
        name,
        jobs,
        scheduler,
    )
    with watched(plugins, progress, checked_callbacks(callbacks)):
        return Search.of(run_search(plan_search(request, plugins), plugins))


@speaks_python
def sensitivity(
    model: str | Path | keras.Model,
    *,
    method: str | Sequence[str] = (),
    data: Any = None,
    preprocess: str | Callable[..., Any] = "none",
    resize: str = "keras",
    clip_seconds: float | None = None,
    window: int | None = None,
    window_step: int | None = None,
    window_label: str = "most",
    label_column: str = "",
    group_column: str = "",
    ignore_columns: str | Sequence[str] = (),
    task: str = "",
    decode: str | Callable[..., Any] = "",
    metric: str | Callable[..., Any] = "",
    unsafe: bool = False,
    custom: str | Callable[..., Any] | Sequence[str | Callable[..., Any]] = (),
    input_shape: Shapes = None,
    progress: bool = True,
) -> Layers:
    """Measure what each layer bears, one at a time; the same as `edgeshrink sensitivity`.

    ```python
    layers = edgeshrink.sensitivity(model, method="prune", data=(x, y))
    most = layers.layers[0].layer  # the one that bears least
    ```

    Args:
        model: as for `compress`.
        method: names of methods; empty for all that change single layers.
        data: as for `compress`; None for made-up inputs.
        preprocess: as for `compress`.
        resize: likewise.
        clip_seconds: likewise.
        window: likewise.
        window_step: likewise.
        window_label: likewise.
        label_column: likewise.
        group_column: likewise.
        ignore_columns: likewise.
        task: likewise.
        decode: likewise.
        metric: likewise.
        unsafe: likewise.
        custom: likewise.
        input_shape: likewise.
        progress: likewise.

    Raises:
        edgeshrink.errors.EdgeshrinkError: something is wrong; the message says what.
    """
    from edgeshrink.engine import SensitivityRequest, sensitivity as measure
    from edgeshrink.plugins import installed
    from edgeshrink.python.results import Layers

    path, classes = given_model(model, custom)
    shapes = shapes_of(input_shape)
    request = SensitivityRequest(
        model=Path(path),
        methods=many(method),
        data=given_data(data, path, shapes),
        preprocess=preprocess_of(preprocess),
        reading=reading_of(
            resize=resize,
            clip_seconds=clip_seconds,
            window=window,
            window_step=window_step,
            window_label=window_label,
            label_column=label_column,
            group_column=group_column,
            ignore_columns=ignore_columns,
        ),
        task=task,
        decode=decode_of(decode),
        metric=metric_of(metric),
        unsafe=unsafe,
        custom=classes,
        input_shapes=shapes,
    )
    with watched(installed(), progress):
        return Layers.of(measure(request, installed()))


@speaks_python
def study(
    file: str | Path,
    *,
    root: str | Path | None = None,
    output: str | Path = "",
    run: str | Path | None = None,
    only: str | Sequence[str] = (),
    jobs: int | None = None,
    scheduler: str = "",
    progress: bool = True,
) -> Study:
    """Run a grid of models and recipes; the same as `edgeshrink study`.

    ```python
    found = edgeshrink.study("grid.toml", output="results")
    for row in found.table():
        print(row["table"], row["row"])
    ```

    Args:
        file: a study in TOML.
        root: where its paths begin; None for its own folder.
        output: the folder for its tables.
        run: where every run is kept; the same call goes on there.
        only: patterns of TABLE/ROW that are run.
        jobs: runs side by side.
        scheduler: the address of a Dask cluster.
        progress: as for `compress`.

    Raises:
        edgeshrink.errors.EdgeshrinkError: something is wrong; the message says what.
    """
    from edgeshrink.engine import StudyRequest, study as run_study
    from edgeshrink.plugins import installed
    from edgeshrink.python.results import Study

    request = StudyRequest(
        Path(file),
        Path(root) if root else None,
        Path(output),
        Path(run) if run else None,
        jobs,
        scheduler,
        many(only),
    )
    with watched(installed(), progress):
        return Study.of(run_study(request, installed()))
