"""What kind of model a file holds, told by its content in milliseconds and without TensorFlow."""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from edgeshrink.errors import ModelError, UsageError, near
from edgeshrink.models.artifact import Kind
from edgeshrink.texts import check_ends

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# A packed file begins so, or as a zlib stream; docs/reference/esz.md tells the format.
PACKED_MAGIC, ZLIB = b"\xe5SZ", 0x78
ARCHIVE_MEMBERS = ("config.json", "metadata.json")
SKOPS_MEMBER = "schema.json"  # of an archive in which skops keeps a model of scikit-learn
PICKLES = tuple(bytes((0x80, number)) for number in (2, 3, 4, 5))  # how a pickle begins

# What no honest file needs: deflate cannot do better than 1:1032, so only a member of one repeated
# byte comes near the first ratio; one-hot labels of a thousand classes come near 1:500.
MAX_MEMBERS = 10_000
MAX_TEXT_BYTES = 64 << 20
MAX_TOTAL_BYTES = 64 << 30
RATIOS = ((1000, 16 << 20), (100, 1 << 30))  # each matters from so many bytes on

# libhdf5 crashes the process on some damaged files (a segmentation fault on single flipped bytes),
# so that all its objects are looked at in a child before this process opens the file.
_READ_HDF5 = """
import json, sys
import h5py

def text(value):
    return value.decode() if isinstance(value, bytes) else value

def look(item):
    dict(item.attrs)
    getattr(item, "shape", None)

with h5py.File(sys.argv[1], "r") as file:
    names = ("keras_version", "model_config", "training_config")
    found = {name: text(file.attrs.get(name)) for name in names}
    assert all(value is None or isinstance(value, str) for value in found.values())
    file.visititems(lambda _, item: look(item))
json.dump(found, sys.stdout)
"""

_EMPTY = "a model file must hold a model; {} is empty (0 bytes)"
_RESAVE = "save it again with model.save('model.keras')"
_COPY_AGAIN = "copy or download it again"


def identify(path: Path) -> Kind:
    """Return what the model at `path` is, by its content; its name does not matter.

    Args:
        path: a .keras archive, an .h5, .tflite or .esz file or the folder of a SavedModel.

    Raises:
        UsageError: there is nothing at `path`.
        ModelError: what is there is not a whole model.
    """
    require_path(path)
    if path.is_dir():
        return _identify_folder(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}") from error
    if not head:
        raise ModelError(_EMPTY.format(path.name), hint=_COPY_AGAIN)
    if head.startswith(b"version https://git-lfs"):
        raise ModelError(
            f"{path.name} is a Git LFS pointer, not the model that it points to",
            hint="run `git lfs pull` in the repository it comes from",
        )
    if head[4:8] == b"TFL3":
        return Kind.TFLITE
    if head[:3] == PACKED_MAGIC or (head[0] == ZLIB and path.suffix == Kind.PACKED.suffix):
        return Kind.PACKED
    if head.startswith(HDF5_MAGIC):
        return keras_kind(hdf5_version(path), path)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        _refuse_estimator(path)
        return keras_kind(archive_json(path, "metadata.json").get("keras_version"), path)
    if head[:2] in PICKLES:
        raise ModelError(
            f"{path.name} is a pickle, which runs code when it is read, and is not read here",
            hint="of a scikit-learn model that skops saved, `edgeshrink compress` makes a small "
            "Keras net",
        )
    if _is_text(head):
        raise ModelError(
            f"a model file must be a .keras archive, HDF5 or .tflite; {path.name} is text",
            hint=f"it begins with {head[:40].decode('utf-8', 'replace').splitlines()[0]!r}",
        )
    raise ModelError(
        f"a model file must be a .keras archive, HDF5, .tflite or a SavedModel folder; "
        f"{path.name} is none of them",
        hint=f"its first bytes are {head[:8].hex(' ')}; {_RESAVE}",
    )


def require_path(path: Path, *, what: str = "model file") -> None:
    """Raise a UsageError with near matches if there is nothing at `path`, or what never ends."""
    try:
        exists = path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a null byte
        exists = False
    if exists:
        check_ends(path, what)
        return
    try:
        known = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")]
    except (OSError, ValueError):
        raise UsageError(f"no {what} {str(path)!r}: there is no such folder") from None
    hint = near(path.name, known, otherwise=" ")
    raise UsageError(f"no {what} {str(path)!r}", hint=hint.strip())


def keras_kind(version: object, path: Path) -> Kind:
    """Return KERAS or KERAS2 for the version of Keras that saved a file."""
    major = str(version or "").partition(".")[0]
    if not major.isdigit():
        raise ModelError(
            f"{path.name} must say which version of Keras saved it; received {version!r}",
            hint=_RESAVE,
        )
    return Kind.KERAS if int(major) >= 3 else Kind.KERAS2


