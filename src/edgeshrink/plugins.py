"""Find plugins, load them, and ask them what they add."""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from edgeshrink import hookspecs
from edgeshrink.devices import (
    HERE,
    Exporter,
    Reader,
    Runtime,
    Target,
    available_profiles,
    user_folder,
)
from edgeshrink.errors import PluginError
from edgeshrink.flag import options_of
from edgeshrink.part import CORE_PARTS, Package, Part
from edgeshrink.recipes import Method
from edgeshrink.results import Merit, Metric, Reporter

GROUP = "edgeshrink"
HEAVY = ("tensorflow", "keras", "numpy", "ai_edge_litert", "torch", "jax", "h5py")
SLOW_MS = 200.0
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

# The flags of `edgeshrink compress` itself, by key, which no method may take. A test holds this
# list against the command.
CORE_KEYS = frozenset(
    (
        *(
            "at",
            "clip_seconds",
            "custom",
            "data",
            "data_free",
            "debug",
            "device",
            "dry_run",
            "export",
            "force",
            "group_column",
            "help",
            "ignore_columns",
            "input_shape",
        ),
        *(
            "json",
            "label_column",
            "larger",
            "max_arena",
            "max_bytes",
            "max_drop",
            "max_ms",
            "metric",
            "no_flip",
            "no_larger",
            "no_robustness",
            "no_slower",
            "o",
            "output",
            "preprocess",
            "recipe",
            "resize",
            "robustness",
            "robustness_samples",
            "rules",
            "run",
            "slower",
            "ssh_config",
            "step",
            "task",
            "toolchain",
            "trust_profile",
            "unsafe",
            "window",
            "window_label",
            "window_step",
        ),
        *("alpha", "batch_size", "calibration", "effort", "epoch_size", "epochs", "flip"),
        *("class_weight", "decode", "loss", "lr", "max_epochs"),
        *("rules", "seed", "shift", "teacher", "temperature", "time"),
    )
)


@dataclass(frozen=True)
class Loaded:
    """What is known of one plugin after an attempt to load it."""

    name: str
    distribution: str
    version: str
    milliseconds: float
    heavy: tuple[str, ...] = ()
    error: str = ""


