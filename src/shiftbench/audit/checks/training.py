"""A drawn net is trained again from its recipe and its shards, and is the same net, with the same log.

Pass rule: of the nets that were trained on a CPU, the cheaper half by size, samples and epochs, one is drawn for each
16 of `--sample` and trained by a process that can reach nothing but its inputs; weights and log have the digests that
its receipt states. Other weights are statistical where a run file names another CPU, and then only within what this
audit measures: the net is trained a third time with other kernels, no weight is apart by more than ten times what that
moved (or 256 units of the last place), and the accuracy that training logs is that of the records of the validation
split, within 5 points or three standard errors. Where libraries of other versions are named, weights further apart are
incomplete. Nets that a GPU trained, by their run files, and nets that take longer than the audit before them (a minute
at least, and three times what they took) are named and incomplete. Limits: a forged net is met with the probability
that the note states; level 4 trains all.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftbench.audit.case import Case
from shiftbench.audit.checks import checkpoints
from shiftbench.audit.evidence import environments, shard_folders, weight_files
from shiftbench.audit.finding import Finding, Note, Verdict, some
from shiftbench.audit.reproduce import confinement
from shiftbench.audit.reproduce.isolation import IsolatedCheckout, Work
from shiftbench.audit.reproduce.tolerance import FACTOR, UNITS
from shiftbench.base.files import sha256
from shiftbench.base.refs import Ref
from shiftbench.data import training_log
from shiftbench.provenance.recipe import Artifact

NUMBER, LEVEL = "A33", 3
_EACH, _SECONDS, _TIMES = 16, 60.0, 3
_POINTS, _ERRORS = 0.05, 3
_KERNELS = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Nehalem",
}
"""Kernels that every x86-64 CPU has: how far these move a net is how far another CPU may."""


@dataclass
class _Net(Work):
    """A net that is trained again."""

    artifact: Artifact

    @property
    def ref(self) -> Ref:
        """Its weights."""
        return self.artifact.ref

    @property
    def artifacts(self) -> Sequence[Artifact]:
        """The net alone."""
        return (self.artifact,)


def check(case: Case) -> Iterator[Finding | Note]:
    """Train drawn nets again, as long as time allows."""
    checkout = IsolatedCheckout(case, "trained")
    trained = _trained(case)
    yield from _elsewhere(case, [one for one in trained if not _on_cpu(case, one)])
    nets = _cheap(case, [one for one in trained if _on_cpu(case, one)])
    patience, done = max(_SECONDS, time.time() - case.started), 0
    for at in case.draw("training", len(nets), max(1, case.count // _EACH)):
        net, started = _Net(artifact=nets[at]), time.time()
        missing = checkout.missing(net.artifact)
        if missing:
            why = f"it could not be trained again: {missing[0].path} is not here"
            yield case.incomplete(net.ref, why)
            continue
        _train(checkout, net, max(patience, _TIMES * _took(case, net.ref)))
        patience -= time.time() - started
        if net.late:
            why = "it was drawn and not trained again: it takes longer than the rest; level 4 trains it"
            yield case.incomplete(net.ref, why)
            break
        done += 1
        yield from _compared(case, checkout, net)
        if patience <= 0:
            break
    yield Note(
        f"{done} of {len(nets)} cheap nets trained again, of {len(trained)} in all: one forged net of the cheap ones "
        f"is met with probability {done / len(nets):.0%}"
        if nets
        else "no net that was trained on a CPU is here with what it was trained on",
        limits=True,
    )
    yield confinement.note()


def _train(checkout: IsolatedCheckout, net: _Net, seconds: float, **kernels: str) -> None:
    def task(net: _Net) -> dict[str, object]:
        return {"recipe": checkout.job("train", net.ref.name, [net.artifact])}

    checkout.do("training_worker", [[net]], task, varied=False, seconds=seconds, variables=kernels)


# ------------------------------------------------------------------ which nets


def _trained(case: Case) -> list[Artifact]:
    """Return the nets that learned from shards, in plan order."""
    return [
        artifact for _, artifact, _ in case.of("checkpoints") if any(need.kind == "shards" for need in artifact.inputs)
    ]


def _on_cpu(case: Case, artifact: Artifact) -> bool:
    return str((case.run_file(artifact.ref) or {}).get("device") or "cpu") == "cpu"


def _took(case: Case, ref: Ref) -> float:
    """Return how many seconds a training took, by its run file."""
    seconds = (case.run_file(ref) or {}).get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def _elsewhere(case: Case, nets: list[Artifact]) -> Iterator[Finding]:
    """Name the nets that nobody trains again, since a run file says that a GPU trained them."""
    if nets:
        refs = [net.ref for net in nets]
        why = (
            f"{len(refs)} nets were trained on a GPU, by their run files, and were not trained again: "
            f"{some((ref.name for ref in refs), 8)}; level 4 on such a GPU trains them"
        )
        yield Finding("incomplete", refs[0].path, why, numbers=case.numbers(*refs))


def _cheap(case: Case, trained: list[Artifact]) -> list[Artifact]:
    """Return the cheaper half of some nets, in plan order."""
    order = sorted(_cost(case, artifact) for artifact in trained)
    return [a for a in trained if _cost(case, a) <= order[len(order) // 2]]


def _cost(case: Case, artifact: Artifact) -> float:
    """Return about how much work a training is: bytes of weights, times samples, times epochs."""
    needs = [need for need in artifact.inputs if need.kind == "shards" and need in case.complete]
    samples = sum((shard_folders.manifest(case, need) or {}).get("samples", 0) for need in needs)
    epochs = artifact.recipe["trainer"]["options"].get("epochs", 1)
    return float((case.root / artifact.ref.path).stat().st_size * max(1, samples) * max(1, epochs))


# ------------------------------------------------------------------ what other weights are worth


def _compared(case: Case, checkout: IsolatedCheckout, net: _Net) -> Iterator[Finding]:
    if "error" in net.answer:
        yield case.failed(net.ref, f"it cannot be trained any more: {net.answer['error']}")
        return
    for found in net.answer["undeclared"]:
        why = f"training it {found}, which no recipe names; name a file in ASSETS, or pin it"
        yield case.failed(net.ref, why, found=found)
    stated = (case.receipt(net.ref) or {})["made"]
    weights = checkout.root / net.ref.path
    made = {file.name: sha256(file) for file in (training_log.log_path(weights), weights)}
    other = [name for name, digest in made.items() if stated.get(name) != digest]
    if not other:
        return
    verdict, why = _judged(case, checkout, net)
    for name in other:
        yield case.finding(
            verdict,
            net.ref,
            f"trained again, {name} is another one: {why}",
            file=Path(net.ref.path).with_name(name).as_posix(),
            expected=made[name],
            found=str(stated.get(name)),
        )


def _judged(case: Case, checkout: IsolatedCheckout, net: _Net) -> tuple[Verdict, str]:
    """Return what a net is worth that did not come out exactly, and why: a run file's reason alone excuses nothing."""
    run = case.run_file(net.ref) or {}
    reasons = environments.reasons(run.get("environment"), net.environment)
    if not reasons:
        return "failed", "nothing in the environment differs from the run's"
    told = "; ".join(reasons)
    flaw = _other_accuracy(case, checkout, net)
    if flaw:
        return "failed", f"{flaw}, more than explains: {told}"
    there, here = (weight_files.tensors(root / net.ref.path) for root in (case.root, checkout.root))
    apart = weight_files.apart(there, here)
    if apart is None:
        return ("failed", f"its tensors have other names or shapes, which no environment explains: {told}")
    room = _room(checkout, net, here)
    if apart <= room:
        return ("statistical", f"weights differ by {apart:.2g}, {room:.2g} is possible; what differs: {told}")
    why = f"a weight is apart by {apart:.3g}, where {room:.3g} was measured to be possible"
    if any(environments.is_software(reason) for reason in reasons):
        return "incomplete", f"{why}; audit with the libraries of the run: {told}"
    return "failed", f"{why}, more than explains: {told}"


def _room(checkout: IsolatedCheckout, net: _Net, here: weight_files.Tensors) -> float:
    """Return by how much another CPU may move a weight: measured here, by other kernels."""
    again = _Net(artifact=net.artifact)
    _train(checkout, again, 10 * _SECONDS, **_KERNELS)
    there = {} if again.late or "error" in again.answer else weight_files.tensors(checkout.root / net.ref.path)
    moved = weight_files.apart(there, here) or 0.0
    return max(FACTOR * moved, UNITS["float32"] * max(1.0, weight_files.largest(here)))


def _other_accuracy(case: Case, checkout: IsolatedCheckout, net: _Net) -> str:
    """Return that the net trained again has another accuracy than the recorded one; empty: it has not."""
    log = training_log.log_path(checkout.root / net.ref.path)
    logged, seen = checkpoints.logged(log), checkpoints.seen(case, net.ref, net.artifact)
    if logged is None or seen is None:
        return ""
    accuracy, samples = seen
    room = max(_POINTS, _ERRORS * math.sqrt(0.5 / samples))
    if abs(logged - accuracy) <= room:
        return ""
    return f"its accuracy is {logged:.4f} when trained again, and {accuracy:.4f} in the records"
