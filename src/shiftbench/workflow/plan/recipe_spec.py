"""A recipe spec: what decides one output, before what is upstream and the digests of the code are in it."""

from dataclasses import dataclass

from shiftbench.base.refs import Ref
from shiftbench.base.registry import Location
from shiftbench.workflow.plan.resolved_plugin import Content


@dataclass(frozen=True, slots=True)
class RecipeSpec:
    """What a plugin or a parameter says of one output.

    Attributes:
        content: its part of the recipe.
        inputs: what it is made from.
        code: files and functions whose definitions, with all that they use, belong into the recipe.
    """

    content: Content
    inputs: list[Ref]
    code: tuple[Location, ...] = ()
