"""Zeros that XNNPACK skips: its conditions, the file without zeros, and proof by the profile."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import ai_edge_litert as litert
import keras
import numpy as np
import pytest

from edgeshrink.devices.measurement import RULES, DeviceInfo, Failure, Measurement, OperatorTime
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.devices.runtime import Session
from edgeshrink.errors import EdgeshrinkError, ModelError, UsageError
from edgeshrink.models.artifact import Kind
from edgeshrink.models.config import ModelFacts
from edgeshrink.nn.conversion.converter_process import Conversion
from edgeshrink.nn.conversion.keras_to_tflite import convert
from edgeshrink.nn.conversion.verification import check_zeros
from edgeshrink.recipes.context import Context
from edgeshrink.recipes.method import Method, Plan
from edgeshrink.recipes.training import Training
from edgeshrink.tflite.reader import read_model
from edgeshrink.tflite.stripping import strip
from edgeshrink.tflite.xnnpack_sparsity import SparseConditions, skipping_kernels, sparse_conditions
from edgeshrink_litert import runner
from edgeshrink_litert.litert import LiteRT
from edgeshrink_prune import Prune
from edgeshrink_quantize import Float, Fp16, Int8
from edgeshrink_quantize.sparsity import _skipped
from edgeshrink_targets.local import Local

layers = keras.layers
X86 = platform.machine() in ("x86_64", "AMD64")
# XNNPACK has sparse kernels for ARM64, and for x86 without AVX, which this emulator shows it.
EMULATOR = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
skips_zeros = pytest.mark.skipif(
    X86 and EMULATOR is None, reason="needs qemu-x86_64-static (Debian: qemu-user-static)"
)


def stem(x: Any, padding: str = "valid") -> Any:
    x = layers.ZeroPadding2D(1)(x) if padding == "valid" else x
    return layers.Conv2D(16, 3, 2, padding=padding, activation="relu", name="stem")(x)


def point(x: Any, name: str, width: int = 32, **options: Any) -> Any:
    return layers.Conv2D(width, 1, name=name, **options)(x)


def deep(x: Any, name: str, **options: Any) -> Any:
    return layers.DepthwiseConv2D(**{"kernel_size": 3, "padding": "same", **options}, name=name)(x)


def end(x: Any) -> Any:
    return layers.Dense(5, name="out")(layers.GlobalAveragePooling2D(name="mean")(x))


def plain(x: Any) -> Any:
    return end(point(deep(point(stem(x), "p0", activation="relu"), "d0"), "p1"))


def strided(x: Any) -> Any:
    x = layers.ZeroPadding2D(1)(stem(x))
    return end(point(deep(x, "d0", strides=2, padding="valid"), "p1"))


def residual(x: Any) -> Any:
    x = point(stem(x), "p0")
    return end(layers.Add()([x, point(deep(x, "d0", kernel_size=5), "p1")]))


def squeezed(x: Any) -> Any:
    x = point(stem(x), "p0", activation="hard_swish")
    few = point(layers.GlobalAveragePooling2D(keepdims=True)(x), "s0", 8, activation="relu")
    gate = point(few, "s1", activation="sigmoid")
    return end(point(layers.Multiply()([x, gate]), "p1"))


def same(x: Any) -> Any:
    return end(point(deep(stem(x, "same"), "d0"), "p1"))


def strided_same(x: Any) -> Any:
    return end(point(deep(stem(x), "d0", strides=2), "p1"))


def pooled(x: Any) -> Any:
    return end(point(layers.MaxPooling2D(name="pool")(point(stem(x), "p0")), "p1"))


def tapped(x: Any) -> Any:
    x = point(stem(x), "p0")
    return [end(point(deep(x, "d0"), "p1")), layers.Activation("linear", name="tap")(x)]


def joined(x: Any) -> Any:
    x = point(stem(x), "p0")
    return end(point(layers.Concatenate(name="join")([x, deep(x, "d0")]), "p1"))


def strided_point(x: Any) -> Any:
    return end(point(deep(point(stem(x), "p0", strides=2), "d0"), "p1"))


def flat(x: Any) -> Any:
    return layers.Dense(5)(layers.Flatten()(point(deep(stem(x), "d0"), "p1")))


def headed(x: Any) -> Any:
    x = layers.GlobalAveragePooling2D(keepdims=True)(point(stem(x), "p0"))
    return layers.Flatten(name="flat")(point(x, "head", 5))


def none(x: Any) -> Any:
    return end(stem(x))


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


def made(body: Callable[[Any], Any], zeros: float = 0.8, channels: int = 3) -> keras.Model:
    """Return a model whose 1 x 1 kernels have this share of zeros."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, channels), name="image")
    model = keras.Model(image, body(image))
    for layer in model.layers:
        if type(layer) is layers.Conv2D and layer.kernel_size == (1, 1):
            values = np.array(layer.kernel)
            places = np.random.default_rng(0).permutation(values.size)
            values.ravel()[places[: round(zeros * values.size)]] = 0
            layer.kernel.assign(values)
    return model


