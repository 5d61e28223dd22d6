"""Detectors on kept features: beside the forward pass that made them, beside pytorch-ood, and at the size of ImageNet.

    python benchmarks/detectors.py [--threads 1] [--train 50000]
    python benchmarks/detectors.py --imagenet [--rows 1281167] [--dtype float32] [--scratch FOLDER]

The first form takes a data set of CIFAR-10's size (train, 1,000 val and 10,000 test samples with 512 features and 10
classes, synthetic, in memory) and times fit + score of every detector that does not see the net again, with its default
options, beside one forward pass of a ResNet-18 for 32 px over all of these images (2,000 are measured, and scaled). The
goal is less than 10% for all detectors together.

Beside ours stands pytorch-ood, in the same float32 and on as many threads, from the same features wherever it can be
given features (GradNorm: the last layer alone), with the same options (NNGuide: the whole bank on both sides, in
`ours_as_theirs`, while our default is 1% of it). ViM is measured once more with its `float()` as `double()`, the
precision of ours (`vim_in_float64`), and how far its scores are from ours either way. Used as documented, with a
model and loaders, it passes the images that a detector is fitted on and all test images once per detector: `passes`
counts these, and gives hours by the time of the forward pass that was measured; they are not run.

The second form writes training features and logits of ImageNet's size (2,048 features, 1,000 classes; float32: 10.5
+ 5.1 GB) below `--scratch`, removes them afterwards, and scores 1,000 queries under knn, mds, vim and react, each in a
process of its own. `peak_rss_mb` counts pages of the mapped files too, which the kernel takes back at
need; `peak_anonymous_mb` is what must be there (sampled every 10 ms). The limit is 12 GB.

Prints one JSON object. Times of the first form are CPU seconds, which other programs on the machine change little,
beside sums of wall seconds; those of the second are wall seconds, with CPU seconds beside.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from shiftbench.base import registry
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.detectors import nnguide, vim
from shiftbench.plugins.detectors._rows import BLOCK, Head, Known, Rows

VAL, TEST, WIDTH, CLASSES = 1_000, 10_000, 512, 10
IMAGES = 2_000
LARGE = {"knn": {"k": 1000}, "mds": {}, "vim": {}, "react": {}}
QUERIES, LARGE_WIDTH, LARGE_CLASSES = 1_000, 2_048, 1_000

Peer = tuple[Callable[[], Any], str | None]


class Seconds(NamedTuple):
    """How long a call took: by the CPU, all threads together, and by the wall."""

    cpu: float
    wall: float


def timed(call: Callable[[], Any]) -> tuple[Seconds, Any]:
    """Return the seconds of one call, and what it gives."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    return Seconds(time.process_time() - cpu, time.perf_counter() - wall), result


# --------------------------------------------------------------------- features


def synthetic_head(width: int, classes: int) -> Head:
    """Return the head of a net whose classes lie in their own directions."""
    random = np.random.default_rng(0)
    return Head(random.normal(size=(classes, width)) / np.sqrt(width), np.zeros(classes))


