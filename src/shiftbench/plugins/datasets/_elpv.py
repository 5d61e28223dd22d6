"""ELPV: electroluminescence images of solar cells, cut out of 44 modules, with defect probabilities.

Source: Deitsch et al. 2019.

Four probabilities occur (0, 1/3, 2/3, 1); the label is `defective` above one half. The data may be used
for non-commercial purposes only. No image occurs twice. Which cells come from one module is not
published, so that splits are by cell.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets._pictures import read_array

TASK = "classification"
CLASSES = ("functional", "defective")
NATIVE = ("all",)
SOURCES = ("elpv",)
LICENCE = "CC BY-NC-SA 4.0 (non-commercial)"
CITATION = (
    "Deitsch et al., Automatic classification of defective photovoltaic module cells in "
    "electroluminescence images, Solar Energy 185, 2019, doi:10.1016/j.solener.2019.02.067"
)
REDISTRIBUTE = False
THRESHOLD = 0.5


class Options(declare.Options):
    part: Literal["", "mono", "poly"] = Field("", description="silicon of the cells, mono- or polycrystalline")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The kind of silicon of a variant."""
    return {"PART": options["part"]}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield all cells: `image` uint8 (300, 300), `label` 0 (functional) or 1 (defective), `meta` probability."""
    kind, folder = params["part"], sources["elpv"]
    for line in (folder / "labels.csv").read_text(encoding="utf-8").splitlines():
        path, probability, module = line.split()
        if module != kind:
            continue
        key = f"elpv_{kind}/all/{Path(path).stem}"
        try:
            image = read_array(folder / path, key)
        except DataError as error:
            yield error
            continue
        fields = {"image": image, "label": int(float(probability) > THRESHOLD)}
        yield Sample(key, {**fields, "meta": {"probability": probability}})
