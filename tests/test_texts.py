"""Texts from outside: within bounds, of the right types, and shown so that they steer nothing."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from paths import ROOT

from edgeshrink import cli
from edgeshrink.cli.display.tables import console_on
from edgeshrink.errors import EdgeshrinkError, RecipeError, UsageError
from edgeshrink.results import json_text
from edgeshrink.samples import load_dataset
from edgeshrink.texts import check_ends, from_json, from_toml, read_text, shown, shown_json, typed

HOSTILE = "a\x1b[31mred\x9b2J\x07\u202eb\u2066c\x7f"
SAFE = "a\\x1b[31mred\\x9b2J\\x07\\u202eb\\u2066c\\x7f"


@dataclass(frozen=True)
class Inner:
    size: int
    share: float = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner | None
    many: tuple[Inner, ...] = ()
    pair: tuple[int, str] = (0, "")
    table: Mapping[str, float] | None = None
    kind: Literal["a", "b"] = "a"
    anything: Any = None


def test_what_is_right_is_taken() -> None:
    document = json.loads(
        '{"name": "x", "inner": {"size": 1, "share": null, "more": 1}, "many": [{"size": 2}],'
        ' "pair": [1, "y"], "table": {"z": 1}, "kind": "b", "anything": [1, {}]}'
    )
    found = typed(Outer, document, "it")
    assert found.inner is not None
    assert found.inner.share != found.inner.share  # nan
    assert found.many == (Inner(2),)
    assert (found.pair, found.table, found.kind) == ((1, "y"), {"z": 1.0}, "b")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 1}, "it.name must be text; received 1"),
        ({"inner": []}, "it.inner must be an object; received []"),
        ({"inner": {}}, "it.inner is not whole: it has no size"),
        ({"inner": {"size": True}}, "it.inner.size must be a whole number; received True"),
        ({"inner": {"size": 10**30}}, "it.inner.size must be a whole number below 2**63"),
        ({"inner": {"size": 1, "share": "x"}}, "it.inner.share must be a number; received 'x'"),
        ({"many": {"size": 1}}, "it.many must be a list"),
        ({"many": [{"size": 1}, 3]}, "it.many[1] must be an object; received 3"),
        ({"pair": [1]}, "it.pair must be a list of 2; received [1]"),
        ({"table": {"z": "1"}}, "it.table.z must be a number; received '1'"),
        ({"kind": "c"}, "it.kind must be 'a' or 'b'; received 'c'"),
        ({"name": ...}, "it is not whole: it has no name"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], said: str) -> None:
    document = {"name": "x", "inner": None, **change}
    document = {key: value for key, value in document.items() if value is not ...}
    with pytest.raises(EdgeshrinkError) as caught:
        typed(Outer, document, "it")
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("deep", [250, 5_000, 100_000])
def test_deep_nesting_is_a_sentence(deep: int) -> None:
    with pytest.raises(EdgeshrinkError, match="nested too deep"):
        from_json('{"a": ' + "[" * deep + "]" * deep + "}", "it")
    with pytest.raises(RecipeError, match="nested too deep"):
        from_toml("a = " + "[" * deep + "]" * deep, "it", RecipeError)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [(_pipe, "a pipe"), (_socket, "a socket"), (lambda p: p.symlink_to("/dev/zero"), "a device")],
)
def test_what_never_ends_is_refused_as_any_input(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    make: Callable[[Path], None],
    kind: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("m.keras", "d.npz", "r.toml", "s.tflite", "e.esz", "t.report.json")
    for name in names:
        make(tmp_path / name)
    images = tmp_path / "images" / "one"
    images.mkdir(parents=True)
    make(images / "0.png")
    model = tmp_path / "model.keras"
    model.write_bytes(b"")
    for words in (
        ["inspect", "m.keras"],
        ["inspect", "s.tflite"],
        ["unpack", "e.esz"],
        ["compress", "m.keras", "--int8"],
        ["compress", "model.keras", "--recipe", "r.toml"],
        ["study", "r.toml", "--dry-run"],
        ["bench", "s.tflite"],
        ["bench", "s.tflite", "--data", "d.npz"],
        ["pack", "s.tflite"],
    ):
        assert cli.run(words) == 2, words
        said = capfd.readouterr().err
        assert f"is {kind}" in said, words
    for words in (["report", "t.report.json"], ["devices", "show", "./r.toml"]):
        assert cli.run(words) == 2, words
    with pytest.raises(UsageError, match=kind):
        load_dataset(str(tmp_path / "images"))


def test_folders_are_no_texts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"recipe .* cannot be read: Is a directory"):
        read_text(tmp_path, "recipe")
    with pytest.raises(UsageError, match="no recipe file"):
        read_text(tmp_path / "none", "recipe")
    with pytest.raises(UsageError, match="null byte"):
        read_text(tmp_path / "a\0b", "recipe")
    check_ends(tmp_path, "recipe")


def test_text_is_shown_with_what_would_steer_spelled_out() -> None:
    assert shown(HOSTILE) == SAFE
    assert shown(SAFE) == SAFE
    assert shown("two\tlines\nµ 日本 é") == "two\tlines\nµ 日本 é"
    document = json_text({HOSTILE: HOSTILE, "\\x1b": "\\u202e"})
    assert json.loads(document) == {HOSTILE: HOSTILE, "\\x1b": "\\u202e"}
    assert document == shown_json(document) == shown(document)


def test_a_console_shows_names_safely(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    from rich.table import Table

    to = console_on(sys.stdout)
    to.print(HOSTILE)
    table = Table(HOSTILE)
    table.add_row(HOSTILE)
    to.print(table)
    said = capsys.readouterr().out
    assert SAFE.replace("\\x07", "") in said  # Rich leaves bells out
    assert shown(said) == said


def test_a_command_shows_names_of_files_safely(capfd: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["inspect", HOSTILE],
        ["compress", HOSTILE, "--int8"],
        [HOSTILE],
        ["--" + HOSTILE],
    ):
        assert cli.run(words) == 2
        told = capfd.readouterr()
        assert shown(told.out + told.err) == told.out + told.err, words


def test_every_line_of_commands_is_said_in_one_place() -> None:
    """`print` and `typer.echo` write as they are told: they stand where the text is ours."""
    own = {"say.py": 1, "shared.py": 1, "device_work.py": 1, "app.py": 2, "supervisor.py": 1}
    found = {
        path.name: count
        for path in (ROOT / "src" / "edgeshrink" / "cli").rglob("*.py")
        if (count := sum(map(path.read_text().count, (" print(", "typer.echo("))))
    }
    assert found == own
