"""`published/`: the authors' results, in git, so that others can compare theirs.

outputs of a configuration -> published/NAME/{about.json, evidence.parquet, seconds.json.gz, results/{tables,claims}/**}

`published/default` is params.yaml, `published/ood` params/ood.yaml, `published/systems/palm` a system. Tables of
metrics and of claims are there byte for byte, and the replicates that claims were judged from, so that anyone can
judge again. For other outputs there is evidence: receipts and run files as they are, and the manifest without the
digests that follow from these; `about.json` states its Merkle root and the evidence's digest. The evidence is one
column of text in one page, so that similar recipes compress well. `seconds.json.gz` has the times of jobs, for people
who plan them again.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
import safetensors

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.files import from_json, scratch_folder, sha256, stays_below, write_bytes
from shiftbench.base.refs import without_seed
from shiftbench.provenance import recipe, trust
from shiftbench.release import git, make, manifest
from shiftbench.workflow.plan import estimate
from shiftbench.workflow.plan.configurations import PLAIN, PUBLISHED, published_folder
from shiftbench.workflow.plan.plan import Plan

FORMAT = "shiftbench-published/1"
ABOUT, EVIDENCE, RESULTS, TABLE = "about.json", "evidence.parquet", "results", "metrics.parquet"
REPLICATES = "claim_replicates.parquet"
LEADERBOARD = "results/report/leaderboard.csv"
_LARGEST = 1 << 20
"""Largest size of about.json in bytes; those of this project have 7,000."""
_ABOUT = {*"format scale root evidence commit created files rows claims environment".split()}
_COLUMNS = pa.schema([("path", pa.string()), ("text", pa.string())])
_WHOLE = 1 << 30
"""Bytes of a page, more than there are: compression sees all at once."""
_LEVEL = 19
_RECEIPT = ".receipt.json"
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Ends of names in a checkpoint that are no parameters."""


@dataclass(frozen=True, slots=True)
class Published:
    """The published results of one configuration.

    Attributes:
        configuration: its name; None is params.yaml.
        root: its folder, laid out as an output root.
        about: content of about.json: commit, time, environment, Merkle root, and counts.
        manifest: as in `release.manifest`.
        texts: receipts and run files by path.
    """

    configuration: str | None
    root: Path
    about: manifest.Content
    manifest: manifest.Content
    texts: dict[str, str]

    def outputs(self) -> dict[str, dict[str, str]]:
        """Digests of the files of each shared output, both by path."""
        entries = manifest.artefacts(self.manifest)
        receipts = [entry.path for entry in entries if entry.kind == "receipt"]
        return {path.removesuffix(_RECEIPT): _stated_digests(path, self.texts[path]) for path in receipts}


def _stated_digests(receipt: str, text: str) -> dict[str, str]:
    """Digests of the files that a receipt states, by path."""
    place = PurePosixPath(receipt).parent
    return {(place / name).as_posix(): digest for name, digest in from_json(text)["made"].items()}


def configurations(home: Path) -> list[str | None]:
    """Configurations with published results, params.yaml first, then sorted."""
    top = home / PUBLISHED
    names = sorted(file.parent.relative_to(top).as_posix() for file in top.rglob(ABOUT))
    return [None if name == PLAIN else name for name in sorted(names, key=_default_first)]


def _default_first(name: str) -> tuple[bool, str]:
    return name != PLAIN, name


def check_tree(home: Path) -> None:
    """Refuse a tree that differs from the commit outside of published/.

    Raises:
        StaleError: a file differs.
    """
    make.check_tree(home, but=f"{PUBLISHED}/")


def write(plan: Plan, root: Path, home: Path, configuration: str | None, created: str) -> Published:
    """Publish the results of a configuration; earlier ones are replaced.

    Args:
        plan: of the configuration.
        root: its output root.
        home: the checkout.
        configuration: its name.
        created: time to state, as `make.release_time` gives it.

    Raises:
        StaleError: an output is stale.
        DataError: an output is missing or damaged, or there is no commit.
    """
    commit = git.commit(home)
    make.check_outputs(plan, root)
    name = (configuration or PLAIN).replace("/", "-")
    content = manifest.build(plan, root, home, manifest.Head(name, configuration, None, created, commit))
    texts, paths = dict(_evidence(plan, root)), _published_files(plan, root)
    target = published_folder(configuration, home)
    trust.refuse_links(target, home=home)
    with scratch_folder(target) as scratch:
        _pack({**texts, manifest.FILE: manifest.lined(_without(content, texts)).decode()}, scratch / EVIDENCE)
        about = _about(plan, root, paths, content, texts) | {"evidence": sha256(scratch / EVIDENCE)}
        write_bytes(scratch / ABOUT, manifest.lined(about))
        for path in paths:
            write_bytes(scratch / path, (root / path).read_bytes())
        write_bytes(scratch / estimate.SECONDS_FILE, estimate.pack(estimate.measured_seconds(plan.jobs.values(), root)))
        _replace(scratch, target)
    return Published(configuration, target, about, content, texts)


