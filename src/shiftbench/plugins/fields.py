"""Fields that the options of many plugins have, each with its type, allowed values and meaning.

class Options(declare.Options):
epochs: fields.Epochs = 12
"""

from typing import Annotated, Any, Literal

from pydantic import Field

Seed = Annotated[int, Field(ge=0, description="seed of the random choices")]
Path = Annotated[str, Field(description="your own file, folder or callable")]
Root = Annotated[str, Field(description="folder with your own copy of the data")]
Licence = Annotated[str, Field(description="licence of your files")]

Epochs = Annotated[int, Field(ge=1, description="passes over the training samples")]
BatchSize = Annotated[int, Field(ge=1, description="samples of a batch")]
Optimizer = Annotated[str, Field(description="a plugin of type optimizers, or a name under `optimizers:`")]
LearningRate = Annotated[float, Field(ge=0, description="learning rate; with a schedule, the highest one")]
WeightDecay = Annotated[float, Field(ge=0, description="weight decay of the optimiser")]
Momentum = Annotated[float, Field(ge=0, lt=1, description="decay of the running mean or sum of gradients")]
Schedule = Annotated[
    Literal["one_cycle", "cosine", "warmup_cosine", "joined_cosine", "steps", "constant"],
    Field(description="learning rate over the steps"),
]
Smoothing = Annotated[
    float, Field(ge=0, le=1, description="label smoothing: the share of the target that all classes get")
]
Shift = Annotated[int, Field(ge=0, description="largest random shift of an image, in pixels; 0: none")]
Flip = Annotated[bool, Field(description="mirror an image left to right with probability one half")]
Crops = Annotated[
    dict[str, Any] | None,
    Field(description="random crops of the stored images: a mapping with `size` and so on; null: no crops"),
]

Size = Annotated[int, Field(ge=1, description="side of the model's input, in pixels")]
Crop = Annotated[
    float, Field(gt=0, le=1, description="side of the central crop, as a share of the resized image's shorter side")
]
Mean = Annotated[list[float], Field(description="mean of each channel, for the normalisation")]
Std = Annotated[list[float], Field(description="standard deviation of each channel, for the normalisation")]

Of = Annotated[str, Field(description="metric that this one is computed from")]
Column = Annotated[str, Field(description="column of the records with the values")]
Unit = Annotated[str, Field(description="unit of the values")]
Higher = Annotated[bool, Field(description="whether a higher value is better")]
