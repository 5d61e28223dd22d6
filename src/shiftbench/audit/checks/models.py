"""Checks of models: checkpoints as files, and a drawn model that is trained again."""

import ast
import functools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from safetensors import SafetensorError, safe_open

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import checkpoint_files, environments, shard_folders, table_files
from shiftbench.audit.finding import Finding, Note, Verdict, some
from shiftbench.audit.reproduce import confinement
from shiftbench.audit.reproduce.isolation import IsolatedCheckout, Remade
from shiftbench.audit.reproduce.tolerance import FACTOR, UNITS
from shiftbench.base import registry
from shiftbench.base.errors import DataError
from shiftbench.base.files import sha256
from shiftbench.base.refs import Ref
from shiftbench.data import training_log
from shiftbench.provenance.recipe import Artifact


@check("A16", level=1)
def checkpoints(case: Case) -> Iterator[Finding | Note]:
    """Checkpoints contain tensors only, and belong to their receipt and their training data.

    Pass rule: the file is safetensors. Anything else, for example a pickle, is not opened, since loading it could run
    code. The metadata have the name and the fingerprint of the receipt (`coverage` compares the classes). Every tensor
    is finite. Models that were trained here from different seeds have different tensors. The training log is a readable
    table. Its last `val_accuracy` is within 5 points of that of the records of the validation split, if these are kept
    and the trainer measures it by the model's own predictions. The checkpoint of a black box (`predictions`,
    `callable`, ONNX) has the sha256 of the user's file. `digests` checks the digests of checkpoints and of pinned
    files.

    Limits: `training` checks for a drawn model that training gives these tensors, level 4 for all models.
    """
    files = tensors = 0
    contents: dict[str, tuple[Ref, Artifact]] = {}
    for ref, artifact, receipt in case.outputs("checkpoints"):
        files += 1
        file = case.root / ref.path
        try:
            stated = checkpoint_files.metadata(file)
            for name, expected in (("name", ref.name), ("fingerprint", receipt["fingerprint"])):
                why = f"this is another checkpoint: its {name} is not that of the receipt; pull or train it again"
                yield from case.expect(ref, why, expected, stated.get(name))
            broken, count = _infinite_tensor(file)
            tensors += count
            yield from _copied(case, ref, artifact, contents)
        except (DataError, SafetensorError) as error:
            yield case.failed(ref, f"it is not opened: {error}")
            continue
        if broken:
            yield case.failed(ref, f"tensor {broken} is not finite")
        yield from _log(case, ref, artifact)
    yield Note(f"{files} checkpoints with {tensors} tensors")


def _copied(case: Case, ref: Ref, artifact: Artifact, contents: dict[str, tuple[Ref, Artifact]]) -> Iterator[Finding]:
    """Yield a finding if a model has the tensors of one that was trained from another seed."""
    if not any(need.kind == "shards" for need in artifact.inputs):
        return  # it was not trained here
    first, other = contents.setdefault(checkpoint_files.content(case.root / ref.path), (ref, artifact))
    if artifact.recipe.get("seed") != other.recipe.get("seed"):
        why = f"its tensors are those of {first.name}, which has another seed: one is a copy; train both again"
        yield case.failed(ref, why, expected="other tensors", found="equal tensors")


def _infinite_tensor(file: Path) -> tuple[str | None, int]:
    """Name of the first tensor that is not finite, and how many there are."""
    with safe_open(file, framework="np") as opened:
        opened.keys()  # the library looks whether offsets and shapes agree
    tensors = list(checkpoint_files.finite(file))
    return next((name for name, whole in tensors if not whole), None), len(tensors)


def _log(case: Case, ref: Ref, artifact: Artifact) -> Iterator[Finding]:
    log, place = _log_of(training_log.log_path(case.root / ref.path)), f"{ref.path}.log.parquet"
    if isinstance(log, str):
        yield case.failed(ref, log, file=place)
        return
    last, known = _last_accuracy(log), _recorded_accuracy(case, ref, artifact)
    if last is not None and known is not None and abs(last - known[0]) > _POINTS:
        why = "the last accuracy in the log of the training is not that of the records of the validation split"
        yield case.failed(ref, why, file=place, expected=f"{known[0]:.4f}", found=f"{last:.4f}")


# ------------------------------------------------------------------ logs of trainings


_POINTS = 0.05
"""Difference of a logged accuracy and that of the records that is allowed."""
_LOGGED = "val_accuracy"


def _log_of(file: Path) -> pa.Table | str:
    """Read the log of a training; a text says why it cannot be read."""
    if not file.is_file():
        return "the log of the training is not here"
    content = table_files.safe_read(file, "checkpoints")
    return content if isinstance(content, str) else content[0]