def tflite(model: keras.Model, **want: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        wants = {"made": Conversion(**{"sparse": True, **want})}
        return convert(model, wants, Path(folder))["made"]


@cache
def sparse_of(body: Callable[[Any], Any]) -> bytes:
    """Return a model's file, without its zeros."""
    return tflite(made(body))


@pytest.fixture(scope="module")
def skipper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DeviceProfile, Session]]:
    """A device whose processor has sparse kernels: an emulated one without AVX, on x86."""
    python = ""
    if X86:
        script = tmp_path_factory.mktemp("skipper") / "python"
        script.write_text(f'#!/bin/sh\nexec {EMULATOR} -cpu Nehalem {sys.executable} "$@"\n')
        script.chmod(0o755)
        python = str(script)
    device = DeviceProfile("skipper", python=python, emulated=X86, sparse=True)
    with (
        Local.connect("", None) as target,
        LiteRT().open(target, target.folder(), device) as session,
    ):
        yield device, session


# LiteRT's C library alone, since numpy takes seconds in the emulator.
PROFILER = """
import sys
sys.path[:0] = sys.argv[1:3]
from runner import library, operators
litert = library.Library(library.find()[0])
for path in sys.argv[3:]:
    compiled = library.Compiled(litert, path, 1, [operators.PROFILING])
    rows, _ = operators._profiled(litert, compiled, {"seconds": 0})
    print("|".join(row["name"] for row in rows))
"""


def profiled(files: Sequence[bytes], folder: Path) -> list[list[str]]:
    """Return the kernels that each file is run with where there are sparse ones."""
    paths = [folder / f"{place}.tflite" for place in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    emulator = [str(EMULATOR), "-cpu", "Nehalem"] if X86 else []
    plugin, site = (Path(str(m.__file__)).parents[n] for m, n in ((runner, 1), (litert, 1)))
    argv = [*emulator, sys.executable, "-S", "-c", PROFILER, plugin, site, *paths]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=240)
    found = [line.split("|") for line in done.stdout.splitlines()]
    assert len(found) == len(files)
    return found


@pytest.mark.parametrize(
    ("body", "said", "unsafe"),
    [
        slow(same, r"^stem \(CONV_2D\) must be padded by 1 on every side: ZeroPadding2D", False),
        (strided_same, r"^d0 \(DEPTHWISE_CONV_2D\) must be padded by 1", True),
        (pooled, r"^pool \(MAX_POOL_2D\) is not laid out .* reads what p0 puts out", True),
        slow(tapped, "is an output of the model", True),
        slow(joined, r"^join \(CONCATENATION\)", True),
        slow(strided_point, r"^p0 \(CONV_2D\) is a 1x1 convolution with a stride", True),
        (flat, r"^nothing averages over all places at its end \(GlobalAverage", False),
        (headed, r"RESHAPE\) is not laid out .* reads what head puts out", True),
        slow(none, "^there is no 1x1 convolution", True),
    ],
)
def test_what_is_in_the_way_is_named(body: Callable[[Any], Any], said: str, unsafe: bool) -> None:
    found = sparse_conditions(sparse_of(body))
    assert re.search(said, found.in_the_way)
    assert found.unsafe is unsafe


@pytest.mark.slow
def test_the_first_convolution_and_the_zeros_count() -> None:
    gray = sparse_conditions(tflite(made(plain, channels=1)))
    assert "stem (CONV_2D) is neither 1x1 nor the first one, 3x3 with stride 2" in gray.in_the_way
    few = sparse_conditions(tflite(made(plain, zeros=0.6)))
    assert few.in_the_way.startswith("60.0% of the weights of its 2 1x1 convolutions are zero")
    whole = sparse_conditions(tflite(made(plain), sparse=False))
    assert whole == SparseConditions((), 2, 16 * 32 + 32 * 32, round(0.8 * 512) + round(0.8 * 1024))
    assert whole.in_the_way == "the file does not store its zeros sparsely"


