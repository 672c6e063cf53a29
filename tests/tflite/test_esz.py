import functools
import zlib

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tiny_models import converted

from edgeshrink.errors import ModelError
from edgeshrink.tflite import esz
from edgeshrink.tflite.esz import container, mask, values
from edgeshrink.tflite.esz.arithmetic import Broken, Decoder
from edgeshrink.tflite.esz.content import ELEMENTS, Content, bits_of, code, stored
from edgeshrink.tflite.esz.lanes import SCALE, decode, histogram
from edgeshrink.tflite.esz.varint import varint
from edgeshrink.tflite.packed import unpacked
from edgeshrink.tflite.packing.choose import Room, choose, classify
from edgeshrink.tflite.packing.encode import pack
from edgeshrink.tflite.packing.encoder import Encoder
from edgeshrink.tflite.packing.lanes import encode, frequencies

BUDGET = 1 << 24
KINDS = ["float", "float16", "dynamic", "int8", "int8_float_io", "pair"]


@functools.cache
def made_of(kind):
    return pack((converted() / f"{kind}.tflite").read_bytes())


@pytest.fixture(scope="module")
def packed():
    return made_of("int8")


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_file_gives_back_the_same_bytes_and_is_never_larger(kind):
    data = (converted() / f"{kind}.tflite").read_bytes()
    made = made_of(kind)
    assert esz.unpack(made.data) == data
    assert len(made.data) <= min(made.zlib, made.xz)
    assert made.zlib == len(zlib.compress(data, 9))


def test_the_files_of_this_converter_are_modelled():
    made = [made_of(kind) for kind in KINDS]
    assert {one.how for one in made} == {"modelled"}


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-(2**40), 2**40)), max_size=200))
def test_numbers_survive_the_arithmetic_coder(numbers):
    encoder = Encoder()
    for context, value in numbers:
        encoder.signed(context, value)
        encoder.literal(5, value & 31)
    decoder = Decoder(encoder.finish(), BUDGET)
    for context, value in numbers:
        assert decoder.signed(context) == value
        assert decoder.literal(5) == value & 31


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 40), st.floats(0, 1))
@settings(max_examples=30)
def test_masks_and_values_survive(seed, rows, columns, density):
    random = np.random.default_rng(seed)
    nonzero = (random.random((rows, columns)) < density).astype(np.uint8)
    strides = tuple(sorted(random.integers(1, columns + 1, 2).tolist()))
    ranks = random.choice([-2, -1, 1, 2, 3], int(nonzero.sum()))
    encoder = Encoder()
    mask.code(encoder, nonzero.shape, strides, nonzero)
    values.code(encoder, 0, nonzero, strides, (2, 3), ranks)
    decoder = Decoder(encoder.finish(), BUDGET)
    found = mask.code(decoder, nonzero.shape, strides)
    assert (found == nonzero).all()
    assert (values.code(decoder, 0, found, strides, (2, 3)) == ranks).all()


def test_a_mask_costs_less_where_neighbours_are_alike():
    random = np.random.default_rng(0)
    nonzero = (random.random((40, 400)) < 0.1).astype(np.uint8)
    grouped = np.repeat((random.random((40, 100)) < 0.1).astype(np.uint8), 4, axis=1)
    lengths = []
    for one in (nonzero, grouped):
        encoder = Encoder()
        mask.code(encoder, one.shape, (1, 2), one)
        lengths.append(len(encoder.finish()))
    assert lengths[1] < 0.6 * lengths[0]


def test_tables_of_probabilities_are_those_of_the_format():
    odds, sure = mask.tables()
    assert zlib.crc32(odds.astype("<i8").tobytes()) == 0xC4BC8A27
    assert zlib.crc32(sure.astype("<i8").tobytes()) == 0xFC43199B


