"""A recipe spec: the content, inputs and code of one output; the plan adds upstream fingerprints and code digests."""

from dataclasses import dataclass
from pathlib import Path

from shiftbench.base.refs import Ref
from shiftbench.workflow.plan.resolved_plugin import Content


@dataclass(frozen=True, slots=True)
class RecipeSpec:
    """The recipe spec of one output.

    Attributes:
        content: names, options and parameters for the recipe.
        inputs: the outputs that it is made from.
        code: source files whose definitions, with all that they use, belong into the recipe.
    """

    content: Content
    inputs: list[Ref]
    code: tuple[Path, ...] = ()