@pytest.mark.parametrize("weights", ["float32", "float16"])
def test_a_file_without_zeros_is_smaller_and_the_same(weights: str) -> None:
    model = made(plain)
    sparse = tflite(model, weights=weights)
    dense = tflite(model, weights=weights, sparse=False)
    assert len(sparse) < 0.85 * len(dense)
    assert any(tensor.sparse for tensor in read_model(sparse).tensors)
    assert read_model(sparse).nonzeros == read_model(dense).nonzeros
    assert read_model(sparse).parameters == read_model(dense).parameters
    assert check_zeros(model, sparse) > 0.5
    found = sparse_conditions(sparse)
    assert found.kernels == 2
    assert not found.in_the_way
    assert sparse_conditions(strip(sparse)[0]) == found
    images = np.random.default_rng(0).random((4, 16, 16, 3), "float32")
    np.testing.assert_array_equal(*(answers(data, images) for data in (sparse, dense)))


def answers(data: bytes, images: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    runner = interpreter.get_signature_runner()
    return np.stack([runner(image=image[None])["out"] for image in images])


@skips_zeros
@pytest.mark.parametrize(
    "bodies",
    [
        (plain, squeezed, strided_same),
        slow((strided, residual, same, joined, strided_point, flat)),
    ],
)
def test_the_runtime_skips_zeros_where_the_conditions_say_so(
    bodies: Sequence[Callable[[Any], Any]], tmp_path: Path
) -> None:
    files = [sparse_of(body) for body in bodies]
    for data, names in zip(files, profiled(files, tmp_path), strict=True):
        found = sparse_conditions(data)
        assert skipping_kernels(names) == (0 if found.in_the_way else found.kernels)


@pytest.mark.slow
@skips_zeros
def test_too_few_zeros_and_zeros_that_are_stored_are_not_skipped(tmp_path: Path) -> None:
    files = [tflite(made(plain, zeros=0.6)), tflite(made(plain), sparse=False)]
    assert list(map(skipping_kernels, profiled(files, tmp_path))) == [0, 0]


def lent(folder: Path, device: Any = None) -> Context:
    """Return a context that times on a device, by its profiler too; else tells its kernels."""
    profile, session = device or (DeviceProfile("skipper"), None)

    def measure(data: bytes, *, profile: bool) -> Measurement:
        assert profile
        if session is None:
            times = tuple(OperatorTime(name, 1.0, 0.0) for name in profiled([data], folder)[0])
            info, plan = DeviceInfo("skipper"), RULES["smoke"]
            return Measurement("m", "d", info, plan, (1,), 1.0, 1.0, 1, "xnnpack", operators=times)
        path = folder / "candidate.tflite"
        path.write_bytes(data)
        (result,) = session.time([path], replace(RULES["smoke"], profile=True))
        if isinstance(result, Failure):
            raise EdgeshrinkError(result.reason)
        return result

    return Context(
        data=None,
        profile=profile,
        folder=folder,
        seed=0,
        training=Training(),
        progress=lambda share, note: None,
        original=lambda: made(plain),
        evaluate=lambda model: None,
        agreement=lambda model: None,
        measure=measure,
        log=folder / "log",
    )


@skips_zeros
@pytest.mark.parametrize(("precision", "fixture"), [(Float, ""), slow(Fp16, "skipper")])
def test_the_switch_is_seen_on_the_device(
    precision: type[Method], fixture: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pruning = Prune.of({"sparsity": 0.8, "for": "xnnpack"})
    model = pruning.apply(made(plain, zeros=0), lent(tmp_path))
    shares = {
        layer.name: float((np.asarray(layer.kernel) == 0).mean())
        for layer in model.layers
        if hasattr(layer, "kernel")
    }
    assert {name for name, share in shares.items() if share} == {"p0", "p1"}
    step = precision.of({"sparse": True})
    notes = lent(tmp_path, request.getfixturevalue(fixture) if fixture else None)
    data = step.apply(model, notes)
    assert notes.facts["kernels_that_skip_zeros"] == 2
    assert "2 of 2 1x1 convolutions skip their zeros on skipper (80.0% zeros)" in notes.notes
    assert any(tensor.sparse for tensor in read_model(data).tensors)


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="for x86 with AVX")
def test_a_processor_without_sparse_kernels_is_told(tmp_path: Path) -> None:
    if " avx" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        pytest.skip("this processor has no AVX")
    device = DeviceProfile("here")
    step = Float.of({"sparse": True})
    with (
        Local.connect("", None) as target,
        LiteRT().open(target, target.folder(), device) as session,
    ):
        notes = lent(tmp_path, (device, session))
        step.apply(made(plain), notes)
    assert notes.facts["kernels_that_skip_zeros"] == 0
    assert "here skips none of them: on x86, XNNPACK has sparse kernels only" in notes.notes[-1]


@pytest.mark.slow
@skips_zeros
@pytest.mark.parametrize("body", [pooled, tapped])
def test_graphs_that_are_answered_wrongly_keep_their_zeros(
    body: Callable[[Any], Any], skipper: tuple[DeviceProfile, Session], tmp_path: Path
) -> None:
    model = made(body)
    images = np.random.default_rng(0).random((4, 16, 16, 3), "float32")
    np.save(tmp_path / "images.npy", images)
    errors = {}
    for name, data in (
        ("sparse", sparse_of(body)),
        ("kept", Float.of({"sparse": True}).apply(model, notes := lent(tmp_path))),
    ):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(data)
        found = skipper[1].predict(path, {"image": tmp_path / "images.npy"})["out"]
        errors[name] = np.abs(found - answers(data, images)[:, 0]).max()
    assert errors["sparse"] > 1e-3  # else the guard is needed no longer
    assert errors["kept"] < 1e-5
    assert "XNNPACK's sparse kernels would answer wrongly" in notes.notes[-1]


def test_what_was_not_seen_of_the_kernels_is_told(tmp_path: Path) -> None:
    def away(data: bytes, *, profile: bool) -> Measurement:
        raise EdgeshrinkError("the device is away")

    def silent(data: bytes, *, profile: bool) -> Measurement:
        return Measurement(
            "m", "d", DeviceInfo("skipper"), RULES["smoke"], (1,), 1.0, 1.0, 1, "none"
        )

    notes = replace(lent(tmp_path), measure=away)
    data = Float.of({"sparse": True}).apply(made(plain), notes)
    assert re.fullmatch(r"zeros are left out of the file: [\d,]+ -> [\d,]+ bytes", notes.notes[0])
    assert notes.notes[1] == "whether skipper skips the zeros was not seen: the device is away"
    found = sparse_conditions(data)
    assert list(_skipped(data, found, replace(notes, measure=silent))) == [
        "whether skipper skips the zeros was not seen: its runtime tells no kernels"
    ]
    few = replace(found, zeros=1)
    assert next(_skipped(data, few, notes)).startswith("XNNPACK does not skip the zeros: ")


def test_zeros_are_stored_where_leaving_them_out_gains_nothing(tmp_path: Path) -> None:
    step = Float.of({"sparse": True})
    notes = lent(tmp_path)
    data = step.apply(made(plain, zeros=0.0), notes)
    assert not any(tensor.sparse for tensor in read_model(data).tensors)
    assert "no kernel has so many" in notes.notes[-1]


def test_pruning_for_xnnpack_refuses_what_would_be_run_densely(tmp_path: Path) -> None:
    def check(sparsity: float, *after: Method) -> list[str]:
        step = Prune.of({"sparsity": sparsity, "for": "xnnpack"})
        plan = Plan(ModelFacts(Kind.KERAS), (), after, None, DeviceProfile("test"))
        return list(step.check(plan))

    for precision in (Int8(), Float()):
        with pytest.raises(UsageError, match=f"and {precision.name} keeps them") as told:
            check(0.8, precision)
        assert "--float-sparse" in told.value.hint
    with pytest.raises(UsageError, match="more than two thirds") as told:
        check(0.6, Float.of({"sparse": True}))
    assert told.value.hint == "--prune 0.7 or more"
    said = " ".join(check(0.8, Float.of({"sparse": True})))
    assert said.endswith("smaller to download and smaller on disk, not faster")

    step = Prune.of({"sparsity": 0.8, "for": "xnnpack"})
    for body, reason in ((same, "stem .* padded by 1"), (none, "no 1x1 convolution")):
        model = made(body)
        with pytest.raises(ModelError, match=f"would not skip the zeros: .*{reason}"):
            step.apply(model, lent(tmp_path))
