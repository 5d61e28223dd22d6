"""A recipe spec: the content, inputs and code of one output; the plan adds upstream fingerprints and code digests."""

from dataclasses import dataclass

from shiftbench.base.refs import Ref
from shiftbench.base.registry import Location
from shiftbench.workflow.plan.resolved_plugin import Content


@dataclass(frozen=True, slots=True)
class RecipeSpec:
    """The recipe spec of one output.

    Attributes:
        content: names, options and parameters for the recipe.
        inputs: the outputs that it is made from.
        code: files and functions whose definitions, with all that they use, belong into the recipe.
    """

    content: Content
    inputs: list[Ref]
    code: tuple[Location, ...] = ()
