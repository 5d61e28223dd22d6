"""A drawn net is trained again from its recipe and its shards, and is the same net, with the same log.

Pass rule: of the nets that were trained on a CPU, the cheaper half by size, samples and epochs, one is drawn for each
16 of `--sample` and trained by a process that can reach nothing but its inputs; weights and log have the digests that
its receipt states. Another CPU or other libraries make other weights: statistical, with the reason. Training is given
up when it takes longer than the audit before it (a minute at least), and that is told. Limits: a forged net is met
with the probability that the note states; level 4 trains all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import environments, shard_folders
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce.isolation import IsolatedCheckout, Work
from shiftbench.data import training_log
from shiftbench.files import sha256
from shiftbench.provenance.recipe import Artifact
from shiftbench.refs import Ref

NUMBER, LEVEL = "A33", 3
_EACH, _SECONDS = 16, 60.0


@dataclass
class _Net(Work):
    """A net that is trained again."""

    artifact: Artifact

    @property
    def ref(self) -> Ref:
        """Its weights."""
        return self.artifact.ref


def check(case: Case) -> Iterator[Finding | Note]:
    """Train drawn nets again, as long as time allows."""
    checkout = IsolatedCheckout(case, "trained")
    nets = _cheap(case)
    patience, done = max(_SECONDS, time.time() - case.started), 0
    for at in case.draw("training", len(nets), max(1, case.count // _EACH)):
        net, started = _Net(artifact=nets[at]), time.time()
        missing = checkout.missing(net.artifact)
        if missing:
            why = f"it could not be trained again: {missing[0].path} is not here"
            yield case.incomplete(net.ref, why)
            continue
        checkout.do(
            "training_worker",
            [[net]],
            lambda net: _task(checkout, net),
            varied=False,
            seconds=patience,
        )
        patience -= time.time() - started
        if net.late or patience <= 0:
            yield Note(
                f"{net.ref.name} was given up: it takes longer than the rest; level 4 trains it"
            )
            break
        done += 1
        yield from _compared(case, checkout, net)
    yield Note(
        f"{done} of {len(nets)} cheap nets trained again: one forged net of them is met with probability "
        f"{done / len(nets):.0%}"
        if nets
        else "no net that was trained on a CPU is here with what it was trained on"
    )


def _task(checkout: IsolatedCheckout, net: _Net) -> dict[str, object]:
    return {"recipe": checkout.job("train", net.ref.name, [net.artifact])}


def _cheap(case: Case) -> list[Artifact]:
    """Return the cheaper half of the nets that were trained on a CPU, in plan order."""
    trained = [
        artifact
        for ref, artifact, _ in case.of("weights")
        if any(need.kind == "shards" for need in artifact.inputs)
        and str((case.run_file(ref) or {}).get("device") or "cpu") == "cpu"
    ]
    order = sorted(_cost(case, artifact) for artifact in trained)
    return [a for a in trained if _cost(case, a) <= order[len(order) // 2]]


def _cost(case: Case, artifact: Artifact) -> float:
    """Return about how much work a training is: bytes of weights, times samples, times epochs."""
    needs = [need for need in artifact.inputs if need.kind == "shards" and need in case.complete]
    samples = sum((shard_folders.manifest(case, need) or {}).get("samples", 0) for need in needs)
    epochs = artifact.recipe["trainer"]["options"].get("epochs", 1)
    return float((case.root / artifact.ref.path).stat().st_size * max(1, samples) * max(1, epochs))


def _compared(case: Case, checkout: IsolatedCheckout, net: _Net) -> Iterator[Finding]:
    if "error" in net.answer:
        yield case.failed(net.ref, f"it cannot be trained any more: {net.answer['error']}")
        return
    for file in net.answer["undeclared"]:
        why = f"training it opens {file}, which no recipe names; name it in ASSETS, or pin it"
        yield case.failed(net.ref, why, found=file)
    stated = (case.receipt(net.ref) or {})["made"]
    weights = checkout.root / net.ref.path
    run = case.run_file(net.ref) or {}
    reasons = environments.reasons(run.get("environment"), net.environment)
    for file in (training_log.beside(weights), weights):
        found = sha256(file)
        if stated.get(file.name) != found:
            what = "; ".join(reasons) or "nothing in the environment differs from the run's"
            yield case.finding(
                "statistical" if reasons else "failed",
                net.ref,
                f"trained again, {file.name} is another one: {what}",
                file=Path(net.ref.path).with_name(file.name).as_posix(),
                expected=found,
                found=str(stated.get(file.name)),
            )
