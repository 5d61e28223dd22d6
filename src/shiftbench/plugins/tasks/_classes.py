"""Label spaces: what a dataset's label means to a model, by class name."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import RangeError

UNKNOWN = -1


@dataclass(frozen=True)
class LabelSpace:
    """How the classes of a dataset lie in those of a model; classes are the same when their names are.

    A dataset label that the model does not have becomes -1 (all of them, for an OOD dataset). Where the
    dataset's classes are a strict subset of the model's, predictions are restricted to the shared
    classes before they are scored: softmax and argmax run over these logits only. This is
    the practice of robustness_metrics (`appearing_classes` of ImageNet-A and -R); without it a model is
    blamed for naming a class that cannot occur.

    Attributes:
        model_classes: names in the order of the logits.
        dataset_classes: names in the order of the dataset's labels.

    Raises:
        RangeError: a name occurs twice in one of them.
    """

    model_classes: tuple[str, ...]
    dataset_classes: tuple[str, ...]

    def __post_init__(self) -> None:
        for owner, names in (("model", self.model_classes), ("dataset", self.dataset_classes)):
            twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
            if twice:
                raise RangeError(f"the {owner} has the class {twice[0]!r} twice; class names must be unique")

    @cached_property
    def to_model(self) -> NDArray[np.int32]:
        """For each dataset label the model's class, -1 where it has none; int32 (dataset classes,)."""
        at = {name: index for index, name in enumerate(self.model_classes)}
        return np.array([at.get(name, UNKNOWN) for name in self.dataset_classes], dtype=np.int32)

    @cached_property
    def allowed(self) -> NDArray[np.int32]:
        """Classes of the model that predictions are restricted to, ascending; int32."""
        if set(self.dataset_classes) < set(self.model_classes):
            return np.sort(self.to_model)
        return np.arange(len(self.model_classes), dtype=np.int32)

    def labels(self, labels: list[int], keys: list[str]) -> NDArray[np.int32]:
        """Translate dataset labels into classes of the model; int32 (n,), -1 where it has none.

        Raises:
            RangeError: a label is none of the dataset's; names the sample.
        """
        count = len(self.dataset_classes)
        for key, label in zip(keys, labels, strict=True):
            if not 0 <= label < count:
                raise RangeError(f"sample {key!r} has the label {label}; expected 0 to {count - 1} ({count} classes)")
        return self.to_model[np.asarray(labels, dtype=np.int64)]