class Plugins:
    """All installed plugins, and what they add.

    Attributes:
        loaded: one entry a plugin, the broken ones with their error.
        warnings: a line for each plugin, or part of one, that was left out or is slow.
        owners: the plugin that added a class, by class.
    """

    def __init__(self, entry_points: Iterable[importlib.metadata.EntryPoint]) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self.hook = self._manager.hook
        self.loaded: list[Loaded] = []
        self.warnings: list[str] = []
        self.owners: dict[type, str] = {}
        for entry in entry_points:
            self._load(entry)

    def register(self, plugin: object, name: str) -> None:
        """Add a plugin object, such as a display that watches a run."""
        self._manager.register(plugin, name=name)
        self._forget()

    def has(self, name: str) -> bool:
        """Return whether a plugin of this name is there."""
        return bool(self._manager.has_plugin(name))

    def unregister(self, name: str) -> None:
        """Take a plugin off again, if it is there."""
        if self.has(name):
            self._manager.unregister(name=name)
        self._forget()

    def _forget(self) -> None:
        """Ask plugins anew: what they add has changed."""
        for name, value in vars(type(self)).items():
            if isinstance(value, functools.cached_property):
                self.__dict__.pop(name, None)

    def _load(self, entry: importlib.metadata.EntryPoint) -> None:
        # of this process alone: on a busy machine any plugin takes long by the clock
        before, started, error = set(sys.modules), time.process_time(), ""
        try:
            self._manager.register(entry.load(), name=entry.name)
            self._manager.check_pending()
        except (Exception, SystemExit) as problem:
            # the plugin boundary: whatever a stranger's code raises must not take us down
            error = _said(problem)
            self.unregister(entry.name)
            self.warnings.append(f"plugin {entry.name!r} was left out: {error}")
        milliseconds = (time.process_time() - started) * 1e3
        heavy = tuple(name for name in HEAVY if name in sys.modules and name not in before)
        if heavy:
            self.warnings.append(
                f"plugin {entry.name!r} imports {', '.join(heavy)} when it is loaded "
                f"({milliseconds:.0f} ms at every start)"
            )
        elif milliseconds > SLOW_MS:
            self.warnings.append(f"plugin {entry.name!r} takes {milliseconds:.0f} ms to load")
        dist = entry.dist
        self.loaded.append(
            Loaded(
                entry.name,
                dist.name if dist else "?",
                dist.version if dist else "?",
                milliseconds,
                heavy,
                error,
            )
        )

    def _ask(self, hook: str) -> list[tuple[str, Any]]:
        """Return each plugin's answers to a hook that adds, with the plugin's name."""
        answers = []
        for implementation in getattr(self.hook, hook).get_hookimpls():
            name = implementation.plugin_name
            try:
                answers += [(name, answer) for answer in implementation.function()]
            except (Exception, SystemExit) as problem:  # the plugin boundary, as above
                self._leave_out(name, f"{hook} raised {_said(problem)}")
        return answers

    def _classes(self, hook: str, base: type) -> list[tuple[str, Any]]:
        """Return the classes that plugins add, without those that are not what they should be."""
        found: dict[str, tuple[str, Any]] = {}
        for plugin, cls in self._ask(hook):
            kind, name = base.__name__, getattr(cls, "name", None)
            if not (isinstance(cls, type) and issubclass(cls, base)):
                self._leave_out(plugin, f"{cls!r} is no {kind}")
            elif inspect.isabstract(cls):
                missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
                self._leave_out(plugin, f"{cls.__qualname__} has no {missing}")
            elif not isinstance(name, str) or not NAME.fullmatch(name):
                self._leave_out(
                    plugin, f"the name of {cls.__qualname__} is {name!r}, not snake_case"
                )
            elif name in found:
                self._leave_out(plugin, f"{found[name][0]!r} already has a {kind.lower()} {name!r}")
            else:
                found[name] = (plugin, cls)
                self.owners[cls] = plugin
        return list(found.values())

    def _leave_out(self, plugin: str, why: str) -> None:
        self.warnings.append(f"part of plugin {plugin!r} was left out: {why}")

    @functools.cached_property
    def methods(self) -> Mapping[str, type[Method]]:
        """Methods by name, in the order of their phases; no two flags are spelled alike."""
        taken = {_spelling(key): "edgeshrink itself" for key in CORE_KEYS}
        kept: list[type[Method]] = []
        for plugin, method in self._classes("edgeshrink_methods", Method):
            try:
                spelled = list(_spellings(method))
            except (PluginError, TypeError, NameError) as problem:  # its Options cannot be read
                self._leave_out(plugin, f"method {method.name!r}: {_said(problem)}")
                continue
            clash = next((s for s in spelled if s in taken), None)
            if clash:
                self._leave_out(plugin, f"--{clash} already belongs to {taken[clash]}")
                continue
            taken |= dict.fromkeys(spelled, f"plugin {plugin!r}")
            kept.append(method)
        return {m.name: m for m in sorted(kept, key=lambda m: (m.phase, m.name))}

    @functools.cached_property
    def targets(self) -> Mapping[str, type[Target]]:
        """Targets by name."""
        return {c.name: c for _, c in self._classes("edgeshrink_targets", Target)}

    @functools.cached_property
    def runtimes(self) -> Mapping[str, type[Runtime]]:
        """Runtimes by name."""
        return {c.name: c for _, c in self._classes("edgeshrink_runtimes", Runtime)}

    def runtime(self, name: str) -> Runtime:
        """Return one of the runtimes, which knows the others.

        Args:
            name: one that there is.
        """
        made = self.runtimes[name]()
        made.others = self.runtimes
        return made

    @functools.cached_property
    def exporters(self) -> Mapping[str, type[Exporter]]:
        """Exporters by name."""
        return {c.name: c for _, c in self._classes("edgeshrink_exporters", Exporter)}

    @functools.cached_property
    def reporters(self) -> Mapping[str, type[Reporter]]:
        """Reporters by name."""
        return {c.name: c for _, c in self._classes("edgeshrink_reporters", Reporter)}

    @functools.cached_property
    def metrics(self) -> Mapping[str, type[Metric]]:
        """Metrics by name, in the order in which plugins give them."""
        return {c.name: c for _, c in self._classes("edgeshrink_metrics", Metric)}

    @functools.cached_property
    def merits(self) -> Mapping[str, type[Merit]]:
        """Figures of merit by name, in the order in which plugins give them."""
        return {c.name: c for _, c in self._classes("edgeshrink_merits", Merit)}

    @functools.cached_property
    def parts(self) -> tuple[Part, ...]:
        """Optional parts: the core's, those that plugins tell, and what else methods require."""
        told: list[Part] = list(CORE_PARTS)
        for plugin, part in self._ask("edgeshrink_parts"):
            if isinstance(part, Part):
                told.append(part)
            else:
                self._leave_out(plugin, f"{part!r} is no Part")
        for method in self.methods.values():
            told += [Package(name, f"--{_spelling(method.name)}") for name in method.requires]
        return tuple({part.name: part for part in reversed(told)}.values())[::-1]

    @functools.cached_property
    def readers(self) -> Mapping[str, Reader]:
        """Programs that read .tflite files, by name, in the order in which plugins give them."""
        found: dict[str, Reader] = {}
        for plugin, reader in self._ask("edgeshrink_readers"):
            if not isinstance(reader, Reader):
                self._leave_out(plugin, f"{reader!r} is no Reader")
            elif reader.name in found:
                self._leave_out(plugin, f"there is a reader {reader.name!r} already")
            else:
                found[reader.name] = reader
        return found

    @functools.cached_property
    def profile_folders(self) -> tuple[Path, ...]:
        """Folders of device profiles: the user's, plugins', what ships with us, and those here.

        A name of ours or the user's means the same in every folder: what lies here comes last.
        """
        package = Path(__file__).parent
        checkout = package.parents[1] / "device_profiles"
        shipped = checkout if checkout.is_dir() else package / "device_profiles"
        added = [Path(folder) for _, folder in self._ask("edgeshrink_profile_folders")]
        known = (user_folder(), *added, shipped)
        if HERE.resolve() == shipped.resolve():
            return known
        for name in sorted(available_profiles([HERE]).keys() & available_profiles(known).keys()):
            self.warnings.append(
                f"{HERE / name}.toml is not used for the device {name}, which is known without it; "
                f"--device {HERE / name}.toml names it"
            )
        return (*known, HERE)