def _about(
    plan: Plan, root: Path, paths: list[str], content: manifest.Content, texts: dict[str, str]
) -> manifest.Content:
    tables = [path for path in paths if PurePosixPath(path).name not in (REPLICATES, "leaderboard.csv")]
    counts = {path: pq.read_metadata(root / path).num_rows for path in tables}
    rows = sum(count for path, count in counts.items() if PurePosixPath(path).name == TABLE)
    return {
        "format": FORMAT,
        **{name: content[name] for name in ("scale", "root")},
        **{name: content["volatile"][name] for name in ("commit", "created")},
        "files": len(content["artefacts"]),
        "rows": rows,
        "claims": sum(counts.values()) - rows,
        "parameters": parameters(plan, root),
        "environment": _environments(texts),
    }


def parameters(plan: Plan, root: Path) -> dict[str, int]:
    """Numbers in the checkpoint of each model, by its name without the training seed; running statistics do not count.

    Args:
        plan: of the run.
        root: its output root.
    """
    counts = {}
    for ref in sorted(ref for ref in plan.artifacts if ref.kind == "checkpoints" and (root / ref.path).is_file()):
        with safetensors.safe_open(root / ref.path, framework="numpy") as checkpoint:
            names = [name for name in checkpoint.keys() if not name.endswith(_STATISTICS)]  # noqa: SIM118 - no mapping
            counts[without_seed(ref.name)[0]] = sum(prod(checkpoint.get_slice(name).get_shape()) for name in names)
    return {model: count for model, count in counts.items() if count}  # predictions of others have none


def _replace(scratch: Path, target: Path) -> None:
    """Put the written files in place, about.json last; other files, such as a dvc.yaml, stay."""
    target.mkdir(parents=True, exist_ok=True)
    (target / ABOUT).unlink(missing_ok=True)
    shutil.rmtree(target / RESULTS, ignore_errors=True)
    for name in (RESULTS, EVIDENCE, estimate.SECONDS_FILE, ABOUT):
        (scratch / name).replace(target / name)


def _evidence(plan: Plan, root: Path) -> Iterable[tuple[str, str]]:
    """Yield receipts and run files of all outputs, including features and those that are not shared."""
    for ref in sorted(plan.artifacts):
        for file in (recipe.receipt_path(root, ref), recipe.run_path(root, ref)):
            if file.is_file():
                yield file.relative_to(root).as_posix(), file.read_text()


def _published_files(plan: Plan, root: Path) -> list[str]:
    """Files that are published whole: metric rows, verdicts with replicates, a benchmark's leaderboard."""
    paths = [ref.path for ref in plan.artifacts if ref.kind in ("tables", "claims")]
    judged = [PurePosixPath(ref.path) for ref in plan.artifacts if ref.kind == "claims"]
    replicates = [path.with_name(REPLICATES).as_posix() for path in judged]
    board = () if plan.params.system else (LEADERBOARD,)
    return sorted(path for path in (*paths, *replicates, *board) if (root / path).is_file())


def _without(content: manifest.Content, texts: dict[str, str]) -> manifest.Content:
    """A manifest without the digests and fingerprints that follow from receipts and run files."""
    derived_by_path = _derived(texts)

    def lean(entry: manifest.Content) -> manifest.Content:
        derived = derived_by_path.get(entry["path"], {})
        return {key: value for key, value in entry.items() if derived.get(key) != value}

    return _mapped(content, lean)


def _filled(content: manifest.Content, texts: dict[str, str]) -> manifest.Content:
    """Complete manifest."""
    derived_by_path = _derived(texts)
    return _mapped(content, lambda entry: {**derived_by_path.get(entry["path"], {}), **entry})


