"""Answers of language models: the one command that asks them."""

from typing import Annotated

import typer

from shiftbench.cli.application import Config, app, out
from shiftbench.evaluation.llm.client import Generator

PANEL = "The run"


@app.command(rich_help_panel=PANEL)
def answers(
    config: Config = None,
    url: Annotated[str | None, typer.Option(help="of an OpenAI-compatible API, up to /v1")] = None,
    batch: Annotated[int, typer.Option(help="requests at a time, for weights here")] = 16,
    threads: Annotated[int, typer.Option(help="torch threads, for weights here")] = 1,
) -> None:
    """Ask language models all that a scale needs and has not recorded; runs read the record alone."""
    from shiftbench.data import source_files
    from shiftbench.provenance import trust
    from shiftbench.workflow.stages import fetch
    from shiftbench.workflow.tools import record_answers

    trust.require("what its models are asked is made by its plugins")

    def make(model: str) -> Generator:
        from shiftbench.evaluation.llm import endpoint, option_model

        if model.startswith(endpoint.PREFIX):
            return endpoint.Endpoint(model.removeprefix(endpoint.PREFIX), url)
        fetch.keep(model)
        return option_model.OptionModel(model, source_files.kept(model), batch, threads)

    for name, (needed, asked) in record_answers.record(config, make).items():
        out.print(f"{name}: {needed} answers, {asked} asked now")
