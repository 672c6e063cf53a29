"""Make the preset: what a packed file's reader knows before it reads.

`python -m edgeshrink.tflite.packing.preset_training A.tflite B.tflite …` writes it into
`edgeshrink.tflite.esz.preset`. A change of it is a change of the format.
"""

from __future__ import annotations

import base64
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeshrink.tflite.esz import preset, whole
from edgeshrink.tflite.esz.content import Content, Wave, Way
from edgeshrink.tflite.packing.encode import described
from edgeshrink.tflite.packing.encoder import Encoder
from edgeshrink.tflite.reader import read_model

LINE = 90
# Bytes up to which a buffer holds no weights, but a version or a shape.
SMALL = 32


def trained(files: list[bytes]) -> str:
    """Return the preset that these .tflite files make, their weights left out."""
    encoder = Encoder()
    reader = whole.Reader(encoder)
    encoder.number("presets", len(files))
    for data in files:
        wanted = described(data, read_model(data))
        contents = [_emptied(one) for one in wanted.contents]
        reader.model(encoder, len(data), wanted._replace(contents=contents, tables=[], lanes=1))
    return base64.b85encode(encoder.finish()).decode()


def _emptied(one: Content) -> Content:
    if one.way is Way.NUMBERS or one.count <= SMALL:
        return one
    ranks = np.zeros((1, one.elements), np.int64)
    wave = Wave(one.elements, (one.elements, one.elements), ([], []), ranks)
    return replace(one, way=Way.WAVE, wave=wave, sections=(), data=bytes(one.count))


def main() -> None:
    """Write the preset."""
    text = trained([Path(name).read_bytes() for name in sys.argv[1:]])
    lines = [text[k : k + LINE] for k in range(0, len(text), LINE)]
    body = "\n".join(f"    {line!r}" for line in lines)
    path = Path(preset.__file__)
    head = path.read_text(encoding="utf-8").partition("PRESET =")[0]
    path.write_text(f"{head}PRESET = (\n{body}\n)\n", encoding="utf-8")
    print(len(base64.b85decode(text)), "bytes")


if __name__ == "__main__":
    main()
