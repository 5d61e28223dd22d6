"""Stage aggregate, released: files of a release -> its numbers, each with its place and its interval (RELEASED)."""

from shiftbench.base.files import scratch
from shiftbench.data import formats, releases, schema
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.statistics import released_rows


def run(run: Run, artifact: Artifact) -> None:
    """Read the files of one release."""
    (source,) = (ref for ref in artifact.inputs if ref.kind == "sources")
    files = releases.folder(run.path(source).parent)
    rows = released_rows.with_intervals(releases.numbers(artifact.ref.name, files))
    table = rows.select(formats.RELEASED.names).to_arrow().cast(formats.RELEASED.arrow)
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        schema.write(table, temporary, artifact.fingerprint, formats.RELEASED)
        run.commit(artifact, {output.name: temporary})
