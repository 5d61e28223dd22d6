"""Stage report, beside the page: the samples, or the completions, behind a campaign's numbers, on a page of their own.

`results/report/samples/CAMPAIGN/index.html` is opened by a click on a number. It holds all that it shows, and is made
from what stage `samples` or `completions` chose: where its design changes, neither records nor shards are read again.
"""

from __future__ import annotations

import json
from pathlib import Path

from markupsafe import Markup

from shiftbench.files import scratch
from shiftbench.page import html
from shiftbench.provenance.recipe import Artifact, Run

ASSETS = (
    "../templates/page.html",
    "../templates/behind/frame.html",
    "../templates/behind/chooser.js",
    "../templates/behind/samples/index.html",
    "../templates/behind/samples/shown.js",
    "../templates/behind/completions/index.html",
    "../templates/behind/completions/shown.js",
    "../templates/report/style.css",
)
_TEMPLATES = Path(__file__).parents[1] / "templates"


def run(run: Run, artifact: Artifact) -> None:
    """Make the page of one campaign."""
    (chosen,) = artifact.inputs
    text = page(artifact, json.loads(run.path(chosen).read_bytes()))
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        temporary.write_bytes(text.encode())
        run.commit(artifact, {output.name: temporary})


def page(artifact: Artifact, content: object) -> str:
    """Return the page's HTML; `content`: what its script reads, see `content` of page.samples and page.completions."""
    behind = _TEMPLATES / "behind"
    shows = artifact.recipe["shows"]
    scripts = (behind / "chooser.js", behind / shows / "shown.js")
    script = Markup("".join(file.read_text() for file in scripts))
    template = html.environment(behind / shows, behind).get_template("index.html")
    return template.render(
        campaign=artifact.ref.parts[1],
        dataset=artifact.recipe["clean"],
        style=Markup((_TEMPLATES / "report/style.css").read_text()),
        script=script,
        policy=html.policy([script]),
        content=html.embedded(content),
    )