def synthesise(count: int, head: Head, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Return features that are not negative, their logits, and labels; one label in twenty is another."""
    random = np.random.default_rng(seed)
    classes, width = head.weight.shape
    labels = random.permutation(np.arange(count) % classes).astype(np.int32)
    centres = (2 * np.sqrt(width) * head.weight).astype(np.float32)
    features = random.standard_normal((count, width), dtype=np.float32)
    features += centres[labels]
    np.maximum(features, 0, out=features)
    logits = features @ head.weight.T.astype(np.float32)
    wrong = random.random(count) < 0.05
    return features, logits, np.where(wrong, (labels + 1) % classes, labels).astype(np.int32)


def rows(
    features: Any, logits: Any, labels: NDArray[np.int32], head: Head, name: str, best: NDArray[np.int64] | None = None
) -> Rows:
    """Return the rows that a detector would read; `best` are the predictions, where they are known."""
    columns = {
        "key": [f"{name}/{number:07d}" for number in range(len(labels))],
        "label": pa.array(labels),
        "prediction": pa.array((logits.argmax(axis=1) if best is None else best).astype(np.int32)),
    }
    return Rows(pa.table(columns), features, logits, head, name=name)


# --------------------------------------------------------------------- CIFAR's size


def forward(threads: int) -> Seconds:
    """Return the seconds per image of a ResNet-18 for 32 px, from prepared batches of 128."""
    torch.set_num_threads(threads)
    model = registry.find("models", "resnet18_32x32")
    net = model.build(registry.defaults(model), CLASSES)
    predictor = nets.TorchPredictor(net, model, registry.defaults(model), "cpu")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (128, 32, 32, 3), np.uint8)
    batch = predictor.prepare([Sample(str(n), {"image": one}) for n, one in enumerate(images)])
    predictor.predict_prepared(batch)
    sizes = [min(128, IMAGES - low) for low in range(0, IMAGES, 128)]
    took, _ = timed(lambda: [predictor.predict_prepared(batch[:size]) for size in sizes])
    return Seconds(took.cpu / IMAGES, took.wall / IMAGES)


def ours(known: Known, test: Rows) -> dict[str, Seconds]:
    """Return the seconds of fit + score by detector."""
    found = {}
    few = Known({split: next(of.blocks(1024)) for split, of in known.splits.items()})
    for name in registry.names("detectors"):
        detector = registry.find("detectors", name)
        if "net" not in detector.NEEDS:
            _scores(detector, few, few.val, {})  # a first call imports what it needs, numba too
            found[name] = timed(lambda: _scores(detector, known, test, {}))[0]  # noqa: B023
    return found


def _scores(detector: Any, known: Known, test: Rows, options: dict[str, Any]) -> NDArray[Any]:
    options = {**registry.defaults(detector), **options}
    scores: NDArray[Any] = detector.score(test, detector.fit(known, options), options)
    return scores


class Peers:
    """How pytorch-ood's detectors are fitted on a split and score the test samples.

    Args:
        known: train and val rows.
        test: the rows to score.
    """

    def __init__(self, known: Known, test: Rows) -> None:
        self.drawn = {"train": _tensors(known.train), "val": _tensors(known.val)}
        self.features, self.logits, _ = _tensors(test)
        self.layer = torch.nn.Linear(WIDTH, CLASSES)
        head = {"weight": test.head.weight, "bias": test.head.bias}
        self.layer.load_state_dict({name: torch.from_numpy(of).float() for name, of in head.items()})

    def of_logits(self, peer: Any, split: str | None = None) -> Peer:
        """Return a detector of logits, fitted on a split or not."""

        def run() -> Any:
            if split:
                peer.fit_logits(self.drawn[split][1], self.drawn[split][2])
            return peer.predict_logits(self.logits)

        return run, split

    def of_features(self, peer: Any) -> Peer:
        """Return a detector of features, fitted on train samples."""
        features, _, labels = self.drawn["train"]
        return lambda: peer.fit_features(features, labels).predict_features(self.features), "train"

    def of_maps(self, peer: Any, split: str | None = None) -> Peer:
        """Return a detector of maps, of one pixel here, fitted on a split or not."""

        def run() -> Any:
            if split:
                peer.fit_feature_maps(_maps(self.drawn[split][0]), self.drawn[split][2])
            return peer.predict_feature_maps(_maps(self.features))

        return run, split

    def linear(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the logits of maps of one pixel."""
        logits: torch.Tensor = self.layer(maps.flatten(1))
        return logits


def theirs(known: Known, test: Rows, threads: int) -> dict[str, Peer]:
    """Return pytorch-ood's detectors by our names: fit + score, and the split that they are fitted on."""
    from pytorch_ood import detector as peers

    use = Peers(known, test)
    layer, linear = use.layer, use.linear
    knn = peers.KNN(None, k=50)
    knn.knn.set_params(n_jobs=threads)  # theirs takes all cores
    gradnorm = peers.GradNorm(layer, lambda name: name == "weight")
    return {
        "msp": use.of_logits(peers.MaxSoftmax(None)),
        "energy": use.of_logits(peers.EnergyBased(None)),
        "max_logit": use.of_logits(peers.MaxLogit(None)),
        "entropy": use.of_logits(peers.Entropy(None)),
        "gen": use.of_logits(peers.GEN(None, M=CLASSES)),
        "kl_matching": use.of_logits(peers.KLMatching(None), "val"),
        "temp_scale": use.of_logits(peers.TemperatureScaling(None), "val"),
        "openmax": use.of_logits(peers.OpenMax(None, tailsize=20, alpha=3), "train"),
        "gradnorm": (lambda: gradnorm.predict(use.features), None),
        "mds": use.of_features(peers.Mahalanobis(None)),
        "rmds": use.of_features(peers.RMD(None)),
        "knn": use.of_features(knn),
        "vim": use.of_features(peers.ViM(None, WIDTH // 2, layer.weight, layer.bias)),
        "she": use.of_features(peers.SHE(None, layer)),
        "nnguide": use.of_features(peers.NNGuide(None, layer, k=100)),
        "fdbd": use.of_features(peers.fDBD(None, layer)),
        "nci": use.of_features(peers.NCI(None, layer, alpha=1e-4)),
        "dice": use.of_features(peers.DICE(None, layer.weight, layer.bias, 0.9)),
        "react": use.of_maps(peers.ReAct(None, linear), "val"),
        "vra": use.of_maps(peers.VRA(None, linear, 0.1, 0.9), "val"),
        "scale": use.of_maps(peers.SCALE(None, linear, 0.85)),
        "ash_b": use.of_maps(peers.ASH(None, linear, "ash-b", 0.9)),
        "ash_p": use.of_maps(peers.ASH(None, linear, "ash-p", 0.9)),
        "ash_s": use.of_maps(peers.ASH(None, linear, "ash-s", 0.9)),
    }


def in_float64(known: Known, test: Rows) -> dict[str, float]:
    """Return the CPU seconds of ViM in float64, ours and pytorch-ood's, and how far the latter's scores are from ours.

    Both run twice, and the second time counts: the first fills new memory.
    """
    from pytorch_ood import detector as peers

    head = test.head
    weight, bias = torch.from_numpy(head.weight), torch.from_numpy(head.bias)
    (train, _, labels), queries = _tensors(known.train), _tensors(test)[0]

    def run() -> NDArray[np.float64]:
        peer = peers.ViM(None, WIDTH // 2, weight, bias).fit_features(train, labels)
        scores: NDArray[np.float64] = peer.predict_features(queries).double().numpy()
        return scores

    mine, scores = [timed(lambda: _scores(vim, known, test, {})) for _ in range(2)][1]
    apart = {"float32": np.abs(run() - scores).max()}
    with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
        theirs, exact = [timed(run) for _ in range(2)][1]
    apart["float64"] = np.abs(exact - scores).max()
    found = {"ours": mine.cpu, "pytorch_ood": theirs.cpu}
    found |= {f"scores_apart_{name}": float(value) for name, value in apart.items()}
    return {name: float(f"{value:.3g}") for name, value in found.items()}


def _tensors(some: Rows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    labels = torch.from_numpy(some.labels.astype(np.int64))
    return torch.from_numpy(some.features), torch.from_numpy(some.logits), labels


def _maps(features: torch.Tensor) -> torch.Tensor:
    return features[:, :, None, None]


def small(count: int, threads: int) -> dict[str, Any]:
    """Time both sides and the forward pass at CIFAR's size."""
    head = synthetic_head(WIDTH, CLASSES)
    splits = {
        name: rows(*synthesise(size, head, seed), head, name)
        for seed, (name, size) in enumerate({"train": count, "val": VAL, "test": TEST}.items())
    }
    known, test = Known(splits), splits["test"]
    each = forward(threads)
    with threadpool_limits(threads):
        own = ours(known, test)
        peers = theirs(known, test, threads)
        their = {name: timed(run)[0] for name, (run, _) in peers.items()}
        exact = in_float64(known, test)
        whole_bank = timed(lambda: _scores(nnguide, known, test, {"bank": 1.0}))[0]
    as_theirs = {name: whole_bank if name == "nnguide" else own[name] for name in their}
    images = sum(len(splits[split]) if split else 0 for _, split in peers.values())
    images += len(peers) * len(test)
    passed = count + VAL + TEST
    sums = {"ours": own, "ours_as_theirs": as_theirs, "pytorch_ood": their}
    return {
        "train": count,
        "threads": threads,
        "forward_pass": round(passed * each.cpu, 2),
        "share_of_forward_pass": round(_sum(own).cpu / (passed * each.cpu), 4),
        "sums": {name: round(_sum(of).cpu, 2) for name, of in sums.items()},
        "wall": {name: round(_sum(of).wall, 2) for name, of in sums.items()}
        | {"forward_pass": round(passed * each.wall, 2)},
        "vim_in_float64": exact,
        **{name: {one: round(took.cpu, 3) for one, took in of.items()} for name, of in sums.items()},
        "passes": {
            name: {"images": number, "hours": round(number * each.cpu / 3600, 2)}
            for name, number in {"ours": passed, "pytorch_ood": images}.items()
        },
    }


def _sum(taken: dict[str, Seconds]) -> Seconds:
    return Seconds(*(sum(kind) for kind in zip(*taken.values(), strict=True)))


# --------------------------------------------------------------------- ImageNet's size


def large(count: int, dtype: str, threads: int, scratch: Path) -> dict[str, Any]:
    """Write features of ImageNet's size, and measure each detector in a process of its own."""
    need = count * (LARGE_WIDTH * np.dtype(dtype).itemsize + 4 * LARGE_CLASSES)
    free = shutil.disk_usage(scratch).free
    if free < 1.1 * need:
        raise SystemExit(
            f"{scratch} has {free / 1e9:.1f} GB free, expected {1.1 * need / 1e9:.1f}; name another "
            "folder with --scratch, or fewer samples with --rows"
        )
    with tempfile.TemporaryDirectory(dir=scratch) as home:
        with threadpool_limits(threads):
            wrote = timed(lambda: _write(Path(home), count, dtype))[0].wall
        found = {}
        with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            for name in LARGE:
                found[name] = pool.apply(measured, (name, Path(home), threads))
    about = {"rows": count, "queries": QUERIES, "dtype": dtype, "threads": threads}
    return {**about, "features_gb": round(need / 1e9, 2), "writing": round(wrote, 1), "detectors": found}


def _write(home: Path, count: int, dtype: str) -> None:
    """Write `train.npy`, `train.logits.npy` and `train.known.npy` (labels, predictions), a block at a time."""
    head = synthetic_head(LARGE_WIDTH, LARGE_CLASSES)
    create = np.lib.format.open_memmap
    features = create(home / "train.npy", "w+", np.dtype(dtype), (count, LARGE_WIDTH))
    kept = create(home / "train.logits.npy", "w+", np.dtype("float32"), (count, LARGE_CLASSES))
    known = np.empty((2, count), np.int32)
    for seed, low in enumerate(range(0, count, BLOCK)):
        part = slice(low, min(low + BLOCK, count))
        features[part], logits, known[0, part] = synthesise(part.stop - low, head, seed)
        kept[part], known[1, part] = logits, logits.argmax(axis=1)
    features.flush()
    kept.flush()
    np.save(home / "train.known.npy", known)


def measured(name: str, home: Path, threads: int) -> dict[str, float]:
    """Return the seconds and the memory of one detector; this is a process of its own."""
    head = synthetic_head(LARGE_WIDTH, LARGE_CLASSES)
    features, kept = (np.load(home / file, mmap_mode="r") for file in ("train.npy", "train.logits.npy"))
    labels, best = np.load(home / "train.known.npy")
    train = rows(features, kept, labels, head, "train", best)
    val, test = (rows(*synthesise(QUERIES * 5, head, 10**6 + seed), head, f"other{seed}") for seed in range(2))
    test = next(test.blocks(QUERIES))
    detector = registry.find("detectors", name)
    options = {**registry.defaults(detector), **LARGE[name]}
    torch.set_num_threads(threads)
    with threadpool_limits(threads), Anonymous() as memory:
        known = Known({"train": train, "val": val})
        fit, state = timed(lambda: detector.fit(known, options))
        score, _ = timed(lambda: detector.score(test, state, options))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "fit": round(fit.wall, 2),
        "score": round(score.wall, 2),
        "cpu": round(fit.cpu + score.cpu, 2),
        "peak_rss_mb": peak,
        "peak_anonymous_mb": memory.peak_mb,
    }


class Anonymous:
    """Samples the memory of this process that no file backs (Linux)."""

    def __init__(self) -> None:
        self.peak_mb = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            status = Path("/proc/self/status").read_text()
            (line,) = (line for line in status.splitlines() if line.startswith("RssAnon"))
            self.peak_mb = max(self.peak_mb, int(line.split()[1]) // 1024)

    def __enter__(self) -> Anonymous:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._done.set()
        self._thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--train", type=int, default=50_000)
    parser.add_argument("--imagenet", action="store_true")
    parser.add_argument("--rows", type=int, default=1_281_167)
    parser.add_argument("--dtype", choices=["float32", "float16"], default="float32")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    args = parser.parse_args()
    found = (
        large(args.rows, args.dtype, args.threads, args.scratch) if args.imagenet else small(args.train, args.threads)
    )
    print(json.dumps(found, indent=1))
