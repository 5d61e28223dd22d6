"""Shards read by streaming from HTTP (nginx) and S3 (moto) on loopback, as a ratio to reading from the disk.

    python benchmarks/streaming.py [--samples 4000] [--side 128] [--rounds 5]

Reading is `shards.read`: tar bytes, the digest of each sample, decoding. Both servers share the cores with the reader,
and moto is a server for tests: its ratio is a bound, no measure of S3.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from remotes import servers
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.workflow.storage import streaming


def write(folder: Path, samples: int, side: int) -> None:
    """Write shards of noise, in tars of 32 MB."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)  # hardly compresses, so bytes are what is read
    made = (
        Sample(f"bench/{number:06d}", {"image": noise.integers(0, 256, (side, side), np.uint8), "label": number % 10})
        for number in range(samples)
    )
    about = {"dataset": "bench", "split": "test", "shift": "identity", "severity": 0.0}
    shards.write(made, folder, {"image": "png", "label": "cls"}, about, 32_000_000)


def seconds(place: Path | str, count: int) -> float:
    """Return the time of reading a folder or URL once."""
    began = time.perf_counter()
    with streaming.opened(place) as folder:
        assert sum(1 for _ in shards.read(folder)) == count
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.environ |= {"AWS_ACCESS_KEY_ID": servers.KEY_ID, "AWS_SECRET_ACCESS_KEY": servers.SECRET}
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        home = Path(scratch)
        write(home / "shards", args.samples, args.side)
        web = stack.enter_context(servers.nginx(home / "nginx", home / "shards"))
        s3 = stack.enter_context(servers.s3(home / "s3"))
        os.environ["AWS_ENDPOINT_URL"] = f"http://{servers.HOST}:{s3}"
        for file in (home / "shards").iterdir():
            servers.bucket(s3).put_object(Key=f"shards/{file.name}", Body=file.read_bytes())
        places = {
            "disk": home / "shards",
            "HTTP": f"http://{servers.HOST}:{web}",
            "S3": f"s3://{servers.BUCKET}/shards",
        }
        times = {name: [] for name in places}
        for _ in range(args.rounds):
            for name, place in places.items():
                times[name].append(seconds(place, args.samples))
        size = sum(file.stat().st_size for file in (home / "shards").glob("*.tar")) / 1e6
    print(f"{args.samples} samples, {size:.0f} MB; medians of {args.rounds} rounds\n")
    print("| from | seconds | MB/s | times the disk |\n| --- | --- | --- | --- |")
    for name, each in times.items():
        ratio = statistics.median(a / b for a, b in zip(each, times["disk"], strict=True))
        print(f"| {name} | {statistics.median(each):.2f} | {size / statistics.median(each):.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
