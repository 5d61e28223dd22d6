"""Figures of OOD detection, in panels: near against far, scores of one detector, risk over coverage."""

from collections.abc import Collection
from dataclasses import replace

import polars as pl

from shiftbench.base.refs import without_seed
from shiftbench.report import figures
from shiftbench.report.chapters import Chapter, ends
from shiftbench.report.figures import Figure
from shiftbench.report.leaderboard import Who
from shiftbench.report.panels import Ask, Panel, Shots, panel

_LEAD = "auroc"
_TWO = 2
_TALL = 460  # px, since there are many detectors
Sides = tuple[list[float], list[float], list[float]]  # x, shares of ID, shares of OOD


def detector_panels(chapter: Chapter) -> list[Panel]:
    """Panels of a benchmark's detectors that have something to show."""
    panels = (_groups(chapter), _scores(chapter), _risks(chapter))
    return [panel for panel in panels if panel.plots]


def _groups(chapter: Chapter) -> Panel:
    """Draw the leading metric's mean over the first group of OOD sets against that over the second."""
    view = chapter.detection.view(_LEAD)
    firsts = {column.group: column for column in reversed(view.columns)} if view else {}
    by_model: dict[str, Figure] = {}
    axes = tuple(name for name in chapter.detection.groups if name in firsts)[:_TWO]
    if view and len(axes) == _TWO:
        first, second = (firsts[name] for name in axes)
        for model in chapter.places.who:
            pairs = [
                (chapter.detection.styles[who[2]], first.entries[who], second.entries[who])
                for who in view.rows
                if who[:2] == model and who in first.entries and who in second.entries
            ]
            figure = figures.scatter(pairs, view.measure, view.measure, "", (axes[0], axes[1]))
            by_model[chapter.labels[model]] = figure | {"height": _TALL}
    title = " against ".join(axes).capitalize()
    note = (
        "One point per detector: the mean over the OOD sets of either group, with 95% intervals; up and right is good."
    )
    ask = Ask("model", tuple((label, chapter.styles[label].title) for label in by_model))
    groups_panel = panel(chapter, "groups", (title, note), [ask], {"AUROC": by_model} if by_model else {})
    return replace(groups_panel, legend=tuple(chapter.detection.styles.values()))


# ---------------------------------------------------------------------- scores of one detector


def _scores(chapter: Chapter) -> Panel:
    shown = _shown(chapter)
    order = [row.who for row in chapter.rows]
    models = sorted({who[:2] for who, _ in shown}, key=lambda who: order.index(_family(chapter, who)))
    detectors = _best_first(chapter, {who[2] for who, _ in shown})
    sets = [name for name in _sets(chapter) if name in {dataset for _, dataset in shown}]
    asks = [
        _ask("detector", [chapter.titles.of("detectors", name) for name in detectors]),
        _ask("model", [chapter.models.get(who, who[0]) for who in models]),
        _ask("OOD set", [chapter.titles.of("datasets", name) for name in sets]),
    ]
    curves: dict[str, Figure] = {}
    bars: dict[str, Figure] = {}
    for (who, dataset), kinds in shown.items():
        indices = (detectors.index(who[2]), models.index(who[:2]), sets.index(dataset))
        # A selector with one choice is not on the page, and no part of the choice.
        parts = [str(number) for number, ask in zip(indices, asks, strict=True) if len(ask.choices) > 1]
        choice = "|".join(parts) or "0"
        title = f"{chapter.titles.of('detectors', who[2])}, {chapter.titles.of('datasets', dataset)}"
        _, false, true = kinds["roc"]
        fpr, text = _value(chapter, who, dataset, "fpr95"), _areas(chapter, who, dataset)
        curves[choice] = figures.roc(title, [0, *false[::-1]], [0, *true[::-1]], fpr, text)
        bars[choice] = figures.histogram(title, *kinds["histogram"])
    shots: Shots = {"ROC curve": curves, "histogram": bars} if shown else {}
    first = sorted({seed for who in models if (seed := without_seed(who[0])[1]) is not None})
    seeds = f"Scores of training seed {ends(first)}; scores of several seeds are not pooled. " if first else ""
    note = (
        f"{seeds}Detectors are in the order of their mean AUROC, the best first. OOD is the positive class. The dot "
        "is the threshold that flags 95% of the OOD samples. Its FPR is the share of ID samples that it also flags. "
        "The first and the last bar contain all scores beyond them."
    )
    return replace(panel(chapter, "scores", ("Scores", note), asks, shots), legend=(), folded="narrow")


def _family(chapter: Chapter, who: Who) -> Who:
    """The mean over training seeds that a model belongs to."""
    return chapter.families.get(who[0], who[0]), who[1]


