"""Stage report, page of samples: the samples or completions behind a benchmark's numbers.

A click on a number of the report opens `results/report/samples/BENCHMARK/index.html`. The page loads no other file. It
is made from the samples or completions that another job chose, so a new design needs neither records nor shards.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from shiftbench.base.files import scratch
from shiftbench.base.refs import without_seed
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.report import html, samples
from shiftbench.report.links import slug
from shiftbench.report.titles import JOIN, PLAIN, Titles

ASSETS = (
    "../../report/templates/page.html",
    "../../report/templates/behind/behind.css",
    "../../report/templates/behind/frame.html",
    "../../report/templates/behind/chooser.js",
    "../../report/templates/behind/samples/index.html",
    "../../report/templates/behind/samples/shown.js",
    "../../report/templates/behind/completions/index.html",
    "../../report/templates/behind/completions/shown.js",
    "../../report/templates/behind/queries/index.html",
    "../../report/templates/behind/queries/shown.js",
    "../../report/templates/report/gallery.css",
    "../../report/templates/report/style.css",
)


def run(run: Run, artifact: Artifact) -> None:
    """Write the page of one benchmark."""
    (chosen,) = artifact.inputs
    text = page(artifact, json.loads(run.path(chosen).read_bytes()))
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        temporary.write_bytes(text.encode())
        run.commit(artifact, {output.name: temporary})


def page(artifact: Artifact, content: Mapping[str, Any]) -> str:
    """The page's HTML; `content` is the input of its script, see report.samples and report.completions."""
    titles = Titles(artifact.recipe.get("titles", {}))
    benchmark, dataset = artifact.ref.parts[1], artifact.recipe["clean"]
    choices = {"titles": _choices(content["rows"], dataset, titles), "about": _about(content["rows"], benchmark)}
    if "samples" in content:
        content = {**content, "samples": samples.compared(content["samples"])}
    shows = artifact.recipe["shows"]
    behind = html.TEMPLATES / "behind"
    scripts = (behind / "chooser.js", behind / shows / "shown.js")
    script = Markup("".join(file.read_text() for file in scripts))
    template = html.environment(f"behind/{shows}", "behind", "report").get_template("index.html")
    return template.render(
        benchmark=benchmark,
        title=titles.of("benchmarks", benchmark),
        dataset=titles.of("datasets", dataset),
        style=html.style(),
        script=script,
        policy=html.policy([script]),
        content=html.embedded({**content, **choices}),
        first=next(iter(content["rows"]), None),
        shown_content=content,
        titles=choices["titles"],
    )


def _choices(rows: Iterable[Mapping[str, Any]], dataset: str, titles: Titles) -> dict[str, dict[str, str]]:
    """Titles of the choices of both selectors, `model` and `set`, by their values."""
    labels = {row["who"]: row["who"].partition(f" {JOIN} ") for row in rows}
    models = {label: (model, method or PLAIN) for label, (model, _, method) in labels.items()}
    model_titles = titles.models(models.values(), dataset)
    sets = {row["set"]: row["set"].partition("/") for row in rows}
    return {
        "model": {label: model_titles[model] for label, model in models.items()},
        "set": {name: titles.samples(dataset, shift) for name, (dataset, _, shift) in sets.items()},
    }


def _about(rows: Iterable[Mapping[str, Any]], benchmark: str) -> dict[str, dict[str, Any]]:
    """For each model: the place of its row in the report, its training seed, and the number of seeds of its mean."""
    labels = {row["who"]: row["who"].partition(f" {JOIN} ") for row in rows}
    means = {label: without_seed(model) for label, (model, _, _) in labels.items()}
    names = {label: means[label][0] + "".join(labels[label][1:]) for label in labels}
    seeds = Counter(names.values())
    return {
        label: {"place": f"model-{benchmark}-{slug(name)}", "seed": means[label][1], "seeds": seeds[name]}
        for label, name in names.items()
    }
