"""A report: the ledger of a run with all that is needed to read it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from edgeshrink.devices import DeviceInfo
from edgeshrink.errors import EdgeshrinkError, UsageError
from edgeshrink.part import version_of
from edgeshrink.results.figures import Figures
from edgeshrink.results.ledger import Ledger
from edgeshrink.results.robustness import Robustness
from edgeshrink.results.rules import Rule
from edgeshrink.results.verdict import Verdict
from edgeshrink.texts import from_json, read_text, shortly, shown_json, typed

T = TypeVar("T")

SCHEMA = 3
# the versions that a report tells
VERSIONED = ("edgeshrink", "tensorflow", "keras", "ai-edge-litert", "numpy", "pillow")


@dataclass(frozen=True)
class Report:
    """What a run found.

    Attributes:
        model: path of the base.
        output: path of the result.
        command: what was typed, or called.
        recipe: the TOML that makes it again.
        devices: the profiles that it was made for and measured on, by name, with what each device
            said of itself, if it was reached.
        data: the data set in words and counts; empty without data.
        ledger: one row a stage.
        notes: sentences that belong to no row.
        snippet: a short Python program that runs the result.
        versions: of what took part, by distribution.
        verdict: what the result is worth beside the base.
        failed: why the run ends in exit code 4, or empty.
        robustness: scores on perturbed test images, where that was asked for.
        rules: the budgets that were asked for, kept or not.
        schema: of this document.
    """

    model: str
    output: str
    command: str
    recipe: str
    devices: Mapping[str, DeviceInfo | None]
    data: Mapping[str, Any]
    ledger: Ledger
    verdict: Verdict
    notes: tuple[str, ...] = ()
    snippet: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    failed: str = ""
    robustness: Robustness | None = None
    rules: tuple[Rule, ...] = ()
    schema: int = SCHEMA

    def figures(self) -> tuple[Figures, Figures]:
        """Return the figures of the result, and those of the base as a float file."""
        ledger, verdict = self.ledger, self.verdict
        found = Figures(
            "the result",
            ledger.final.size_bytes,
            {"": verdict},
            ledger.final.on,
            self.devices,
            str(self.data.get("digest", "")),
            ledger.base.digest,
        )
        base = replace(
            found,
            name="the float base",
            size_bytes=ledger.uncompressed.size_bytes,
            verdicts={"": replace(verdict, after=verdict.before)},
            on=ledger.uncompressed.on,
        )
        return found, base

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; ratios, significance and the verdict are written out."""
        document = asdict(self)
        document["verdict"] |= {"outcome": self.verdict.outcome, "text": str(self.verdict)}
        document["ledger"] = {
            "weight_bytes": self.ledger.weight_bytes,
            "rows": [
                {
                    **asdict(row),
                    "on_disk": self.ledger.on_disk(row),
                    "download": self.ledger.download(row),
                    "sparsity": row.sparsity,
                    "significant": row.significant,
                }
                for row in self.ledger.rows
            ],
        }
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Report:
        """Return the report that `as_dict` wrote.

        Args:
            document: its plain JSON values.

        Raises:
            EdgeshrinkError: it is no whole report, or one of another schema; the message names
                what is missing or wrong.
        """
        schema = document.get("schema")
        if schema != SCHEMA:
            raise EdgeshrinkError(
                f"a report of schema {SCHEMA} is needed; received {shortly(schema)}",
                hint="make the report again with this version",
            )
        found = typed(cls, document, "the report")
        if not found.ledger.rows:
            raise EdgeshrinkError("the report is not whole: its ledger has no rows")
        return replace(found, verdict=found.verdict.accepting())

    @classmethod
    def read(cls, path: Path) -> Report:
        """Return the report in a file, a run folder, or beside an output file.

        Args:
            path: a .json file, a run folder, or a file with a .report.json beside it.

        Raises:
            UsageError: there is none.
            EdgeshrinkError: what is there is no report.
        """
        return read_document(path, cls.from_dict)


def read_document(path: Path, read: Callable[[dict[str, Any]], T]) -> T:
    """Return what a JSON document says that is a file, in a run folder, or beside an output file.

    Args:
        path: a .json file, a run folder, or a file with a .report.json beside it.
        read: makes of the document what is returned; its errors get the file's name.

    Raises:
        UsageError: there is none, or the one beside the output tells of another output.
        EdgeshrinkError: it is no JSON, or what `read` raises.
    """
    places = (path / "report.json", path.with_suffix(".report.json"), path)
    file = next((p for p in places if p.is_file() and p.suffix == ".json"), None)
    if file is None:
        raise UsageError(
            f"no report in {str(path)!r}",
            hint="name a run folder, a .report.json file, or the .tflite beside it",
        )
    try:
        document = from_json(read_text(file, "report"), str(file))
        if other := _of_another(document, path):
            raise UsageError(
                f"{file.name} tells of {other}, not of {path.name}",
                hint=f"name {other} or {file.name}, or make {path.name} again",
            )
        return read(document)
    except EdgeshrinkError as error:
        if str(file) in str(error):
            raise
        raise type(error)(f"{file}: {error}", hint=error.hint) from error


def _of_another(document: Any, path: Path) -> str:
    """Return the output that a report beside `path` tells of, where it is of another kind."""
    told = document.get("output") if isinstance(document, dict) else None
    name = Path(told).name if isinstance(told, str) else ""
    ours = path.is_dir() or path.suffix in (".json", Path(name).suffix)
    return "" if ours or not name else name


def json_text(document: Any) -> str:
    """Return values as indented JSON; nan and infinity, which JSON does not know, become null.

    Args:
        document: mappings, lists, tuples, texts, numbers, booleans and None; keys become texts.

    Raises:
        TypeError: there is another kind of value.
    """
    text = json.dumps(_plain(document), indent=1, ensure_ascii=False, allow_nan=False)
    return shown_json(text)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def versions() -> dict[str, str]:
    """Return the versions of what decides a result, by distribution; empty for one not there."""
    return {name: version_of(name) for name in VERSIONED}
