"""What a search found, in sentences and cells, the same in every form."""

from __future__ import annotations

from edgeshrink import words
from edgeshrink.results.report_sentences import summary
from edgeshrink.results.searches.report import SearchReport, Trial

AS_IT_IS = "the model as it is, in float"
PICKED = "→ "


def search_summary(report: SearchReport) -> list[str]:
    """Return what was found, a sentence each: of the picked recipe what `compress` says, first."""
    kinds = {"refused": "refused by arithmetic", "failed": "failed"}
    said = [f"{len(report.measured):,} of {report.size:,} recipes measured"]
    for outcome, told in kinds.items():
        if count := sum(trial.outcome == outcome for trial in report.trials):
            said.append(f"{count:,} {told}")
    looked = ", ".join(said)
    if report.picked is None:
        return [f"nothing was found: {looked}"]
    picked = report.trials[report.picked]
    how = "the nearest" if picked.misses else f"{report.rule} of the front"
    found = [] if report.result is None else list(summary(report.result))
    found.append(f"{report.output}: {picked.words} ({how}; {looked})")
    if report.base is not None:
        found.append(
            "the table's scores are on the validation samples by which recipes are chosen, where "
            f"the best of {len(report.measured):,} looks better than it is; nothing was chosen by "
            "the test samples"
        )
    return found


def search_heads(report: SearchReport) -> list[str]:
    """Return what stands over the columns of `search_cells`."""
    score = report.base.title if report.base else "score"
    missed = ["misses"] if any(trial.misses for trial in report.front) else []
    return [
        "recipe",
        f"{score}, validation",
        "95 % interval",
        *map(report.head, report.goals),
        *missed,
    ]


def search_cells(report: SearchReport) -> list[list[str]]:
    """Return the model as it is, and the recipes on the front, the best in the first goal first."""
    rows = []
    if report.base is not None:
        goals = [_goal(goal, report.before.get(goal)) for goal in report.goals]
        scores = [words.score(report.base), words.interval(report.base)]
        rows.append([AS_IT_IS, *scores, *goals])
    rows += [_cells(report, trial) for trial in report.front]
    return [row + [""] * (len(search_heads(report)) - len(row)) for row in rows]


def _cells(report: SearchReport, trial: Trial) -> list[str]:
    assert trial.score is not None
    mark = PICKED if trial.number == report.picked else ""
    goals = [_goal(goal, trial.values.get(goal)) for goal in report.goals]
    missed = ", ".join(f"{name} by {share:.1%}" for name, share in trial.misses.items())
    scores = [words.score(trial.score), words.interval(trial.score)]
    return [mark + trial.words, *scores, *goals, *([missed] if missed else [])]


def _goal(goal: str, value: float | None) -> str:
    if value is None:
        return words.NONE
    return words.milliseconds(value) if goal == "ms" else f"{value:,.0f}"
