"""Each format: how its seeds are mutated, and what reads them in the product."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzz import archives, octets, strings, trees

Read = Callable[[Path, Path], int]


@dataclass(frozen=True)
class Format:
    """A format that is read.

    Attributes:
        mutate: changes a copy of a seed, a file or a folder, in place.
        read: takes it and the folder of seeds, and returns an exit code.
    """

    mutate: Callable[[random.Random, Path], None]
    read: Read


def command(*words: str | Path) -> int:
    """Run a command line of ours in this process."""
    from edgeshrink.cli import run

    return run([str(word) for word in words])


def sentence(work: Callable[[], object]) -> int:
    """Run what a command would, and tell its failure as a command does."""
    from edgeshrink.cli.failures import tell

    try:
        work()
    except Exception as error:
        return tell(error, [])
    return 0


def in_file(
    change: Callable[[random.Random, bytes], bytes],
) -> Callable[[random.Random, Path], None]:
    """Return what changes the bytes of a file, or of one file of a folder."""

    def mutate(rng: random.Random, path: Path) -> None:
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file())
            # the graph and the notes are what is read most
            path = rng.choice([*files, *(p for p in files if p.suffix == ".pb")])
            if rng.random() < 0.05:
                path.unlink()
                return
        path.write_bytes(change(rng, path.read_bytes()))

    return mutate


def _text(change: Callable[[random.Random, str], str]) -> Callable[[random.Random, bytes], bytes]:
    def mutate(rng: random.Random, data: bytes) -> bytes:
        text = data.decode()
        if rng.random() < 0.15:
            return octets.mutated(rng, data)
        if rng.random() < 0.15:
            return strings.damaged(rng, text).encode()
        return change(rng, text).encode("utf-8", "replace")

    return mutate


def _table(rng: random.Random, data: bytes) -> bytes:
    lines = data.decode().splitlines()
    at = rng.randrange(len(lines))
    change = rng.randrange(5)
    if change == 0:
        del lines[at]
    elif change == 1:
        cells = lines[at].split(",")
        cells[rng.randrange(len(cells))] = strings.odd(rng)
        lines[at] = ",".join(cells)
    elif change == 2:
        lines[at] += "," * rng.choice((1, 1, 1000))
    elif change == 3:
        lines[at] = strings.damaged(rng, lines[at])
    else:
        return octets.mutated(rng, data)
    return "\n".join(lines).encode("utf-8", "replace")


def _model(path: Path, seeds: Path) -> int:
    """Do with a model what inspect does, TensorFlow being there."""
    return command("inspect", path)


def _data(path: Path, seeds: Path) -> int:
    """Read all samples of a data set."""

    def read() -> None:
        from edgeshrink.samples import load_dataset

        data = load_dataset(str(path))
        print(data.counts(), data.class_names, *data.notes)
        for part in data.subsets().values():
            data.values(part, range(len(part)))
        print(data.digest)

    return sentence(read)


def _fed(path: Path, seeds: Path) -> int:
    """Count the samples of a file that a model is fed with."""

    def read() -> None:
        from edgeshrink.tflite import count_samples, read_model, tensor_names

        flat = read_model((seeds / "tflite" / "float.tflite").read_bytes())
        known = tensor_names(flat)[0]
        print(count_samples(flat, {name: path for name in known}, known))

    return sentence(read)


def _tflite(path: Path, seeds: Path) -> int:
    return command("inspect", path) or command("pack", path, "-o", path.with_suffix(".esz"))


def _packed(path: Path, seeds: Path) -> int:
    return command("unpack", path, "-o", path.with_suffix(".tflite")) or command("inspect", path)


def _planned(seeds: Path, *words: str | Path) -> int:
    model, data = seeds / "keras" / "net.keras", seeds / "npz" / "stored.npz"
    return command("compress", model, "--data", data, "--dry-run", *words)


def _recipe(path: Path, seeds: Path) -> int:
    return _planned(seeds, "--recipe", path)


def _line(path: Path) -> list[str]:
    """Return the words of a command, whatever became of the list that held them."""
    text = path.read_bytes().decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text.split()
    return [str(word) for word in (found if isinstance(found, list) else [found])]


def _words(path: Path, seeds: Path) -> int:
    return _planned(seeds, *(word.replace("\x00", "") for word in _line(path)))


def _flags(path: Path, seeds: Path) -> int:
    """Read a line of flags as studies hold them, quotes and all."""

    def read() -> None:
        from edgeshrink.plugins import installed
        from edgeshrink.recipes import Recipe

        recipe = Recipe.from_text(" ".join(_line(path)), installed().methods)
        recipe.check_losses()
        print(recipe.to_toml())

    return sentence(read) and _words(path, seeds)


def _study(path: Path, seeds: Path) -> int:
    for name, of in (("x.keras", "keras/net.keras"), ("x.npz", "npz/stored.npz")):
        shutil.copy(seeds / of, path.parent / name)
        shutil.copy(seeds / of, path.parent / f"digits{Path(name).suffix}")
    return command("study", path, "--dry-run", "-o", path.parent)


def _profile(path: Path, seeds: Path) -> int:
    shown = command("devices", "show", path)
    # some compute in floats alone, some in integers alone
    return shown or min(_planned(seeds, *words, "--device", path) for words in ((), ("--int8",)))


def _report(path: Path, seeds: Path) -> int:
    codes = [command("report", path, "--format", form) for form in ("table", "markdown", "html")]
    most = ("--max-drop", "50", "--max-bytes", "1GB", "--max-ms", "p90<1000", "--max-arena", "1GB")
    codes.append(command("check", path, *most, "--no-larger", "--markdown", "-"))
    return max(*codes, command("compare", path, path), command("report", path, "--json"))


def _tables(path: Path, seeds: Path) -> int:
    shutil.copy(seeds / "study" / "own.toml", path.parent / "s.toml")
    for name, of in (("x.keras", "keras/net.keras"), ("x.npz", "npz/stored.npz")):
        shutil.copy(seeds / of, path.parent / name)
    return command("study", path.parent / "s.toml", "--retell", "-o", path.parent)


def _answer(path: Path, seeds: Path) -> int:
    def read() -> None:
        from edgeshrink.api import BenchPlan, DeviceProfile
        from edgeshrink_litert.answers import Answer
        from edgeshrink_litert.measured import device_info, measurement

        found = Answer(_json(path), "the device's runtime cannot be used")
        device = device_info(found.member("facts"), DeviceProfile("here"))
        model = seeds / "tflite" / "float.tflite"
        plan = BenchPlan("short", runs=3, seconds=0.01)
        timed = measurement(model, found.member("time"), device, plan, threads=1, kernels="xnnpack")
        print(timed.as_dict())

    return sentence(read)


def _measurement(path: Path, seeds: Path) -> int:
    """Read a measurement that an earlier run kept: what is no whole one is measured again."""
    from edgeshrink.devices import DeviceProfile
    from edgeshrink.engine.measuring.checkpoint import Kept
    from edgeshrink.models import Artifact, Kind

    def read() -> None:
        device = DeviceProfile("here")
        model = Artifact(seeds / "tflite" / "float.tflite", Kind.TFLITE)
        kept = Kept(path.parent / "kept")
        place = kept._file(device, model)
        place.parent.mkdir(parents=True)
        shutil.copy(path, place)
        found = kept.find(device, model)
        if found is not None and found.measurement is not None:
            print(found.measurement.as_dict())

    return sentence(read)


def _json(path: Path) -> object:
    """Return a device's JSON as the runner's reader parses it: None for what is no object."""
    from edgeshrink_litert.runner.result import _mapping

    return _mapping(path.read_bytes().decode("utf-8", "replace"))


BYTES, JSON, TOML = octets.mutated, _text(trees.json_text), _text(trees.toml_text)
FORMATS: dict[str, Format] = {
    "keras": Format(in_file(archives.mutated), _model),
    "h5": Format(in_file(BYTES), _model),
    "savedmodel": Format(in_file(BYTES), _model),
    "npz": Format(in_file(archives.mutated), _data),
    "npy": Format(
        in_file(lambda rng, data: (archives.npy if rng.random() < 0.7 else BYTES)(rng, data)), _fed
    ),
    "csv": Format(in_file(_table), _data),
    "images": Format(in_file(BYTES), _data),
    "sound": Format(in_file(BYTES), _data),
    "masks": Format(in_file(BYTES), _data),
    "zip": Format(in_file(archives.mutated), _data),
    "tflite": Format(in_file(BYTES), _tflite),
    "esz": Format(in_file(BYTES), _packed),
    "recipe": Format(in_file(TOML), _recipe),
    "study": Format(in_file(TOML), _study),
    "profile": Format(in_file(TOML), _profile),
    "words": Format(in_file(JSON), _flags),
    "report": Format(in_file(JSON), _report),
    "tables": Format(in_file(JSON), _tables),
    "answer": Format(in_file(JSON), _answer),
    "measurement": Format(in_file(JSON), _measurement),
}
