"""Answers of language models: the only command that sends requests to them."""

from typing import Annotated

import typer

from shiftbench.cli.application import Config, out
from shiftbench.cli.commands import command
from shiftbench.evaluation.llm.client import Generator


@command
def answers(
    config: Config = None,
    url: Annotated[
        str | None, typer.Option(help="address of an OpenAI-compatible API, up to /v1; default: OPENAI_BASE_URL")
    ] = None,
    batch: Annotated[int, typer.Option(help="requests per batch, for models on this machine")] = 16,
    threads: Annotated[int, typer.Option(help="torch threads, for models on this machine")] = 1,
) -> None:
    """Query language models and cache the answers."""
    from shiftbench.data import source_files
    from shiftbench.provenance import trust
    from shiftbench.workflow.stages import fetch
    from shiftbench.workflow.tools import record_answers

    trust.require("its plugins write the requests to language models")

    def make(model: str) -> Generator:
        from shiftbench.evaluation.llm import endpoint, option_model

        if model.startswith(endpoint.PREFIX):
            return endpoint.Endpoint(model.removeprefix(endpoint.PREFIX), url)
        fetch.keep(model)
        return option_model.OptionModel(model, source_files.original_folder(model), batch, threads)

    for name, (needed, new) in record_answers.record(config, make).items():
        out.print(f"{name}: {needed} answers, {new} of them new")