def _best_first(chapter: Chapter, names: Collection[str]) -> list[str]:
    """Detectors by their mean AUROC over models and OOD sets, the highest first; without AUROC as in params."""
    view = chapter.detection.view(_LEAD)
    columns = [column for column in view.columns if column.positions == 1] if view else []

    def mean(name: str) -> float:
        entries = [entry for column in columns for who, entry in column.entries.items() if who[2] == name]
        values = [entry.value for entry in entries if entry.value is not None]
        return sum(values) / len(values) if values else 0.0

    listed = [name for name in chapter.params["detectors"] if name in names]
    return sorted(dict.fromkeys([*listed, *sorted(names)]), key=mean, reverse=True)


def _ask(label: str, names: list[str]) -> Ask:
    return Ask(label, tuple((str(number), name) for number, name in enumerate(names)))


def _sets(chapter: Chapter) -> list[str]:
    return [name for names in chapter.detection.groups.values() for name in names]


def _shown(chapter: Chapter) -> dict[tuple[Who, str], dict[str, Sides]]:
    """Both kinds of columns x, id, ood by model (of one seed), method and detector, and by OOD set."""
    table = chapter.tables.roc
    if table is None:
        return {}
    place = ("model", "method", "detector", "dataset", "kind")
    rows = table.filter(pl.col("dataset").is_in(_sets(chapter))).sort(*place, "x")
    parts = rows.group_by(*place, maintain_order=True).agg("x", "id", "ood")
    sides: dict[tuple[Who, str], dict[str, Sides]] = {}
    for model, method, detector, dataset, kind, x, id, ood in parts.iter_rows():
        sides.setdefault(((model, method, detector), dataset), {})[kind] = (x, id, ood)
    return sides


def _areas(chapter: Chapter, who: Who, dataset: str) -> list[str]:
    """AUROC of the seed that is shown, and the mean over all seeds, which tables have."""
    view, value = chapter.detection.view(_LEAD), _value(chapter, who, dataset, _LEAD)
    if view is None or value is None:
        return []
    title, seed = view.measure.title, without_seed(who[0])[1]
    family = *_family(chapter, who[:2]), who[2]
    mean = next((one.entries.get(family) for one in view.columns if one.positions == 1 and one.name == dataset), None)
    shown = f"{view.measure.text(value)}{view.measure.symbol}"
    if seed is None or mean is None or not mean.seeds or mean.seeds == 1:
        return [f"{title} {shown}"]
    return [
        f"{title}, seed {seed}: {shown}",
        f"mean of {mean.seeds} seeds: {view.measure.text(mean.value)}{view.measure.symbol}",
    ]


def _value(chapter: Chapter, who: Who, dataset: str, metric: str) -> float | None:
    model, method, detector = who
    rows = chapter.places.detection.filter(
        model=model, method=method, detector=detector, dataset=dataset, metric=metric
    )
    return None if rows.is_empty() else rows["value"][0]


# ---------------------------------------------------------------------- risk over coverage


def _risks(chapter: Chapter) -> Panel:
    by_model = {}
    lines = _curves(chapter)
    for model in chapter.places.who:
        detector_lines = [
            (chapter.detection.styles[name], *lines[*model, name])
            for name in chapter.detection.detectors
            if (*model, name) in lines
        ]
        if detector_lines:
            by_model[chapter.labels[model]] = figures.risks(detector_lines, "")
    note = (
        "Failure detection on the clean set: the share of wrong predictions among the samples that a detector "
        "trusts most. Means over training seeds."
    )
    ask = Ask("model", tuple((label, chapter.styles[label].title) for label in by_model))
    shots = {"clean set": by_model} if by_model else {}
    risks_panel = panel(chapter, "risks", ("Risk and coverage", note), [ask], shots)
    return replace(risks_panel, legend=tuple(chapter.detection.styles.values()))


def _curves(chapter: Chapter) -> dict[Who, tuple[list[float], list[float]]]:
    """Coverage and risk on the clean set by model, method and detector."""
    table = chapter.tables.risk_coverage
    if table is None:
        return {}
    place = ("model", "method", "detector")
    clean = table.filter(
        pl.col("reference").is_null(),
        pl.col("step").is_null(),
        pl.col("dataset") == chapter.params["dataset"],
        pl.col("split") == chapter.params["split"],
    ).with_columns(pl.col("model").replace(chapter.families))
    means = clean.group_by(*place, "coverage").agg(pl.col("risk").mean()).sort(*place, "coverage")
    rows = means.group_by(place, maintain_order=True).agg("coverage", "risk").iter_rows()
    return {(model, method, name): (x, y) for model, method, name, x, y in rows}
