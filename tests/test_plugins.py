from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from edgeshrink.plugins import GROUP, Plugins

HEAD = """
from dataclasses import dataclass
from typing import Annotated
from edgeshrink.api import *

def method(name, options=NoOptions, **more):
    values = {"title": name, "phase": Phase.PRUNE, "__doc__": "Do.", "apply": lambda s, m, c: m}
    return type(name.title(), (Method,), {"name": name, "Options": options, **values, **more})
"""
Write = Callable[..., EntryPoint]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a plugin's module and return its entry point."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def make(name: str, body: str, head: str = HEAD) -> EntryPoint:
        module = f"plugin_{name}_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(head + body, encoding="utf-8")
        return EntryPoint(name, module, GROUP)

    yield make
    for name in set(sys.modules) - before:
        if name.startswith("plugin_"):
            del sys.modules[name]


def methods(*classes: str) -> str:
    return f"\n@hookimpl\ndef edgeshrink_methods():\n    return [{', '.join(classes)}]\n"


GOOD = methods('method("good")')


def test_a_good_plugin_adds_its_method(write: Write) -> None:
    plugins = Plugins([write("fine", GOOD)])
    assert list(plugins.methods) == ["good"]
    assert plugins.owners[plugins.methods["good"]] == "fine"
    assert plugins.warnings == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (
            "import no_such_module_here",
            "ModuleNotFoundError: No module named 'no_such_module_here'",
        ),
        ("raise RuntimeError('one\\ntwo')", "RuntimeError: one"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def (:", "SyntaxError: invalid syntax"),
        ("@hookimpl\ndef edgeshrink_metods(): return []", "PluginValidationError: unknown hook"),
        ("@hookimpl\ndef edgeshrink_methods(nonsense): return []", "PluginValidationError: "),
    ],
)
def test_a_broken_plugin_is_left_out_in_one_line_that_names_it(
    write: Write, body: str, why: str
) -> None:
    plugins = Plugins([write("broken", body), write("fine", GOOD)])
    assert list(plugins.methods) == ["good"]
    (warning,) = plugins.warnings
    assert warning.startswith("plugin 'broken' was left out: ")
    assert why in warning
    assert "\n" not in warning
    assert [one.name for one in plugins.loaded if one.error] == ["broken"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("@hookimpl\ndef edgeshrink_methods():\n    1 / 0", "ZeroDivisionError: division by zero"),
        ("@hookimpl\ndef edgeshrink_methods():\n    exit(1)", "SystemExit: 1"),
        ("@hookimpl\ndef edgeshrink_methods(): pass", "TypeError"),
        (methods("3"), "3 is no Method"),
        (methods("Method"), "Method has no apply"),
        (methods('method("Bad Name")'), "the name of Bad Name is 'Bad Name', not snake_case"),
        (methods('method("help")'), "--help already belongs to edgeshrink itself"),
        (methods('method("epochs")'), "--epochs already belongs to edgeshrink itself"),
        (methods('method("batch_size")'), "--batch-size already belongs to edgeshrink itself"),
        (methods('method("no_good")'), "--no-good already belongs to plugin 'fine'"),
        (methods('method("good")'), "'fine' already has a method 'good'"),
        (
            "class Options:\n    share: int = 3\n" + methods('method("thin", Options)'),
            "edgeshrink_methods raised TypeError: must be called with a dataclass",
        ),
    ],
)
def test_what_a_plugin_adds_wrongly_is_left_out_and_the_rest_stays(
    write: Write, body: str, why: str
) -> None:
    plugins = Plugins([write("fine", GOOD), write("wrong", body)])
    assert list(plugins.methods) == ["good"]
    (warning,) = plugins.warnings
    assert warning.startswith("part of plugin 'wrong' was left out: ")
    assert why in warning


def test_an_option_may_not_be_spelled_like_another_method(write: Write) -> None:
    options = "@dataclass\nclass Options:\n    extra: Annotated[bool, Flag('Extra.')] = False\n"
    first = write("first", options + methods('method("thin", Options)'))
    second = write("second", methods('method("thin_extra")', 'method("no_thin_extra")'))
    plugins = Plugins([first, second])
    assert list(plugins.methods) == ["thin"]
    assert plugins.warnings == [
        "part of plugin 'second' was left out: --thin-extra already belongs to plugin 'first'",
        "part of plugin 'second' was left out: --no-thin-extra already belongs to plugin 'first'",
    ]


def test_a_reporter_without_a_name_is_left_out(write: Write) -> None:
    body = (
        "class Bad(Reporter):\n    def render(self, report): return ''\n"
        "    def compare(self, reports): return ''\n"
        "@hookimpl\ndef edgeshrink_reporters(): return [Bad]\n"
    )
    plugins = Plugins([write("nameless", body)])
    assert plugins.reporters == {}
    assert plugins.warnings == [
        "part of plugin 'nameless' was left out: the name of Bad is None, not snake_case"
    ]


def test_a_slow_plugin_is_named(write: Write) -> None:
    body = "import time\nwhile time.process_time() < " + f"{time.process_time() + 0.25}: pass\n"
    plugins = Plugins([write("slow", body + GOOD)])
    (warning,) = plugins.warnings
    assert warning.startswith("plugin 'slow' takes ")
    assert list(plugins.methods) == ["good"]


def test_a_heavy_plugin_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    body = "import sys, types; sys.modules['torch'] = types.ModuleType('torch')" + GOOD
    plugins = Plugins([write("heavy", body)])
    sys.modules.pop("torch", None)
    (warning,) = plugins.warnings
    assert warning.startswith("plugin 'heavy' imports torch when it is loaded (")
    assert plugins.loaded[0].heavy == ("torch",)


def test_an_observer_that_is_registered_is_asked_and_can_leave(write: Write) -> None:
    plugins = Plugins(
        [
            write(
                "fine",
                "heard = []\n@hookimpl\ndef edgeshrink_measured(result):\n"
                "    heard.append(result)\n",
            )
        ]
    )
    plugins.hook.edgeshrink_measured(result=3)
    module = next(m for n, m in sys.modules.items() if n.startswith("plugin_fine"))
    assert module.heard == [3]
    plugins.unregister("fine")
    plugins.hook.edgeshrink_measured(result=4)
    assert module.heard == [3]
    plugins.unregister("fine")  # a second time is no error


def test_readers_of_strangers_join_and_what_is_none_is_left_out(write: Write) -> None:
    def readers(text: str) -> str:
        return f"\n@hookimpl\ndef edgeshrink_readers():\n    return [{text}]\n"

    row = 'Refusal("four bits", weights=("int4",))'
    head = HEAD + "from edgeshrink.tflite import Refusal\n"
    fine = write("fine", readers(f'Reader("chip", "Chip 1.0", ({row},))'), head)
    plugins = Plugins([fine, write("wrong", readers('3, Reader("chip", "Another")'))])
    assert [one.title for one in plugins.readers.values()] == ["Chip 1.0"]
    assert plugins.warnings == [
        "part of plugin 'wrong' was left out: 3 is no Reader",
        "part of plugin 'wrong' was left out: there is a reader 'chip' already",
    ]
