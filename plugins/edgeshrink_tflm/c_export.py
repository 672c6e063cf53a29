"""A model as C: its bytes, what a program must know to run it, and one input with its output."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.api import Exporter, ModelError
from edgeshrink_tflm.literals import TYPES, array, identifier, real, remark
from edgeshrink_tflm.package import MICRO

if TYPE_CHECKING:
    import numpy as np

    from edgeshrink.tflite import FlatModel, FlatTensor

SEED = 0  # of the test input


class CExport(Exporter):
    """C99 and C++: a header and a source, for TensorFlow Lite Micro."""

    name = "c"
    requires = (MICRO.name,)

    def names(self, stem: str) -> tuple[str, ...]:
        """Return the header's name and the source's: those of the model, as far as C can say it."""
        made = identifier(stem)
        return f"{made}_model.h", f"{made}_model.c"

    def render(self, model: bytes, stem: str) -> Mapping[str, str]:
        """Return header and source; arena and test output are measured in the real interpreter."""
        from edgeshrink.tflite import read_model
        from edgeshrink_tflm.process import Micro

        flat, name = read_model(model), identifier(stem)
        calls = _calls(flat)
        for tensor in (*flat.inputs, *flat.outputs):
            if tensor.dtype not in TYPES:
                raise ModelError(f"{tensor.dtype} of an input or output is not written as C")
        with tempfile.TemporaryDirectory(prefix="edgeshrink-") as folder:
            micro = Micro(flat, Path(folder))
            arena, vector = micro.needed(model), micro.vector(model, SEED)
        header, source = self.names(stem)
        return {
            header: _header(name, model, flat, calls, arena),
            source: _source(name, header, model, flat, vector),
        }


def _calls(flat: FlatModel) -> list[str]:
    """Return the calls that register the model's operators, each once.

    Raises:
        ModelError: an operator has none.
    """
    from edgeshrink_tflm.resolver import CALLS

    names = dict.fromkeys(operator.name for operator in flat.operators)
    unknown = [name for name in names if name not in CALLS]
    if unknown:
        raise ModelError(
            f"TensorFlow Lite Micro has no call that registers {remark(unknown[0])!r}, so that no "
            "program for a microcontroller can run the file"
        )
    return [CALLS[name] for name in names]


def _header(name: str, model: bytes, flat: FlatModel, calls: list[str], arena: int) -> str:
    upper = name.upper()
    adds = " &&\n         ".join(f"resolver.{call}() == 0" for call in calls) or "true"
    lines = [
        f"/* A model for TensorFlow Lite Micro, SHA-256 {hashlib.sha256(model).hexdigest()}. */",
        f"#ifndef {upper}_MODEL_H",
        f"#define {upper}_MODEL_H",
        "",
        "#include <stdint.h>",
        "",
        f"#define {upper}_MODEL_BYTES {len(model)}",
        "/* The smallest arena that the model loads with, measured where pointers take 8 bytes; a",
        "   chip's own kernels may ask for more. It begins at a multiple of 16. */",
        f"#define {upper}_ARENA_BYTES {arena}",
        "/* tflite::MicroMutableOpResolver<N> takes this as N. */",
        f"#define {upper}_OPERATORS {len(calls)}",
        *(
            line
            for kind, tensors in (("input", flat.inputs), ("output", flat.outputs))
            for line in _told(upper, kind, tensors)
        ),
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        f"extern const uint8_t {name}_model[{upper}_MODEL_BYTES];",
        "/* One input, and what TensorFlow Lite Micro's reference kernels make of it. */",
        *(
            f"extern const {TYPES[t.dtype]} {name}_test_{kind}_{place}[{t.elements}];"
            for kind, place, t in _ends(flat)
        ),
        "#ifdef __cplusplus",
        "}",
        "",
        "/* Registers what the model needs; false where the resolver has no room. */",
        "template <typename Resolver>",
        f"inline bool {name}_add_operators(Resolver& resolver) {{",
        f"  return {adds};",
        "}",
        "#endif",
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _told(upper: str, kind: str, tensors: tuple[FlatTensor, ...]) -> Iterator[str]:
    """Yield what is known of inputs or outputs, as macros."""
    yield ""
    yield f"#define {upper}_{kind.upper()}S {len(tensors)}"
    for place, tensor in enumerate(tensors):
        head = f"#define {upper}_{kind.upper()}_{place}"
        yield f"/* {kind} {place}: {remark(tensor.name)}, {tensor.dtype} */"
        yield f"{head}_ELEMENTS {tensor.elements}"
        yield f"{head}_SHAPE {{{', '.join(map(str, tensor.shape)) or '1'}}}"
        if tensor.scales:
            yield f"{head}_SCALE {real(tensor.scales[0])}"
            yield f"{head}_ZERO_POINT ({tensor.zero_points[0]})"


def _source(
    name: str, header: str, model: bytes, flat: FlatModel, vector: Mapping[str, list[Any]]
) -> str:
    import numpy as np

    lines = [
        f'#include "{header}"',
        "",
        "#if defined(__cplusplus)",
        "#define MODEL_ALIGNED alignas(16)",
        "#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L",
        "#define MODEL_ALIGNED _Alignas(16)",
        "#else",
        "#define MODEL_ALIGNED __attribute__((aligned(16)))",
        "#endif",
        "",
        f"MODEL_ALIGNED const uint8_t {name}_model[{name.upper()}_MODEL_BYTES] = {{",
        array(np.frombuffer(model, np.uint8), "uint8"),
        "};",
    ]
    for kind, place, tensor in _ends(flat):
        values: np.ndarray = vector[kind][place]
        lines += [
            "",
            f"const {TYPES[tensor.dtype]} {name}_test_{kind}_{place}[{tensor.elements}] = {{",
            array(values, tensor.dtype),
            "};",
        ]
    return "\n".join(lines) + "\n"


def _ends(flat: FlatModel) -> Iterator[tuple[str, int, FlatTensor]]:
    for kind, tensors in (("input", flat.inputs), ("output", flat.outputs)):
        for place, tensor in enumerate(tensors):
            yield kind, place, tensor
