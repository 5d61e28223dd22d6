"""Planted faults, and the outputs of the miniature benchmark that they are planted in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from makers import forgeries
from makers.made_benchmark import Made
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards


@dataclass(frozen=True)
class Fault:
    """A fault: the check that detects it, the file that the finding names, and the function that plants it."""

    check: str
    file: str
    plant: Callable[[Made], object]


class Faults(dict[str, Fault]):
    """Faults by their names."""

    def planted(
        self, name: str, check: str, file: str
    ) -> Callable[[Callable[[Made], object]], Callable[[Made], object]]:
        """A decorator that keeps the function that plants a fault."""

        def keep(plant: Callable[[Made], object]) -> Callable[[Made], object]:
            self[name] = Fault(check, file, plant)
            return plant

        return keep


NOISE, CONTRAST3, CONTRAST5 = (
    Ref("shards", f"tiny/test/{name}") for name in ("gaussian_noise/3", "contrast/3", "contrast/5")
)
CLEAN, TRAIN, TEST = (Ref("shards", "other/test/identity/0"), "tiny/train/identity/0", "tiny/test/identity/0")
RECORDS = Ref("records", "tiny/convnet-erm-s0/plain/tiny/test/contrast/3")
FEATURES = Ref("features", "tiny/convnet-erm-s0/plain/tiny/val/identity/0")
SCORES = Ref("scores", "tiny/convnet-erm-s0/plain/msp/tiny/test/identity/0")
SEARCH = Ref("searches", "tiny/convnet-erm-s0/plain/gen")
TABLES, REPORT = Ref("tables", "tiny"), Ref("report", "index")
ONE, TWO = (Ref("checkpoints", f"tiny/convnet-erm-s{seed}") for seed in (0, 1))
PREVIEW = Ref("previews", "tiny/test/jpeg_compression/3")
ALL = pl.lit(value=True)
ACCURACY = (
    (pl.col("metric") == "accuracy")
    & (pl.col("shift") == "contrast")
    & (pl.col("severity") == 3)
    & pl.col("model").str.ends_with("-s0")
)


def metadata(made: Made, ref: Ref, file: Path) -> None:
    """Add a key to the metadata of a Parquet file."""
    with pq.ParquetFile(file) as parquet:
        table, facts = parquet.read(), parquet.metadata.metadata or {}
    with pq.ParquetWriter(file, table.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(table)
        kept = {key: value for key, value in facts.items() if key != b"ARROW:schema"}
        writer.add_key_value_metadata({**kept, b"nonce": b"7"})
    forgeries.update(made.root, ref)


def one_pixel(samples: list[Sample]) -> list[Sample]:
    image = samples[7].fields["image"].copy()
    image[0, 0] ^= 3
    return [*samples[:7], samples[7].with_field("image", image), *samples[8:]]


def copy_in(made: Made, into: Ref, source: Ref) -> None:
    """Put a sample of one folder into another, under a key of its own."""
    guest = next(iter(shards.read(made.folder(source))))
    key = f"{into.parts[0]}/all/zzzz"
    forgeries.samples(made.root, into, lambda samples: [*samples, Sample(key, guest.fields)])