def _last_accuracy(log: pa.Table | str) -> float | None:
    """Last `val_accuracy` of a log; None: the log cannot be read, or has none, or one for each of several tasks."""
    if isinstance(log, str):
        return None
    rows = [row for row in log.to_pylist() if str(row["name"]).startswith(_LOGGED)]
    if not rows or any(row["name"] != _LOGGED for row in rows):
        return None
    return float(max(rows, key=lambda row: row["step"])["value"])


def _recorded_accuracy(case: Case, ref: Ref, artifact: Artifact) -> tuple[float, int] | None:
    """Accuracy of the records that the trainer validates on, and their number; None: there are no such records."""
    trainer = registry.file("trainers", artifact.recipe["trainer"]["use"])
    if any(isinstance(n, ast.keyword) and n.arg == "validate" for n in ast.walk(_parsed(trainer))):
        return None
    shift = artifact.recipe.get("train_on", "identity/0")
    dataset = ref.parts[0]
    records = Ref("records", f"{ref.name}/plain/{dataset}/val/{shift}")
    if records not in case.complete:
        return None
    table = table_files.readable(case.root / records.path, "records")
    if table is None or "correct" not in table.column_names:
        return None
    right = table.column("correct").drop_null().to_numpy(zero_copy_only=False)
    return (float(right.mean()), len(right)) if len(right) else None


@functools.cache
def _parsed(file: Path) -> ast.AST:
    return ast.parse(file.read_text(encoding="utf-8"))


# ------------------------------------------------------------------ training again


_EACH, _SECONDS, _TIMES = 16, 60.0, 3
_ERRORS = 3
_KERNELS = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Nehalem",
}
"""Kernels that every x86-64 CPU has: another CPU may change a model as much as these do."""


