"""A sample, the value that the stages fetch, shift and evaluate exchange."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample.

    Attributes:
        key: stable and unique, `dataset/split-of-origin/id` (`fashion_mnist/test/000123`); no dot,
            since a WebDataset key ends at its first dot.
        fields: payload by field name, as the dataset's task declares them. For `classification`:
            `image` uint8 (h, w) or (h, w, 3); `label` int, an index into the dataset's CLASSES;
            optional `mask` uint8 (h, w), 0 background to 255 object; optional `meta` dict of str.
    """

    key: str
    fields: dict[str, Any]

    def with_field(self, name: str, value: object) -> Sample:
        """A copy in which one field is replaced."""
        return replace(self, fields={**self.fields, name: value})
