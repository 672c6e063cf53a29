"""Images beside masks, folders inside zip files, and folders without labels."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from edgeshrink.errors import DataError
from edgeshrink.models import TensorFacts
from edgeshrink.samples import ModelOutputs, load_dataset
from edgeshrink.samples.files import tree

RANDOM = np.random.default_rng(0)


def save(path: Path, values: np.ndarray, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = PIL.Image.fromarray(values.astype("uint8"))
    if palette:
        image = PIL.Image.new("P", image.size)
        image.putdata(values.astype("uint8").ravel().tolist())
        image.putpalette([9, 9, 9, 250, 0, 0, 0, 250, 0])
    image.save(path)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Twelve photos with masks of three classes, two kinds of files each."""
    for number in range(12):
        values = RANDOM.integers(0, 255, (12, 16, 3))
        mask = RANDOM.integers(0, 3, (12, 16))
        save(tmp_path / "scenes" / "images" / f"{number}.jpg", values)
        save(tmp_path / "scenes" / "masks" / f"{number}.png", mask, palette=number % 2 == 0)
    return tmp_path / "scenes"


def outputs(*shape: int | None) -> ModelOutputs:
    return ModelOutputs((TensorFacts("y", (None, *shape)),))


def test_masks_are_labels_of_each_pixel(scenes: Path) -> None:
    data = load_dataset(str(scenes), outputs=outputs(12, 16, 3))
    assert data.tasks["y"].kind == "classification"
    assert data.counts() == {"train": 9, "validation": 1, "calibration": 9, "test": 2}
    assert data.train is not None
    for row, labels in zip(data.train.rows, data.train.labels, strict=True):
        image = data.train.sources["x"].paths[row]  # type: ignore[attr-defined]
        with PIL.Image.open(scenes / "masks" / f"{image.stem}.png") as mask:
            assert (np.asarray(mask) == labels).all()
    fitted = data.for_model({"x": (None, 12, 16, 3)}, {"y": (None, 12, 16, 3)})
    assert fitted.train.labels.shape == (9, 12, 16)
    assert data.described()["masks"] == "nearest pixel"


def test_masks_are_made_as_large_as_the_models(scenes: Path) -> None:
    import tensorflow as tf

    data = load_dataset(str(scenes), outputs=outputs(5, 30, 3))
    assert data.test is not None
    image = data.test.sources["x"].paths[data.test.rows[0]]  # type: ignore[attr-defined]
    with PIL.Image.open(scenes / "masks" / f"{image.stem}.png") as mask:
        whole = np.asarray(mask)
    wanted = tf.image.resize(whole[..., None], (5, 30), method="nearest").numpy()[..., 0]
    assert (data.test.labels[0] == wanted).all()


def test_masks_of_0_and_255_are_yes_or_no(scenes: Path) -> None:
    for number in range(12):
        save(scenes / "masks" / f"{number}.png", RANDOM.integers(0, 2, (12, 16)) * 255)
    data = load_dataset(str(scenes), outputs=outputs(12, 16, 1))
    assert data.tasks["y"].kind == "binary"
    assert "masks hold 0 and 255, which are read as classes 0 and 1" in data.notes


def test_parts_of_masks_are_folders(scenes: Path) -> None:
    for part in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (scenes.parent / "parts" / part / kind).mkdir(parents=True)
            for file in sorted((scenes / kind).iterdir())[:4]:
                (scenes.parent / "parts" / part / kind / file.name).write_bytes(file.read_bytes())
    data = load_dataset(str(scenes.parent / "parts"), outputs=outputs(12, 16, 3))
    assert data.counts() == {"train": 4, "validation": 4, "calibration": 4, "test": 4}


def odd(scenes: Path, what: str) -> None:
    mask = scenes / "masks" / "3.png"
    if what == "size":
        save(mask, np.zeros((12, 15)))
    elif what == "no image":
        (scenes / "images" / "3.jpg").unlink()
    elif what == "no mask":
        mask.unlink()
    elif what == "colours":
        save(mask, np.zeros((12, 16, 3)))
    elif what == "jpeg":
        PIL.Image.new("L", (16, 12)).save(mask, format="JPEG")
    elif what == "cut":
        mask.write_bytes(mask.read_bytes()[:50])
    elif what == "twice":
        save(scenes / "masks" / "3.bmp", np.zeros((12, 16)))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("size", r"as large as its image; .*3\.png has 12 x 15 pixels, .*3\.jpg 12 x 16"),
        ("no image", r"there is no image for .*masks/3\.png"),
        ("no mask", r"there is no mask for .*images/3\.jpg"),
        ("colours", r"must hold class numbers, as grey or palette images do; .*3\.png is RGB"),
        ("jpeg", r"which JPEG does not keep as they are; .*3\.png is one"),
        ("cut", r"image .*3\.png cannot be decoded"),
        ("twice", r"names must differ without their ends; .*3\.bmp and .*3\.png do not"),
    ],
)
def test_masks_that_are_none_are_refused_by_name(what: str, said: str, scenes: Path) -> None:
    odd(scenes, what)
    with pytest.raises(DataError, match=said) as raised:
        load_dataset(str(scenes), outputs=outputs(12, 16, 3))
    assert raised.value.hint


def test_class_numbers_beyond_the_models_are_refused(scenes: Path) -> None:
    data = load_dataset(str(scenes), outputs=outputs(12, 16, 2))
    with pytest.raises(DataError, match=r"must be 0 to 1 for the output 'y' .*; received 0 to 2"):
        data.for_model({"x": (None, 12, 16, 3)}, {"y": (None, 12, 16, 2)})