def _spelling(key: str) -> str:
    return key.replace("_", "-")


def _spellings(method: type[Method]) -> Iterator[str]:
    """Yield the flags of a method, those that say no included."""
    kinds = {option.name: option.type for option in options_of(method.Options)}
    for key, (group, name) in method.flag_keys().items():
        yield _spelling(key)
        if group == "on" or (group == "options" and kinds[name] is bool):
            yield f"no-{_spelling(key)}"


def _said(problem: BaseException) -> str:
    """Return an exception in one line."""
    lines = f"{type(problem).__name__}: {problem}".splitlines()
    return lines[0].rstrip(": ")


@functools.cache
def installed() -> Plugins:
    """Return the plugins of this environment.

    `EDGESHRINK_PLUGINS` names those to load, separated by commas; empty means none.
    """
    wanted = os.environ.get("EDGESHRINK_PLUGINS")
    names = None if wanted is None else {name.strip() for name in wanted.split(",")}
    found = importlib.metadata.entry_points(group=GROUP)
    chosen = [e for e in found if names is None or e.name in names]
    return Plugins(sorted(chosen, key=_ours_first))


def _ours_first(entry: importlib.metadata.EntryPoint) -> tuple[bool, str]:
    """Sort what ships with edgeshrink before what others add: who comes later must give way."""
    return (entry.dist is None or entry.dist.name != "edgeshrink", entry.name)
