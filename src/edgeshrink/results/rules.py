"""Rules: each budget held against what was measured, kept or not, with its sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from edgeshrink import words
from edgeshrink.results.budgets import Budgets, MostTime
from edgeshrink.results.figures import (
    Figures,
    told_time,
    unlike_scores,
    unlike_times,
    untimed,
)
from edgeshrink.results.ledger import Latency
from edgeshrink.results.ledger_sentences import is_noisy, is_slower
from edgeshrink.results.verdict import Drop, allowed

ALONE = "there is nothing to compare it with"


@dataclass(frozen=True)
class Rule:
    """One rule, as a result kept it or not.

    Attributes:
        asked: as it was given, such as `--max-bytes 100kB`.
        of: what is held to it: the file, and where its device matters that too.
        text: what was found beside what is allowed, as a sentence.
        miss: by how much it is missed, as a share of what is allowed: 0 where it is kept, else
            above; None where it cannot be judged.
    """

    asked: str
    of: str
    text: str
    miss: float | None = 0.0

    @property
    def kept(self) -> bool:
        """Whether it is kept; what cannot be judged is not."""
        return self.miss == 0

    def __str__(self) -> str:
        """Return it in a line."""
        text = self.text if self.text.startswith(self.asked) else f"{self.asked}: {self.text}"
        return f"{'kept' if self.kept else 'NOT kept'}: {text}"


def rules_of(budgets: Budgets, found: Figures, beside: Figures | None) -> tuple[Rule, ...]:
    """Return each rule as a file keeps it or not; one a device where devices matter.

    Args:
        budgets: what is asked.
        found: of the file.
        beside: of what it is compared with; None for nothing.
    """
    rules: list[Rule] = []
    if budgets.drop and budgets.drop.limited:
        rules += _lost(f"--max-drop {budgets.max_drop}", budgets.drop, found, beside)
    if budgets.most_bytes:
        rules.append(_size(f"--max-bytes {budgets.max_bytes}", budgets.most_bytes, found))
    if budgets.most_time:
        rules += _took(f"--max-ms {budgets.max_ms}", budgets.most_time, found)
    if budgets.most_arena:
        rules += _needed(f"--max-arena {budgets.max_arena}", budgets.most_arena, found)
    if not budgets.larger:
        rules.append(_grown("--no-larger", found, beside))
    if not budgets.slower:
        rules += _slowed("--no-slower", found, beside)
    return tuple(rules)


def not_judged(asked: str, of: str, why: str) -> Rule:
    """Return a rule that cannot be judged, which is not kept."""
    return Rule(asked, of, f"{asked} cannot be judged for {of}: {why}", None)


def _lost(asked: str, drop: Drop, found: Figures, beside: Figures | None) -> Iterator[Rule]:
    if beside is None or not found.verdicts:
        yield not_judged(asked, found.name, unscored(beside))
        return
    for device, now in found.verdicts.items():
        of = found.there(device)
        if why := unlike_scores(found, beside, device):
            yield not_judged(asked, of, why)
            continue
        before = beside.verdicts[device].after
        most = allowed(drop, before, None, share=now.share)
        held = replace(now, before=before, allowed=most)
        excess = held.lost(now.after) - most
        if not math.isfinite(excess):
            yield not_judged(asked, of, unscored(beside))
        elif held.blind:
            yield Rule(asked, of, held.blindness(), None)
        else:
            limit = abs(before - most if now.higher_is_better else before + most)
            miss = excess / (limit or 1.0) if held.failure else 0.0
            yield Rule(asked, of, held.loss(of), miss)


def unscored(beside: Figures | None) -> str:
    """Return why there is nothing to compare scores by."""
    return ALONE if beside is None else "there is no score of it"


def _size(asked: str, most: int, found: Figures) -> Rule:
    size = found.size_bytes
    text = f"{found.name} has {size:,} bytes, where at most {most:,} are allowed"
    return Rule(asked, found.name, text, _excess(size, most))


def _took(asked: str, most: MostTime, found: Figures) -> Iterator[Rule]:
    if not found.on:
        yield not_judged(asked, found.name, unmeasured(found))
    for one in found.on:
        of, latency = found.there(one.device), one.latency
        took = told_time(latency, most.statistic) if latency else math.nan
        why = untimed(found, one.device) or untold(took, most.statistic, one.device)
        if why:
            yield not_judged(asked, of, why)
            continue
        time, limit = words.told_apart(took, most.ms, words.milliseconds)
        text = f"{of} takes {time} ({most.statistic}), where at most {limit} are allowed"
        yield Rule(asked, of, text, _excess(took, most.ms))


def unmeasured(found: Figures) -> str:
    """Return that no device measured a file."""
    return f"no device measured {found.name}"


def untold(value: float, statistic: str, device: str) -> str:
    """Return that a figure was not told, where it was not."""
    return "" if math.isfinite(value) else f"{device} does not tell its {statistic}"


def _needed(asked: str, most: int, found: Figures) -> Iterator[Rule]:
    if not found.on:
        yield not_judged(asked, found.name, unmeasured(found))
    for one in found.on:
        of, arena = found.there(one.device), one.arena_bytes
        if arena is None:
            yield not_judged(asked, of, one.failure or no_arena(one.device))
            continue
        text = f"{of} needs {arena:,} bytes of arena, where at most {most:,} are allowed"
        yield Rule(asked, of, text, _excess(arena, most))


def no_arena(device: str) -> str:
    """Return that a device tells no arena."""
    return f"{device} tells no arena; runtimes of microcontrollers do"


def _grown(asked: str, found: Figures, beside: Figures | None) -> Rule:
    if beside is None:
        return not_judged(asked, found.name, ALONE)
    size, before = found.size_bytes, beside.size_bytes
    word = "larger" if size > before else "no larger"
    text = f"{found.name} is {word} than {beside.name}: {before:,} bytes before, {size:,} now"
    return Rule(asked, found.name, text, _excess(size, before))


def _slowed(asked: str, found: Figures, beside: Figures | None) -> Iterator[Rule]:
    if beside is None or not found.on:
        yield not_judged(asked, found.name, ALONE if beside is None else unmeasured(found))
        return
    for one in found.on:
        of, then = found.there(one.device), beside.at(one.device)
        now, before = one.latency, then.latency if then else None
        why = unlike_times(found, beside, one.device)
        if why or now is None or before is None:
            yield not_judged(asked, of, why)
            continue
        slower = is_slower(now, before)
        if why := "" if slower or is_slower(before, now) else noise(one.device, before, now):
            yield not_judged(asked, of, why)
            continue
        word = "slower" if slower else "no slower"
        text = f"{of} is {word} than {beside.name}: {_shown(before)} before, {_shown(now)} now"
        yield Rule(asked, of, text, now.median_ms / before.median_ms - 1 if slower else 0.0)


def noise(device: str, before: Latency, now: Latency) -> str:
    """Return that times are too uncertain to tell slower from not, where they are.

    One and the same measurement, as of a file beside itself, is no slower.
    """
    known = math.isfinite(now.error_ms + before.error_ms)
    if now == before or (known and not is_noisy(before) and not is_noisy(now)):
        return ""
    return (
        f"times on {device} are noise that could hide 5 %: {_shown(before)} before, "
        f"{_shown(now)} now; time longer, with fewer programs beside"
    )


def _shown(latency: Latency) -> str:
    error = words.milliseconds(latency.error_ms)
    return f"{words.milliseconds(latency.median_ms)} ± {error}"


def _excess(value: float, most: float) -> float:
    return max(0.0, value - most) / (abs(most) or 1.0)