def archive_json(path: Path, member: str) -> dict[str, Any]:
    """Return one JSON member of a .keras archive, after checking that the archive is sound.

    Raises:
        ModelError: the archive is truncated, not a model, a zip bomb, or its JSON is malformed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive, path)
            with archive.open(member) as stream:
                return _parsed(stream, member, path)
    except (
        zipfile.BadZipFile,  # truncated, or a checksum that is off
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,  # encrypted
        NotImplementedError,  # a compression that Python lacks
        OverflowError,
        ValueError,  # offsets that point outside
    ) as error:
        raise ModelError(
            f"{path.name} is a truncated or damaged .keras archive: {error or 'it ends early'}",
            hint=_COPY_AGAIN,
        ) from error


def hdf5_version(path: Path) -> str:
    """Return the version of Keras in an HDF5 model, "2" for files older than the attribute.

    Raises:
        ModelError: the file is damaged or holds weights only.
    """
    attributes = hdf5_attributes(path, "keras_version", "model_config")
    if attributes["model_config"] is None:
        raise ModelError(
            f"{path.name} holds weights only, without the model that they belong to",
            hint="save the whole model: model.save('model.keras')",
        )
    return attributes["keras_version"] or "2"


def hdf5_attributes(path: Path, *names: str) -> dict[str, str | None]:
    """Return attributes of an HDF5 file's root as text; None for those that it lacks.

    Args:
        path: the file.
        names: of keras_version, model_config and training_config.

    Raises:
        ModelError: the file is truncated or damaged.
    """
    status = path.stat()
    found = _hdf5_attributes(path.resolve(), status.st_size, status.st_mtime_ns)
    return {name: found.get(name) for name in names}


@functools.lru_cache(maxsize=16)
def _hdf5_attributes(path: Path, size_bytes: int, changed_ns: int) -> dict[str, str | None]:
    """Read a file's attributes in a child; size and time make the cache see a new file."""
    told = subprocess.run(
        [sys.executable, "-P", "-c", _READ_HDF5, str(path)], capture_output=True, check=False
    )
    try:
        found = json.loads(told.stdout) if told.returncode == 0 else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ModelError(f"{path.name} is a truncated or damaged HDF5 file", hint=_COPY_AGAIN)
    return found


def _refuse_estimator(path: Path) -> None:
    """Raise a ModelError where a zip is no .keras archive, but what skops saved."""
    with contextlib.suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if SKOPS_MEMBER in names and ARCHIVE_MEMBERS[0] not in names:
            raise ModelError(
                f"{path.name} holds a model of scikit-learn, which is not read here",
                hint="`edgeshrink compress` makes a small Keras net of it",
            )


def _identify_folder(path: Path) -> Kind:
    if (path / "saved_model.pb").is_file():
        for held in path.rglob("*"):  # TensorFlow opens what lies in it
            check_ends(held, "file of a SavedModel")
        return Kind.SAVEDMODEL
    if all((path / name).is_file() for name in ARCHIVE_MEMBERS):
        raise ModelError(
            f"{path.name} is an unpacked .keras archive",
            hint="put its files into one zip archive named model.keras",
        )
    raise ModelError(
        f"a folder must be a SavedModel; {path.name} has no saved_model.pb",
        hint="give the model file inside it, or the folder that model.export() wrote",
    )


def _check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ModelError(
            f"a .keras archive may have {MAX_MEMBERS:,} members; {path.name} has {len(members):,}"
        )
    names = {m.filename for m in members}
    if len(names) < len(members):  # readers differ in which of two they take
        raise ModelError(f"a .keras archive may hold a file once; {path.name} has some twice")
    for name in ARCHIVE_MEMBERS:
        if name not in names:
            raise ModelError(
                f"a .keras archive must hold config.json and metadata.json; "
                f"{path.name} lacks {name}",
                hint="it is a zip file of something else, or was truncated",
            )
    for member in members:
        if member.filename in ARCHIVE_MEMBERS and member.file_size > MAX_TEXT_BYTES:
            _refuse_bomb(path, f"{member.filename} would unpack to {member.file_size:,} bytes")
    if why := swollen(members):
        _refuse_bomb(path, why)


def swollen(members: list[zipfile.ZipInfo]) -> str:
    """Return why the members of an archive are too large for their packed size, or an empty text.

    Args:
        members: all of them; nothing of them is unpacked for it.
    """
    for member in members:
        packed = max(member.compress_size, 1)
        for ratio, least in RATIOS:
            if member.file_size > least and member.file_size > ratio * packed:
                return f"{member.filename} would unpack to over {ratio} times its size"
    total = sum(member.file_size for member in members)
    return f"it would unpack to {total:,} bytes" if total > MAX_TOTAL_BYTES else ""


def _refuse_bomb(path: Path, why: str) -> None:
    raise ModelError(f"{path.name} looks like a zip bomb: {why}", hint=_RESAVE)


def _parsed(stream: IO[bytes], member: str, path: Path) -> dict[str, Any]:
    text = stream.read(MAX_TEXT_BYTES + 1)
    return parsed_json(text, f"{member} in {path.name}")


def parsed_json(text: str | bytes, where: str) -> dict[str, Any]:
    """Return the JSON object in `text`; a ModelError says `where` it is malformed."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where} is not JSON: {error}", hint=_RESAVE) from error
    if not isinstance(value, dict):
        raise ModelError(f"{where} must be a JSON object", hint=_RESAVE)
    return value


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # a character may be cut at the end of what was read
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return bool(text.strip()) and all(c.isprintable() or c.isspace() for c in text)
