"""Start of NegLabel and LAPT: a frozen network from a checkpoint of another data set, or with the negatives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.lapt.models import _towers, prompted

NAMES = ("classes", "curated")
Images = Annotated[str, Field(description="data set of images of negative labels, which come first; empty: none")]
Trained = Annotated[int, Field(ge=0, description="negative labels that prompts are learned on, the first ones")]
Scale = Annotated[float, Field(ge=0, description="scale of logits; 0: the model's own")]
Names = Annotated[
    Literal["classes", "curated"], Field(description="ID names: the data set's, or those curated by CLIP's authors")
]


@dataclass(frozen=True, slots=True)
class Begin:
    """A network with its text tower, frozen.

    Attributes:
        model: of the model `prompted`, in evaluation mode; nothing in it learns.
        tower: its text tower.
        names: the ID names, underscores as spaces.
        forced: names of negative labels that there are images of.
        scale: factor of the cosines.
    """

    model: Any
    tower: _towers.Tower
    names: list[str]
    forced: list[str]
    scale: float

    @property
    def device(self) -> torch.device:
        """Device of the computation."""
        place: torch.device = self.model.head.weight.device
        return place

    def state(self, known: torch.Tensor, negatives: torch.Tensor, **others: torch.Tensor) -> nets.State:
        """The network's state dict around directions of ID names (C, d) and of negative labels (N, d)."""
        head = {"head.weight": self.scale * known, "head.bias": torch.zeros(len(known))}
        own = {"negatives": self.scale * negatives, "unit": torch.tensor(1.0), **others}
        return {**self.model.state_dict(), **head, **own}


def checkpoint(params: Mapping[str, Any]) -> Ref:
    """Checkpoint of the dual encoder: of the same seed, or of seed 0 where it is public."""
    seed = params["seed"] if params["same_seed"] else 0
    return refs.checkpoint(params["learnt_from"], params["start_model"], params["start"], seed)


def shards_of_images(params: Mapping[str, Any], *splits: str) -> list[Ref]:
    """The shards of images of negative labels, if there are any."""
    return [refs.shards(params["images"], split) for split in splits if params["images"]]


def begin(job: TrainJob) -> Begin:
    """The frozen network.

    Raises:
        ModelError: the model is another one than `prompted`, the weights do not fit it, or nobody curated names.
        ParamsError: `names` is neither `classes` nor `curated`.
    """
    if not hasattr(job.plugin, "tower"):
        raise ModelError(f"model {job.model!r} keeps no negative labels; take the model `prompted`")
    (file,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    classes = nets.classes_of(file)
    model: Any = job.plugin.build(job.model_params, len(classes))
    room = {name: value for name, value in model.state_dict().items() if name in ("negatives", "words", "contexts")}
    nets.load_into(model, {**room, **nets.read_state(file)}, file)
    nets.place(model, nets.pick_device(job.device)).eval().requires_grad_(requires_grad=False)
    return Begin(
        model=model,
        tower=prompted.tower(model, job.model_params, job.inputs),
        names=_names(job),
        forced=_forced(job),
        scale=job.params["scale"] or float(model.scale),
    )


def _names(job: TrainJob) -> list[str]:
    if job.params["names"] not in NAMES:
        raise ParamsError(f"names is {job.params['names']!r}; {suggest(job.params['names'], NAMES)}")
    if job.params["names"] == "classes":
        return _spoken(job.classes)
    module, _ = prompted.inner(job.model_params)
    if not hasattr(module, "curated"):
        raise ModelError(
            f"names: curated, but the authors of {job.model_params['encoder']!r} curated none; take open_clip"
        )
    names: list[str] = module.curated(job.classes)
    return names


def _forced(job: TrainJob) -> list[str]:
    if not job.params["images"]:
        return []
    folder = shards_at(job, "train")
    return _spoken(shards.manifest(folder)["classes"])


def shards_at(job: TrainJob, split: str) -> Any:
    """The folder with a split of the images of negative labels."""
    name = refs.shards(job.params["images"], split).name
    return next(path.parent for ref, path in job.inputs.items() if ref.kind == "shards" and ref.name == name)


def _spoken(names: Any) -> list[str]:
    return [str(name).replace("_", " ") for name in names]