def test_masks_of_several_sizes_need_a_model_that_tells_its_own(scenes: Path) -> None:
    save(scenes / "images" / "3.jpg", np.zeros((6, 8, 3)))
    save(scenes / "masks" / "3.png", np.zeros((6, 8)))
    with pytest.raises(DataError, match="masks must be of one size, since the model does not tell"):
        load_dataset(str(scenes))
    data = load_dataset(str(scenes), outputs=outputs(12, 16, 3))
    assert sum(data.counts().values()) - data.counts()["calibration"] == 12


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for part, count in (("train", 6), ("test", 3)):
        for name, level in (("cat", 50), ("dog", 200)):
            for number in range(count):
                grain = RANDOM.integers(level - 40, level + 40, (8, 8, 3))
                save(tmp_path / "pets" / part / name / f"{number}.png", grain)
    return tmp_path / "pets"


def zipped(folder: Path, top: str = "pets/", extra: dict[str, bytes] | None = None) -> str:
    path = folder.parent / "pets.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, f"{top}{file.relative_to(folder).as_posix()}")
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return str(path)


@pytest.mark.parametrize("top", ["", "pets/"])
def test_a_zip_of_a_folder_is_the_folder(top: str, pets: Path) -> None:
    inside = load_dataset(zipped(pets, top, {"__MACOSX/pets/._x": b"x"}))
    outside = load_dataset(str(pets))
    assert inside.class_names == outside.class_names == ("cat", "dog")
    assert inside.counts() == outside.counts()
    for name, part in outside.subsets().items():
        assert (inside.subsets()[name].take(slice(None))["x"] == part.take(slice(None))["x"]).all()
        assert (inside.subsets()[name].labels == part.labels).all()
    assert inside.digest == outside.digest
    assert not [path for path in pets.parent.iterdir() if path.name not in ("pets", "pets.zip")]


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "pets/../../x.png", "C:/x.png", "a\\x.png"])
def test_a_zip_that_names_files_outside_of_it_is_refused(name: str, pets: Path) -> None:
    with pytest.raises(DataError, match=r"must name files inside of it; pets\.zip names"):
        load_dataset(zipped(pets, "pets/", {name: b"x"}))


def test_zips_that_are_too_large_or_damaged_are_refused(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"looks like a zip bomb: pets/x\.png would unpack to over"):
        load_dataset(zipped(pets, "pets/", {"pets/x.png": bytes(20 << 20)}))
    whole = Path(zipped(pets))
    damaged = bytearray(whole.read_bytes())
    place = damaged.index(b"0.png") + 60
    damaged[place : place + 20] = bytes(20)
    whole.write_bytes(bytes(damaged))
    with pytest.raises(DataError, match=r"pets/test/cat/0\.png in pets\.zip cannot be unpacked"):
        load_dataset(str(whole))
    whole.write_bytes(bytes(damaged[:-30]))
    with pytest.raises(DataError, match=r"pets\.zip is no sound zip file"):
        load_dataset(str(whole))
    monkeypatch.setattr(tree, "MOST_MEMBERS", 5)
    with pytest.raises(DataError, match=r"pets\.zip has 18 members; at most 5 may be"):
        load_dataset(zipped(pets))
    monkeypatch.undo()
    monkeypatch.setattr(tree, "MOST_BYTES", 50)
    with pytest.raises(DataError, match="a file in a zip file must have at most 50 bytes"):
        load_dataset(zipped(pets))


def test_an_encrypted_zip_is_refused(pets: Path) -> None:
    path = Path(zipped(pets))
    whole = bytearray(path.read_bytes())
    place = whole.index(b"PK\x01\x02")
    whole[place + 8] |= 1
    path.write_bytes(bytes(whole))
    with pytest.raises(DataError, match=r"pets\.zip is encrypted"):
        load_dataset(str(path))


def test_a_zip_of_arrays_is_an_npz_by_another_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=RANDOM.random((20, 3)), y=np.arange(20) % 2)
    (tmp_path / "x.npz").rename(tmp_path / "x.zip")
    assert load_dataset(str(tmp_path / "x.zip")).counts()["test"] == 4


def test_a_flat_folder_has_no_labels_and_says_so(tmp_path: Path) -> None:
    for number in range(10):
        save(tmp_path / "flat" / f"{number}.png", RANDOM.integers(0, 255, (8, 8, 3)))
    data = load_dataset(str(tmp_path / "flat"))
    assert data.train is not None
    assert data.train.labels is None
    assert data.counts()["calibration"] == 7
    (said,) = [note for note in data.notes if "folder for each class" in note]
    assert said.startswith("flat has no folder for each class: its 10 files have no labels")
    assert load_dataset(zipped(tmp_path / "flat")).counts() == data.counts()


def test_an_empty_part_is_told(pets: Path) -> None:
    for file in (pets / "test").rglob("*.png"):
        file.unlink()
    with pytest.raises(DataError, match="a part of the data must have files; 'test' of pets"):
        load_dataset(str(pets))
    (pets / "val").mkdir()
    (pets / "validation").mkdir()
    with pytest.raises(DataError, match="val and validation are the same part"):
        load_dataset(str(pets))


def test_options_of_images_go_for_what_is_in_a_zip(pets: Path) -> None:
    how: dict[str, Any] = {"resize": "antialias"}
    assert load_dataset(zipped(pets), **how).described()["resize"] == "antialias"
