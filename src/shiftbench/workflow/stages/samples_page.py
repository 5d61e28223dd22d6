"""Stage report, page of samples: the samples or completions behind a benchmark's numbers.

A click on a number of the report opens `results/report/samples/BENCHMARK/index.html`. The page loads no other file. It
is made from the samples or completions that another job chose, so a new design needs neither records nor shards.
"""

import json

from markupsafe import Markup

from shiftbench.base.files import scratch
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.report import html

ASSETS = (
    "../../report/templates/page.html",
    "../../report/templates/behind/frame.html",
    "../../report/templates/behind/chooser.js",
    "../../report/templates/behind/samples/index.html",
    "../../report/templates/behind/samples/shown.js",
    "../../report/templates/behind/completions/index.html",
    "../../report/templates/behind/completions/shown.js",
    "../../report/templates/behind/queries/index.html",
    "../../report/templates/behind/queries/shown.js",
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


def page(artifact: Artifact, content: object) -> str:
    """The page's HTML; `content` is the input of its script, see report.samples and report.completions."""
    shows = artifact.recipe["shows"]
    behind = html.TEMPLATES / "behind"
    scripts = (behind / "chooser.js", behind / shows / "shown.js")
    script = Markup("".join(file.read_text() for file in scripts))
    template = html.environment(f"behind/{shows}", "behind").get_template("index.html")
    return template.render(
        benchmark=artifact.ref.parts[1],
        dataset=artifact.recipe["clean"],
        style=html.style(),
        script=script,
        policy=html.policy([script]),
        content=html.embedded(content),
    )
