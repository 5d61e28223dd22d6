"""Writing shards against encoding alone; reading them against raw tar reading and against webdataset.

    python benchmarks/shards.py [--size 28] [--samples 5000] [--repeats 5]

All sides run in turn in one process on one core. Prints one JSON object: samples per second and ratios (ours by
the limit or the peer; above 1 is faster than it), and peak memory in MB.
"""

import argparse
import json
import resource
import statistics
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import webdataset

from evaluation import seconds, synthesise
from shiftbench.base import registry
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, shards


def write(samples: list[Sample], fields: dict[str, str]) -> None:
    """Write shards into a temporary folder."""
    with tempfile.TemporaryDirectory() as home:
        shards.write(samples, Path(home), fields, {}, 256_000_000)


def write_webdataset(samples: list[Sample], home: Path) -> None:
    """Write the same samples with webdataset's TarWriter."""
    with webdataset.TarWriter(str(home / "peer.tar"), mtime=0) as sink:
        for sample in samples:
            data = codecs.encode("png", sample.fields["image"])
            sink.write({"__key__": sample.key, "png": data, "cls": str(sample.fields["label"]).encode()})


def encode(samples: list[Sample]) -> None:
    """Encode the images and nothing else."""
    for sample in samples:
        codecs.encode("png", sample.fields["image"])


def read_tar(file: Path) -> None:
    """Read every member's bytes with the standard library."""
    with tarfile.open(file) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            stream.read()


def read_webdataset(file: Path) -> None:
    """Read and decode with webdataset, as its users do."""
    dataset = webdataset.WebDataset(str(file), shardshuffle=False, empty_check=False)
    for sample in dataset.decode("rgb8"):
        assert sample["png"].ndim


def measure(size: int, count: int, repeats: int) -> dict[str, Any]:
    """Time all sides in turn and return medians."""
    fields = registry.find("tasks", "classification").FIELDS
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        synthesise(home, count, size, grey=size == 28)
        samples, file = list(shards.read(home)), home / "000000.tar"
        sides = {
            "write": lambda: write(samples, fields),
            "write_webdataset": lambda: write_webdataset(samples, home),
            "encode": lambda: encode(samples),
            "read": lambda: list(shards.read(home)),
            "read_tar": lambda: read_tar(file),
            "read_webdataset": lambda: read_webdataset(file),
        }
        for _ in range(repeats):
            for side, call in sides.items():
                times.setdefault(side, []).append(seconds(call))
    rate = {side: round(count / statistics.median(spent)) for side, spent in times.items()}
    return {
        "size": size,
        "samples_per_second": rate,
        "write_by_encode": round(rate["write"] / rate["encode"], 3),
        "write_by_webdataset": round(rate["write"] / rate["write_webdataset"], 3),
        "read_checked_and_decoded_by_raw_tar": round(rate["read"] / rate["read_tar"], 3),
        "read_checked_and_decoded_by_webdataset": round(rate["read"] / rate["read_webdataset"], 3),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print(json.dumps(measure(args.size, args.samples, args.repeats), indent=1))
