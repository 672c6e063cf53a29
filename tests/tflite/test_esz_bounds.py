"""A small packed file cannot make a large one, and what is packed can always be read again."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from tiny_models import written

from edgeshrink.tflite import esz, pack
from edgeshrink.tflite.esz.container import limit
from edgeshrink.tflite.esz.varint import varint


def test_four_megabytes_hold_no_gigabytes() -> None:
    assert limit(4 << 20) <= 600 << 20
    assert limit(1 << 40) < 1 << 31
    claimed = esz.MAGIC + bytes((16,)) + bytes(4) + varint(8 << 30) + bytes(4 << 20)
    with pytest.raises(esz.Broken, match="more than it has room for"):
        esz.unpack(claimed)


def test_a_stream_that_swells_is_cut() -> None:
    with pytest.raises(esz.Broken, match="ends too early"):
        esz.unpack(zlib.compress(bytes(64 << 20), 9))


@pytest.mark.heavy
def test_a_large_file_of_next_to_nothing_is_packed_so_that_it_can_be_read() -> None:
    def build(schema, tensor, operator):
        value, result = tensor((1, 2)), tensor((1, 2))
        tensor((6 << 20,), np.zeros(6 << 20, np.float32))
        operator(schema.BuiltinOperator.NEG, (value,), (result,))
        return [value], [result]

    data = written(build)
    assert len(data) > 24 << 20
    packed = pack(data).data
    assert len(data) <= limit(len(packed))
    assert esz.unpack(packed) == data
