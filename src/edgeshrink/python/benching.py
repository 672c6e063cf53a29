"""`bench` as a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.python.asked import budgets_of, many, preprocess_of, reading_of, rules_of
from edgeshrink.python.given import given_data
from edgeshrink.python.own import decode_of, metric_of
from edgeshrink.python.speaking import speaks_python
from edgeshrink.python.watching import watched

if TYPE_CHECKING:
    from edgeshrink.python.results import Bench


@speaks_python
def bench(
    *models: str | Path,
    device: str | Sequence[str] = "desktop",
    at: str = "",
    trust_profile: bool = False,
    resume: bool = False,
    rules: str = "quick",
    progress: bool = True,
    threads: int | None = None,
    kernels: str = "",
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
    max_drop: float | str | None = None,
    max_bytes: int | str = "",
    max_ms: float | str = "",
    max_arena: int | str = "",
    larger: bool = True,
    slower: bool = True,
    robustness: bool = False,
    robustness_samples: int = 1000,
) -> Bench:
    """Measure .tflite files on devices; the same as `edgeshrink bench`.

    ```python
    found = edgeshrink.bench(
        "float.tflite", "small.tflite", device="desktop", data={"test": (x_test, y_test)}
    )
    for row in found.table():
        print(row["model"], row["bytes"], row["median_ms"], row["score"])
    ```

    Args:
        models: .tflite files; the first is what the others are compared with.
        device: names or paths of device profiles.
        at: the address of the one device, in place of its profile's.
        trust_profile: profiles that are named by their path may name programs of this machine.
        resume: take what an earlier, cut run of the same call has measured.
        rules: how long to measure: `smoke`, `demo`, `quick` or `mlperf`.
        progress: tell on standard error what is being done.
        threads: of the runtime; None means each profile's default.
        kernels: what LiteRT runs models with: `xnnpack`, `builtin` or `reference`; empty means what
            each profile says.
        data: a data set with test samples, for accuracy; as for `compress`.
        preprocess: what is done to samples before the models see them.
        resize: how images of a folder are read, as for `compress`.
        clip_seconds: likewise.
        window: likewise.
        window_step: likewise.
        window_label: likewise.
        label_column: likewise.
        group_column: likewise.
        ignore_columns: likewise.
        task: what the outputs answer, as for `compress`.
        decode: makes boxes of a detector's outputs, as for `compress`.
        metric: the metric of record, as for `compress`.
        max_drop: what the others may lose beside the first: points of accuracy; None for anything.
        max_bytes: how large the result may be: bytes, or a size such as `100kB` or `64KiB`.
        max_ms: how long one inference may take: milliseconds of the median, or `p90<25`.
        max_arena: how much memory its tensors may need, as `max_bytes`.
        larger: whether it may be larger than the first.
        slower: whether it may be slower than the first.
        robustness: also score the first model and each other on perturbed test images.
        robustness_samples: test samples that are perturbed, at most.

    Returns:
        The report; `report.unmet` says which budgets are not kept, by the models behind the first,
        or by the only one.

    Raises:
        edgeshrink.errors.EdgeshrinkError: something is wrong; the message says what.
    """
    from dataclasses import replace

    from edgeshrink.engine import BenchRequest, bench as measure
    from edgeshrink.errors import UsageError
    from edgeshrink.plugins import installed
    from edgeshrink.python.results import Bench

    wrong = [model for model in models if not isinstance(model, str | Path)]
    if wrong or not models:
        raise UsageError(
            "bench takes paths of .tflite files, at least one; received "
            + (f"a {type(wrong[0]).__name__}" if wrong else "none"),
            hint='edgeshrink.bench("float.tflite", "small.tflite"); compress makes them of models',
        )
    request = BenchRequest(
        tuple(Path(model) for model in models),
        many(device),
        at=at,
        options={"kernels": kernels} if kernels else {},
        trust_profile=trust_profile,
        resume=resume,
        plan=replace(rules_of(rules), threads=threads),
        data=given_data(data, str(models[0])),
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
        robustness=robustness,
        robustness_samples=robustness_samples,
        budgets=budgets_of(
            max_drop=max_drop,
            max_bytes=max_bytes,
            max_ms=max_ms,
            max_arena=max_arena,
            larger=larger,
            slower=slower,
        ),
        command="edgeshrink.bench(...)",
    )
    with watched(installed(), progress):
        return Bench.of(measure(request, installed()))
