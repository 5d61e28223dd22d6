"""An extension of griffe: an `Example:` section of a docstring is a section of examples, and no quotation."""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Renames the section to the plural that griffe knows: its `>>>` lines are then a block of code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section in one docstring."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)
