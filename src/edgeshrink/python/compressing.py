"""`compress` as a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.python.asked import (
    Shapes,
    budgets_of,
    check_flags,
    many,
    preprocess_of,
    reading_of,
    recipe_of,
    request_of,
    seconds_of,
)
from edgeshrink.python.own import checked_callbacks, decode_of
from edgeshrink.python.speaking import speaks_python
from edgeshrink.python.watching import watched

if TYPE_CHECKING:
    import keras

    from edgeshrink.python.results import Compression


@speaks_python
def compress(
    model: str | Path | keras.Model,
    *,
    output: str | Path | None = None,
    recipe: str | Path | None = None,
    step: str | Sequence[str] = (),
    time: float | str | None = None,
    seed: int | None = None,
    data: Any = None,
    data_free: bool = False,
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
    device: str | Sequence[str] = "desktop",
    toolchain: str | Sequence[str] = (),
    at: str = "",
    trust_profile: bool = False,
    force: bool = False,
    unsafe: bool = False,
    custom: str | Callable[..., Any] | Sequence[str | Callable[..., Any]] = (),
    input_shape: Shapes = None,
    metric: str | Callable[..., Any] = "",
    max_drop: float | str | None = None,
    max_bytes: int | str = "",
    max_ms: float | str = "",
    max_arena: int | str = "",
    larger: bool = True,
    slower: bool = True,
    robustness: bool = False,
    robustness_samples: int = 1000,
    run: str | Path | None = None,
    calibration: int = 200,
    export: str | Sequence[str] = (),
    rules: str = "quick",
    callbacks: Sequence[Any] = (),
    progress: bool = True,
    **flags: Any,
) -> Compression:
    """Compress a Keras model and return the report; the same as `edgeshrink compress`.

    Arguments mean what the flags of the same name mean, with underscores. Objects are kept in files
    by their content: a run that was given a model and arrays finds what a command made of files of
    the same, and the other way round. It works in this process, where a crash of TensorFlow cannot
    be caught; the command works in one of its own.

    ```python
    report = edgeshrink.compress(
        model, data=((x, y), (x_test, y_test)), prune=0.5, int8=True, epochs=2, lr=1e-3
    )
    print(report)  # the verdict, bytes and milliseconds, before and after
    report.save("report.html")
    answers = report.load()(x_test)  # the .tflite in LiteRT
    ```

    Args:
        model: a .keras or .h5 file, a SavedModel folder, `module:object` of a fitted model of
            scikit-learn; or a `keras.Model`, built, compiled or not.
        output: the .tflite, .esz or .keras file to write; None puts `<model>.tflite` here.
        recipe: a recipe file, which says training and seed too; goes with none of `step`, `seed`
            and flags.
        step: lines such as `"prune sparsity=0.8"`, in the order in which they run.
        time: that training may take, all steps together: seconds, or `"20m"`; None for what
            `effort` says.
        seed: of everything random; None for 0, or what the recipe says.
        data: a data set as `--data` takes it; or arrays `x`, `(x, y)`, `((x, y), (x_test,
            y_test))`, a dict of arrays by the names of an .npz or of the model's inputs; a
            `tf.data.Dataset`, `keras.utils.PyDataset`, torch `DataLoader`, Hugging Face data set,
            or a function that returns an iterator of samples or batches; or a dict of any of
            these by `train`, `validation`, `test` and `calibration`.
        data_free: synthesise inputs from the model's batch norms, in place of data.
        preprocess: what is done to samples before the model sees them: as `--preprocess` takes it,
            or a function at the top of a module, from a batch to a batch.
        resize: how images of a folder are read: `keras`, as its own reader does, or `antialias`.
        clip_seconds: sound is cut, or padded with silence at its end, to this long; None where all
            .wav files are of one length.
        window: rows of a table that are one sample, where the table is a time series.
        window_step: rows from the start of one window to that of the next; None for `window`.
        window_label: of a window: `most`, the most frequent of its rows, or `last`.
        label_column: the column of labels; empty for `label` or `y`, else the last.
        group_column: a column that says what belongs together: no group is in two parts.
        ignore_columns: columns that are no input.
        task: what the outputs answer, where the model does not tell: `classification`, `binary`,
            `tags`, `regression`, or `reconstruction` of the input; `output=regression` for one of
            several outputs.
        decode: a function, or `module:function`, that makes boxes of a detector's outputs, which
            labels `(samples, most, 5)` judge by mean average precision.
        device: names or paths of device profiles; the result is for the first, and measured on
            all.
        toolchain: names of readers that the result goes through on its way to a chip.
        at: the address of the one device, in place of its profile's.
        trust_profile: profiles that are named by their path may name programs of this machine.
        force: overwrite `output`, and go on where a check says stop.
        unsafe: code inside the model file may run.
        custom: classes and functions that are not Keras's, or `module:object` of them.
        input_shape: fixed shapes of inputs with dynamic dimensions, batch included, by name; the
            shape alone where there is one input.
        metric: the metric of record: its name, or one of your own: a function of labels and outputs
            that returns one value a sample, or `module:object` of it.
        max_drop: what the result may lose: points of accuracy, or `none` for anything; None is 10
            points, or half of the way from the base to guessing, if that is less.
        max_bytes: how large the result may be: bytes, or a size such as `100kB` or `64KiB`.
        max_ms: how long one inference may take: milliseconds of the median, or `p90<25`.
        max_arena: how much memory its tensors may need, as `max_bytes`.
        larger: whether it may be larger than the base as a float file.
        slower: whether it may be slower than the base as a float file.
        robustness: also score the base and the result on perturbed test images.
        robustness_samples: test samples that are perturbed, at most.
        run: the run folder; None puts it beside `output`.
        calibration: samples that calibrate activations.
        export: also write the result as source, such as `c`.
        rules: how long files are timed: `smoke`, `demo`, `quick` or `mlperf`.
        callbacks: of Keras, for every training: `logs` has `loss` and `val_score`, greater being
            better.
        progress: tell on standard error what is being done.
        flags: methods, their options and training as on the command line:
            `prune=0.8, prune_scope="layer", int8=True, epochs=5, lr=1e-3`. `loss` is a name, a
            function of labels and outputs, a `keras.losses.Loss`, or a dict of these by output;
            `class_weight` is `"balanced"` or a dict by class.

    Returns:
        The report; `report.failed` says why a result is not what was asked for.

    Raises:
        edgeshrink.errors.EdgeshrinkError: something is wrong; the message says what.
    """
    from edgeshrink.engine import compress as run_plan, plan
    from edgeshrink.plugins import installed
    from edgeshrink.python.results import Compression

    plugins = installed()
    known = {key for method in plugins.methods.values() for key in method.flag_keys()}
    check_flags(flags, compress, known)
    wanted = recipe_of(recipe, many(step), flags, seed, plugins)
    request = request_of(
        model,
        recipe=wanted,
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
        data_free=data_free,
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
        calibration=calibration,
        at=at,
        trust_profile=trust_profile,
        force=force,
        unsafe=unsafe,
        budgets=budgets_of(
            max_drop=max_drop,
            max_bytes=max_bytes,
            max_ms=max_ms,
            max_arena=max_arena,
            larger=larger,
            slower=slower,
        ),
        robustness=robustness,
        robustness_samples=robustness_samples,
        seconds=seconds_of(time),
        exports=many(export),
        command="edgeshrink.compress(...)",
    )
    with watched(plugins, progress, checked_callbacks(callbacks)):
        return Compression.of(run_plan(plan(request, plugins), plugins))