def _mapped(content: manifest.Content, change: Callable[[manifest.Content], manifest.Content]) -> manifest.Content:
    volatile = content["volatile"]
    files = [change(entry) for entry in volatile["files"]]
    artefacts = [entry if "withheld" in entry else change(entry) for entry in content["artefacts"]]
    return {**content, "artefacts": artefacts, "volatile": {**volatile, "files": files}}


def _derived(texts: dict[str, str]) -> dict[str, manifest.Content]:
    """Digests and fingerprints that follow from receipts and run files, by path."""
    derived: dict[str, manifest.Content] = {path: {"sha256": _digest(text)} for path, text in texts.items()}
    for path in [path for path in texts if path.endswith(_RECEIPT)]:
        mark = {"fingerprint": from_json(texts[path])["fingerprint"]}
        derived[path] |= mark
        digests = _stated_digests(path, texts[path])
        derived |= {file: {"sha256": digest, **mark} for file, digest in digests.items()}
    return derived


def _environments(texts: dict[str, str]) -> list[manifest.Content]:
    """Environments of the outputs, each with its number of outputs, most first."""
    counts: dict[str, int] = {}
    for path, text in texts.items():
        if path.endswith(".run.json"):
            run = from_json(text)
            environment = recipe.canonical({**run.get("environment", {}), "commit": run.get("commit")})
            counts[environment] = counts.get(environment, 0) + 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"outputs": count, **json.loads(environment)} for environment, count in ranked]


def _pack(texts: dict[str, str], file: Path) -> None:
    paths = sorted(texts)
    table = pa.table([paths, [texts[path] for path in paths]], schema=_COLUMNS)
    pq.write_table(
        table,
        file,
        compression="zstd",
        compression_level=_LEVEL,
        data_page_size=_WHOLE,
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    )


def read(home: Path, configuration: str | None) -> Published:
    """Read the published results of a configuration, and check that they are complete.

    Raises:
        ParamsError: nothing is published for it.
        DataError: a file is missing or damaged, or does not belong to the others.
    """
    place = published_folder(configuration, home)
    if not (place / ABOUT).is_file():
        known = [name or PLAIN for name in configurations(home)]
        raise ParamsError(
            f"nothing is published of {configuration or PLAIN!r}; {suggest(configuration or PLAIN, known)}"
        )
    try:
        if (place / ABOUT).stat().st_size > _LARGEST:
            raise ValueError(f"{ABOUT} has more than {_LARGEST} bytes")
        about = from_json((place / ABOUT).read_bytes())
        table = pq.read_table(place / EVIDENCE, schema=_COLUMNS)
        texts = dict(zip(*(table[name].to_pylist() for name in _COLUMNS.names), strict=True))
        lean = from_json(texts.pop(manifest.FILE))
        content = manifest.parse(manifest.lined(_filled(lean, texts)), place / EVIDENCE)
        flaw = _flaw(place, about, content, texts)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, pa.ArrowException) as error:
        flaw = f"{type(error).__name__}: {error}"
    if flaw:
        raise DataError(f"{place} is not what was published ({flaw}); restore it from git")
    return Published(configuration, place, about, content, texts)


def _flaw(place: Path, about: manifest.Content, content: manifest.Content, texts: dict[str, str]) -> str | None:
    """First flaw of published results; None: there is none."""
    if about["format"] != FORMAT or not about.keys() >= _ABOUT:
        return f"{ABOUT} is not of format {FORMAT}"
    if about["evidence"] != sha256(place / EVIDENCE):
        return f"{EVIDENCE} is another"
    if not about["root"] == content["root"] == manifest.root_of(content):
        return "the Merkle root is not that of the manifest"
    digests = {entry["path"]: entry["sha256"] for entry in content["artefacts"]}
    receipts = [entry["path"] for entry in content["artefacts"] if entry["kind"] == "receipt"]
    stated = {path: digest for receipt in receipts for path, digest in _stated_digests(receipt, texts[receipt]).items()}
    outside = [path for path in stated if not stays_below(path)]
    if outside:
        return f"a receipt names {outside[0]!r}, which leads outside"
    files = {path: place / path for path in stated if (place / path).is_file()}
    digests_here = {path: _digest(texts[path]) for path in receipts}
    digests_here |= {path: sha256(file) for path, file in files.items()}
    wrong = [path for path, digest in {**stated, **digests_here}.items() if digests.get(path) != digest]
    return f"{wrong[0]} is another" if wrong else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