@check("A33", level=3)
def training(case: Case) -> Iterator[Finding | Note]:
    """A drawn model, trained again from its recipe and its shards, has the same tensors and the same log.

    Pass rule: covers the cheaper half, by size, samples and epochs, of the models that were trained on a CPU. One for
    each 16 of `--sample` is drawn. A process that can reach nothing but its inputs trains the model. Checkpoint and log
    have the digests of the receipt. Other tensors are statistical only if the run file names another CPU, and within
    what this audit measures: the model is trained a third time with other kernels, and no weight differs by more than
    ten times what these changed (or 256 units of the last place). The accuracy of the log is that of the records of the
    validation split, within 5 points or three standard errors. If the run file names libraries of other versions,
    larger differences are incomplete. Models that a GPU trained, by their run files, are named and incomplete. So are
    models that take longer than the audit before them (at least a minute, and three times their recorded time).

    Limits: a note states the probability of detecting a forged model; level 4 trains all models.
    """
    checkout = IsolatedCheckout(case, "trained")
    trained = [one for _, one, _ in case.outputs("checkpoints") if any(need.kind == "shards" for need in one.inputs)]
    on_cpu = [one for one in trained if str((case.run_file(one.ref) or {}).get("device") or "cpu") == "cpu"]
    yield from _on_gpu(case, [one.ref for one in trained if one not in on_cpu])
    costs = sorted(_cost(case, one) for one in on_cpu)
    models = [one for one in on_cpu if _cost(case, one) <= costs[len(costs) // 2]]
    patience, done = max(_SECONDS, time.time() - case.started), 0
    for at in case.draw("training", len(models), max(1, case.count // _EACH)):
        model, started = Remade(models[at]), time.time()
        lack = checkout.lack(model.artifact)
        if lack:
            yield case.incomplete(model.ref, f"it could not be trained again{lack}")
            continue
        seconds = (case.run_file(model.ref) or {}).get("seconds")
        _train(checkout, model, max(patience, _TIMES * seconds if isinstance(seconds, int | float) else 0.0))
        patience -= time.time() - started
        if model.is_late:
            why = "it was drawn and not trained again: it takes longer than the rest; level 4 trains it"
            yield case.incomplete(model.ref, why)
            break
        done += 1
        yield from _compare(case, checkout, model)
        if patience <= 0:
            break
    yield Note(
        f"{done} of {len(models)} cheap models trained again, of {len(trained)} in all: one forged model of the "
        f"cheap ones is detected with probability {done / len(models):.0%}"
        if models
        else "no model that was trained on a CPU is here with its training data",
        limits=True,
    )
    yield confinement.note()


def _train(checkout: IsolatedCheckout, model: Remade, seconds: float, **kernels: str) -> None:
    task = {"recipe": checkout.job("train", model.ref.name, [model.artifact])}
    checkout.do("model_worker", [[model]], lambda _: task, varied=False, seconds=seconds, variables=kernels)


# ------------------------------------------------------------------ which models


def _on_gpu(case: Case, refs: list[Ref]) -> Iterator[Finding]:
    """Name the models that are not trained again, since a GPU trained them by their run files."""
    if refs:
        why = (
            f"{len(refs)} models were trained on a GPU, by their run files, and were not trained again: "
            f"{some((ref.name for ref in refs), 8)}; level 4 on such a GPU trains them"
        )
        yield Finding("incomplete", refs[0].path, why, numbers=case.numbers(*refs))


def _cost(case: Case, artifact: Artifact) -> float:
    """Approximate work of a training: bytes of the checkpoint x samples x epochs."""
    needs = [need for need in artifact.inputs if need.kind == "shards" and need in case.complete]
    samples = sum((shard_folders.manifest(case, need) or {}).get("samples", 0) for need in needs)
    epochs = artifact.recipe["trainer"]["options"].get("epochs", 1)
    return float((case.root / artifact.ref.path).stat().st_size * max(1, samples) * max(1, epochs))


# ------------------------------------------------------------------ verdict on other tensors


def _compare(case: Case, checkout: IsolatedCheckout, model: Remade) -> Iterator[Finding]:
    if "error" in model.answer:
        yield case.failed(model.ref, f"it cannot be trained again: {model.answer['error']}")
        return
    for event in model.answer["undeclared"]:
        why = f"training it {event}, which no recipe names; name a file in ASSETS, or pin it"
        yield case.failed(model.ref, why, found=event)
    stated = (case.receipt(model.ref) or {})["made"]
    checkpoint = checkout.root / model.ref.path
    made = {file.name: sha256(file) for file in (training_log.log_path(checkpoint), checkpoint)}
    other = [name for name, digest in made.items() if stated.get(name) != digest]
    if not other:
        return
    verdict, why = _judged(case, checkout, model)
    for name in other:
        yield case.finding(
            verdict,
            model.ref,
            f"trained again, {name} differs: {why}",
            file=Path(model.ref.path).with_name(name).as_posix(),
            expected=made[name],
            found=str(stated.get(name)),
        )


def _judged(case: Case, checkout: IsolatedCheckout, model: Remade) -> tuple[Verdict, str]:
    """Verdict on a model that is not exact, and why: the reason of a run file alone excuses nothing."""
    run = case.run_file(model.ref) or {}
    reasons = environments.reasons(run.get("environment"), model.environment)
    if not reasons:
        return "failed", "nothing in the environment differs from the run's"
    explanation = "; ".join(reasons)
    flaw = _other_accuracy(case, checkout, model)
    if flaw:
        return "failed", f"{flaw}, more than these explain: {explanation}"
    recorded, retrained = (checkpoint_files.tensors(root / model.ref.path) for root in (case.root, checkout.root))
    difference = checkpoint_files.largest_difference(recorded, retrained)
    if difference is None:
        return "failed", f"its tensors have other names or shapes, which no environment explains: {explanation}"
    room = _room(checkout, model, retrained)
    if difference <= room:
        return "statistical", f"weights differ by {difference:.2g}, {room:.2g} is possible; what differs: {explanation}"
    why = f"a weight differs by {difference:.3g}, and {room:.3g} was measured to be possible"
    if any(environments.is_software(reason) for reason in reasons):
        return "incomplete", f"{why}; audit with the libraries of the run: {explanation}"
    return "failed", f"{why}, more than these explain: {explanation}"


def _room(checkout: IsolatedCheckout, model: Remade, retrained: checkpoint_files.Tensors) -> float:
    """Largest difference of a weight that another CPU may make, measured here with other kernels."""
    again = Remade(model.artifact)
    _train(checkout, again, 10 * _SECONDS, **_KERNELS)
    other = {} if again.is_late or "error" in again.answer else checkpoint_files.tensors(checkout.root / model.ref.path)
    difference = checkpoint_files.largest_difference(other, retrained) or 0.0
    return max(FACTOR * difference, UNITS["float32"] * max(1.0, checkpoint_files.largest_weight(retrained)))


def _other_accuracy(case: Case, checkout: IsolatedCheckout, model: Remade) -> str:
    """A text that says that the model trained again has another accuracy than recorded; empty: it has not."""
    log = training_log.log_path(checkout.root / model.ref.path)
    last = _last_accuracy(_log_of(log))
    recorded = _recorded_accuracy(case, model.ref, model.artifact)
    if last is None or recorded is None:
        return ""
    accuracy, samples = recorded
    room = max(_POINTS, _ERRORS * math.sqrt(0.5 / samples))
    if abs(last - accuracy) <= room:
        return ""
    return f"its accuracy is {last:.4f} when trained again, and {accuracy:.4f} in the records"
