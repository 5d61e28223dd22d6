"""Stage report, beside the page: completions behind a campaign's numbers, on a page of their own.

`results/report/samples/CAMPAIGN/index.html` is opened by a click on a number, as where samples are pictures; it is made
from what stage `completions` chose, alone.
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
    "../templates/completions/index.html",
    "../templates/completions/completions.js",
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
    """Return the page's HTML; `content`: what its script reads, see `page.completions.content`."""
    script = Markup((_TEMPLATES / "completions/completions.js").read_text())
    template = html.environment(_TEMPLATES / "completions").get_template("index.html")
    return template.render(
        campaign=artifact.ref.parts[1],
        dataset=artifact.recipe["clean"],
        style=Markup((_TEMPLATES / "report/style.css").read_text()),
        script=script,
        policy=html.policy([script]),
        content=html.embedded(content),
    )
