"""Images as Keras reads them: its own function is the reference."""

from __future__ import annotations

import functools
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from edgeshrink.errors import DataError, UsageError
from edgeshrink.models import inference_snippet
from edgeshrink.samples import load_dataset
from edgeshrink.samples.dataset import Dataset
from edgeshrink.samples.files.images import Images, Reading, decoder

# TensorFlow decodes JPEG by libjpeg's fast transform, Pillow by its accurate one.
JPEG_MOST, JPEG_MEAN = 4, 1.5
ORIENTATION = 0x0112


@functools.cache
def photo(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Return what has large shapes, edges, some colour and grain, as a photo has."""
    rng = np.random.default_rng(0)
    whole = np.zeros((height, width, channels), np.float32)
    for side in (4, 16, 64, 256):
        shape = (height // side + 2, width // side + 2)
        rough = rng.random((*shape, 1), np.float32) + rng.random((*shape, channels), np.float32) / 4
        whole += np.kron(rough, np.ones((side, side, 1), np.float32))[:height, :width] * side**0.5
    whole += rng.standard_normal((height, width, 1), np.float32)
    whole -= whole.min()
    return (whole * (255 / whole.max())).astype(np.uint8)


def folder(tmp_path: Path, name: str, image: PIL.Image.Image, **how: Any) -> Path:
    """Return a folder of two classes that hold one and the same image."""
    for label in ("a", "b"):
        place = tmp_path / "data" / label
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / name, **how)
    return tmp_path / "data"


def by_keras(path: Path, size: tuple[int, int], channels: int = 3) -> np.ndarray:
    import keras

    modes = {1: "grayscale", 3: "rgb", 4: "rgba"}
    found = keras.utils.image_dataset_from_directory(
        path, image_size=size, color_mode=modes[channels], shuffle=False, verbose=False
    )
    return np.concatenate([images for images, _ in found])


def by_us(path: Path, size: tuple[int, int], channels: int = 3, resize: str = "keras") -> Any:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return Images(files, Reading(resize), (*size, channels))[:]


def first(path: Path, **how: Any) -> Any:
    """Return the image of the first class, in its own size."""
    name = next(iter(sorted(path.rglob("*.*"))))
    with PIL.Image.open(name) as image:
        size = image.size
    return by_us(path, (size[1], size[0]), **how)[0]


def same(ours: np.ndarray, keras: np.ndarray, *, jpeg: bool = False) -> bool:
    assert (ours.shape, ours.dtype) == (keras.shape, keras.dtype)
    if not jpeg:
        return bool((ours == keras).all())
    apart = np.abs(ours - keras)
    return bool(apart.max() <= JPEG_MOST and apart.mean() <= JPEG_MEAN)


# ---------------------------------------------------------------- values, as Keras reads them


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("whole", [(1200, 1601), (33, 90)])
def test_a_png_is_the_same_to_the_last_bit(
    whole: tuple[int, int], channels: int, tmp_path: Path
) -> None:
    image = PIL.Image.fromarray(photo(*whole, 4 if channels == 4 else 3))
    path = folder(tmp_path, "x.png", image, compress_level=1)
    for size in ((224, 224), (32, 32), (96, 128), (7, 5)):
        assert same(by_us(path, size, channels), by_keras(path, size, channels))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("how", [{"quality": 90}, {"quality": 60, "progressive": True}])
def test_a_large_jpeg_differs_by_what_its_decoder_rounds(
    how: dict[str, Any], channels: int, tmp_path: Path
) -> None:
    path = folder(tmp_path, "x.jpg", PIL.Image.fromarray(photo(1200, 1601)), **how)
    for size in ((224, 224), (32, 48)):
        ours, keras = by_us(path, size, channels), by_keras(path, size, channels)
        assert same(ours, keras, jpeg=True)
        smoothed = by_us(path, size, channels, "antialias")
        assert np.abs(smoothed - keras).max() > 5 * JPEG_MOST


def test_a_jpeg_decoded_accurately_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    import tensorflow as tf

    path = folder(tmp_path, "x.jpg", PIL.Image.fromarray(photo(301, 203)), quality=85)
    text = (path / "a" / "x.jpg").read_bytes()
    for channels in (1, 3):
        wanted = tf.io.decode_jpeg(text, channels, dct_method="INTEGER_ACCURATE")
        assert (first(path, channels=channels) == wanted.numpy()).all()


def palette(colours: int = 64) -> PIL.Image.Image:
    return PIL.Image.fromarray(photo(40, 50)).quantize(colours)


def of_16_bits() -> PIL.Image.Image:
    values = np.random.default_rng(0).integers(0, 2**16, (40, 50))
    return PIL.Image.fromarray(values.astype(np.uint16))


OTHERS = {
    "grey.png": (PIL.Image.fromarray(photo(40, 50)[..., 0]), {}, (1, 3, 4)),
    "grey-and-alpha.png": (PIL.Image.fromarray(photo(40, 50, 2), "LA"), {}, (1, 3, 4)),
    "palette.png": (palette(256), {}, (1, 3, 4)),
    "palette-of-16.png": (palette(16), {"bits": 4}, (1, 3)),
    "see-through-colours.png": (palette(256), {"transparency": bytes(range(256))}, (1, 3, 4)),
    "one-see-through.png": (PIL.Image.new("RGB", (9, 9)), {"transparency": (0, 0, 0)}, (3, 4)),
    "black-and-white.png": (PIL.Image.fromarray(photo(40, 50)).convert("1"), {}, (1, 3)),
    "of-16-bits.png": (of_16_bits(), {}, (1, 3, 4)),
    "colour.bmp": (PIL.Image.fromarray(photo(40, 50)), {}, (3,)),
    "grey.bmp": (PIL.Image.fromarray(photo(40, 50)[..., 0]), {}, (3,)),
    "palette.gif": (palette(), {}, (3,)),
    "see-through.gif": (palette(), {"transparency": 5}, (3,)),
    "moving.gif": (
        palette(),
        {"save_all": True, "append_images": [palette(8), palette(32)], "duration": 100},
        (3,),
    ),
    "cmyk.jpg": (PIL.Image.fromarray(photo(40, 50)).convert("CMYK"), {"quality": 90}, (3,)),
    "two-pictures.jpg": (
        PIL.Image.fromarray(photo(40, 50)),
        {"format": "MPO", "save_all": True, "append_images": [PIL.Image.new("RGB", (50, 40))]},
        (1, 3),
    ),
    "grey.jpg": (PIL.Image.fromarray(photo(40, 50)[..., 0]), {"quality": 90}, (1, 3)),
}


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "channels"), [(name, one) for name, (_, _, all_) in OTHERS.items() for one in all_]
)
def test_other_files_are_as_keras_reads_them(name: str, channels: int, tmp_path: Path) -> None:
    image, how, _ = OTHERS[name]
    path = folder(tmp_path, name, image, **how)
    ours, keras = by_us(path, (20, 23), channels), by_keras(path, (20, 23), channels)
    assert same(ours, keras, jpeg=name.endswith(".jpg"))


@pytest.mark.parametrize("name", ["x.webp", "x.tif", "x.tiff"])
def test_files_that_keras_does_not_list_are_read_and_told(name: str, tmp_path: Path) -> None:
    pixels = photo(40, 50)
    path = folder(tmp_path, name, PIL.Image.fromarray(pixels), lossless=True)
    assert (first(path) == pixels).all()
    assert "2 of 2 images are .tif or .webp" in " ".join(load_dataset(str(path)).notes)


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_16_bits_keep_their_range(name: str, tmp_path: Path) -> None:
    ramp = np.linspace(0, 2**16 - 1, 256, dtype=np.uint16).reshape(16, 16)
    path = folder(tmp_path, name, PIL.Image.fromarray(ramp))
    for resize in ("keras", "antialias"):
        assert first(path, channels=1, resize=resize).ravel().tolist() == list(range(256))


@pytest.mark.parametrize("kind", ["float32", "int32"])
def test_values_of_unknown_range_are_refused(kind: str, tmp_path: Path) -> None:
    image = PIL.Image.fromarray(np.ones((9, 9), kind))
    path = folder(tmp_path, "x.tif", image)
    with pytest.raises(DataError, match=r"a/x\.tif cannot be decoded: its values are 32-bit"):
        first(path)


def test_antialias_smooths_as_pillow_does(tmp_path: Path) -> None:
    image = PIL.Image.fromarray(photo(400, 300))
    path = folder(tmp_path, "x.png", image)
    wanted = np.asarray(image.resize((32, 24), PIL.Image.Resampling.BILINEAR))
    found = by_us(path, (24, 32), resize="antialias")
    assert found.dtype == np.uint8
    assert (found[0] == wanted).all()


# ---------------------------------------------------------------- orientation


def turned(tmp_path: Path, name: str) -> Path:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise
    image = PIL.Image.fromarray(photo(40, 50))
    return folder(tmp_path, name, image, exif=exif, lossless=True)


@pytest.mark.parametrize("name", ["x.jpg", "x.png"])
def test_orientation_is_left_as_keras_leaves_it_and_told(name: str, tmp_path: Path) -> None:
    path = turned(tmp_path, name)
    assert same(by_us(path, (20, 24)), by_keras(path, (20, 24)), jpeg=True)
    (note,) = (note for note in load_dataset(str(path)).notes if "EXIF" in note)
    assert note.startswith("2 of 2 images are stored turned or mirrored")
    assert note.endswith("--resize antialias turns them upright")


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp"])
def test_antialias_turns_upright(name: str, tmp_path: Path) -> None:
    path = turned(tmp_path, name)
    found = by_us(path, (50, 40), resize="antialias")[0]
    assert (found == np.rot90(first(path), -1)).all()
    data = load_dataset(str(path), resize="antialias")
    assert any(note.startswith("2 of 2 images were turned") for note in data.notes)
    assert data.test is not None
    assert data.test.inputs["x"].shape[1:] == (50, 40, 3)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.bmp", "x.gif", "x.webp", "x.tif"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_cut_file_is_named(share: float, name: str, tmp_path: Path) -> None:
    path = folder(tmp_path, name, PIL.Image.fromarray(photo(60, 50)))
    data = load_dataset(str(path))
    for file in path.rglob(name):
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert data.test is not None
    with pytest.raises(DataError, match=rf"image .*/[ab]/{name} cannot be decoded"):
        data.test.take([0])


def test_what_is_no_image_is_refused_before_any_work(tmp_path: Path) -> None:
    path = folder(tmp_path, "x.png", PIL.Image.new("RGB", (9, 9)))
    (path / "b" / "y.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"image .*/b/y\.jpg cannot be decoded"):
        load_dataset(str(path))


def test_a_file_of_too_many_pixels_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path, "x.png", PIL.Image.new("RGB", (90, 90)))
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 4000)
    with pytest.raises(DataError, match=r"at most 8,000 pixels.*a/x\.png has more"):
        load_dataset(str(path))


def test_a_damaged_exif_is_no_orientation(tmp_path: Path) -> None:
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + b"\x12\x01\x99\x99"
    path = folder(tmp_path, "x.jpg", PIL.Image.fromarray(photo(40, 50)), exif=exif)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        assert not any("EXIF" in note for note in load_dataset(str(path)).notes)


# ---------------------------------------------------------------- folders, as Keras lists them


def test_files_and_classes_are_those_of_keras(tmp_path: Path) -> None:
    import keras

    image = PIL.Image.fromarray(photo(20, 20))
    for name in ("b/2.png", "b/deep/er/1.PNG", "d/x.jpg", "a/10.png", "a/9.png", ".old/z.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / name)
    (tmp_path / "c").mkdir()
    (tmp_path / "d" / "notes.txt").write_text("not an image")
    wanted = keras.utils.image_dataset_from_directory(
        tmp_path, image_size=(8, 8), shuffle=False, verbose=False
    )
    labels = np.concatenate([labels for _, labels in wanted])
    data = load_dataset(str(tmp_path))
    assert data.class_names == tuple(wanted.class_names)
    assert data.notes[0] == "class folder 'c' is empty; it keeps its number, as for Keras"
    part = data.test
    assert part is not None
    source = part.sources["x"]
    assert isinstance(source, Images)
    assert [str(path) for path in source.paths] == wanted.file_paths
    assert part.all_labels.tolist() == labels.tolist()


# ---------------------------------------------------------------- what follows from it


def fitted(path: Path, **how: Any) -> Dataset:
    return load_dataset(str(path), **how).for_model({"x": (None, 24, 32, 3)})


def test_how_images_are_read_is_told_and_decides_the_digest(tmp_path: Path) -> None:
    path = folder(tmp_path, "x.png", PIL.Image.fromarray(photo(60, 50)))
    keras, other = fitted(path), fitted(path, resize="antialias")
    assert keras.digest == fitted(path, resize="keras").digest != other.digest
    told = keras.described()
    assert (told["resize"], told["decoder"]) == ("keras", decoder())
    assert decoder().startswith(f"Pillow {PIL.__version__} with libjpeg ")
    assert "images are resized to (24, 32, 3), as Keras' own reader does" in keras.notes
    assert "images are resized to (24, 32, 3), and smoothed, unlike by Keras" in other.notes


def test_resize_is_one_of_two_and_for_folders(tmp_path: Path) -> None:
    path = folder(tmp_path, "x.png", PIL.Image.fromarray(photo(60, 50)))
    with pytest.raises(UsageError, match="resize must be one of keras, antialias"):
        load_dataset(str(path), resize="nearest")
    arrays = {"x": np.arange(20).reshape(10, 2), "y": np.arange(10) % 2}
    with pytest.raises(UsageError, match="--resize is for a folder of images"):
        load_dataset("anything", resize="antialias", hook=lambda spec: arrays)


def test_a_model_of_bytes_gets_what_keras_casts(tmp_path: Path) -> None:
    import tensorflow as tf

    path = folder(tmp_path, "x.png", PIL.Image.fromarray(photo(60, 50)))
    data = load_dataset(str(path)).for_model({"x": (None, 24, 32, 3)}, dtypes={"x": "uint8"})
    assert data.test is not None
    found = data.values(data.test, [0])["x"]
    assert found.dtype == np.uint8
    assert (found[0] == tf.cast(by_keras(path, (24, 32))[0], tf.uint8).numpy()).all()


@pytest.mark.parametrize("resize", ["keras", "antialias"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_written_for_devices_reads_the_same(
    channels: int, resize: str, tmp_path: Path
) -> None:
    path = turned(tmp_path, "x.jpg")
    data = load_dataset(str(path), resize=resize, preprocess="scale=1/127.5 offset=-1")
    data = data.for_model({"x": (None, 24, 32, channels)})
    assert data.test is not None
    wanted = data.values(data.test, [0])["x"]
    read, functions, kind = data.python_snippet()
    assert kind == "a picture"
    line = data.preprocess.python_snippet()
    text = inference_snippet(Path("x.tflite"), line, read=read, functions=functions)
    before, after = text.split("net = Interpreter(")
    reading = textwrap.dedent(after[after.index("    try:") : after.index("    scale, zero")])
    light = before[: before.index("try:\n")] + before[before.index("\ndef ") :]
    light += "\nfile, taken = sys.argv[1], None\n"
    script = tmp_path / "read.py"
    script.write_text(f"{light}\n{reading}\nnp.save('x.npy', x)")
    (file, *_) = path.rglob("x.jpg")
    subprocess.run([sys.executable, script, file], check=True, cwd=tmp_path)
    assert (np.load(tmp_path / "x.npy") == wanted).all()