@given(st.integers(0, 2**32), st.integers(1, 3000), st.sampled_from([1, 2, 8, 64]))
@settings(max_examples=30)
def test_symbols_survive_the_lanes(seed, count, lanes):
    random = np.random.default_rng(seed)
    classes = random.integers(0, 2, count).astype(np.uint8)
    symbols = np.where(classes, random.integers(0, 256, count), random.binomial(9, 0.1, count))
    symbols = symbols.astype(np.uint8)
    tables = [
        frequencies(np.bincount(symbols[classes == k], minlength=256))
        if (classes == k).any()
        else frequencies(np.eye(256, dtype=np.int64)[0])
        for k in (0, 1)
    ]
    assert all(table.sum() == SCALE for table in tables)
    encoder = Encoder()
    for table in tables:
        histogram(encoder, table)
    decoder = Decoder(encoder.finish(), BUDGET)
    assert all((histogram(decoder) == table).all() for table in tables)
    words = encode(symbols, lanes, tables, classes)
    assert (decode(words, lanes, tables, classes) == symbols).all()
    with pytest.raises(Broken):
        decode(words[:-1], lanes, tables, classes)


@pytest.mark.parametrize("element", ELEMENTS, ids=str)
@pytest.mark.parametrize("distinct", [1, 7, 5000])
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_a_buffer_of_any_type_survives(element, distinct, density):
    random = np.random.default_rng(distinct)
    book = random.integers(0, 1 << min(element.bits, 62), distinct).astype(np.uint64)
    words = random.choice(book, 8 * 300) * (random.random(8 * 300) < density)
    data = stored(words.astype(np.uint64), element)
    assert stored(bits_of(data, element), element) == data
    names = ["int2", "int4", "int8", "int16", "int32", "int64", "float16", "float32"]
    chosen = choose(0, data, names[ELEMENTS.index(element)], (8, 300), Room())
    classify([chosen])
    encoder = Encoder()
    code(encoder, 0, len(data), chosen)
    found = code(Decoder(encoder.finish(), BUDGET), 0, len(data))
    for section, given_section in zip(found.sections, chosen.sections, strict=True):
        assert section.count == given_section.count
        section.symbols = given_section.symbols
    assert (found.finish() if found.sections or found.wave else found.data) == data


def test_a_float_whose_sign_alone_is_set_survives():
    data = np.array([0.0, -0.0, 1.0, -1.0] * 50, "<f4").tobytes()
    chosen = choose(0, data, "float32", (1, 200), Room())
    encoder = Encoder()
    classify([chosen])
    code(encoder, 0, len(data), chosen)
    found = code(Decoder(encoder.finish(), BUDGET), 0, len(data))
    for section, other in zip(found.sections, chosen.sections, strict=True):
        section.symbols = other.symbols
    assert (found.finish() if found.sections or found.wave else found.data) == data
    assert isinstance(chosen, Content)


@given(st.data())
@settings(max_examples=20)
def test_a_flipped_bit_is_noticed(packed, data):
    place = data.draw(st.integers(0, len(packed.data) * 8 - 1))
    flipped = bytearray(packed.data)
    flipped[place // 8] ^= 1 << place % 8
    with pytest.raises(ModelError, match="packed file is damaged"):
        unpacked(bytes(flipped))


@given(st.data())
@settings(max_examples=20)
def test_a_file_cut_short_is_noticed(packed, data):
    cut = data.draw(st.integers(0, len(packed.data) - 1))
    with pytest.raises(ModelError, match="packed file is damaged"):
        unpacked(packed.data[:cut])


@given(st.binary(min_size=1, max_size=300), st.integers(0, 2**32 - 1), st.sampled_from([16, 17]))
@settings(max_examples=40)
def test_a_header_that_lies_is_an_error(body, size, way):
    head = esz.MAGIC + bytes((way,)) + b"\1\2\3\4" + varint(size)
    with pytest.raises(Broken):
        esz.unpack(head + body)


def test_a_size_beyond_what_the_file_can_hold_is_refused_before_anything_is_read():
    head = esz.MAGIC + bytes((container.MODELLED,)) + b"\1\2\3\4" + varint(1 << 34)
    with pytest.raises(Broken, match="more than it has room for"):
        esz.unpack(head + bytes(100))


def test_a_zlib_stream_that_grows_without_end_is_refused():
    bomb = zlib.compress(bytes(container.ALWAYS + (4 << 20)), 9)
    with pytest.raises(Broken, match="too early"):
        esz.unpack(bomb[: len(bomb) // 2])
    with pytest.raises(Broken, match="does not begin"):
        esz.unpack(b"TFL3 and more")


def test_a_newer_version_is_told():
    with pytest.raises(Broken, match="version or method"):
        esz.unpack(esz.MAGIC + b"\x20" + bytes(20))
