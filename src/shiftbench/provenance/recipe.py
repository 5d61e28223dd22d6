"""Recipes of outputs, and the execution of a job that makes outputs with their receipts.

A *recipe* is everything that decides an output: names, parameters, digests of code, fingerprints of
inputs. Its sha256 is the *fingerprint*. Each output X has `X.receipt.json` (deterministic: fingerprint,
recipe, sha256 of the files that were made and consumed, facts) and `X.run.json` (volatile: environment,
commit, device, time; in no byte comparison).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import DataError, StaleError, UndeclaredError
from shiftbench.base.files import from_json, scratch, sha256, sweep, sync, writable, write_json
from shiftbench.base.refs import Ref
from shiftbench.data import pins
from shiftbench.provenance import code_digest, environment, locks, opened_files, trust
from shiftbench.provenance.memo import digests
from shiftbench.provenance.opened_files import Watch
from shiftbench.provenance.receipts import flaw, is_here, is_hollow, stated
from shiftbench.provenance.receipts import made as made
from shiftbench.provenance.receipts import receipt as receipt
from shiftbench.provenance.receipts import receipt_path as receipt_path
from shiftbench.provenance.receipts import run_path as run_path

Recipe = dict[str, Any]
Copy = Callable[[Path, str, Path], bool]
_CHECKOUT_FILES = ("params.yaml", "requirements.lock", "sources.lock", "dvc.lock", "dvc.yaml", ".dvc/config")
"""Files of the checkout that a job may read in addition to its sources and inputs; they decide no output."""


_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return _JSON.encode(value)


def fingerprint(recipe: Recipe, code: str | None = None) -> str:
    """Sha256 of a recipe, hexadecimal.

    Of `code`, only the digests count, and `roots` do not: names of files and definitions are for readers, so that
    moving them changes nothing.

    Args:
        recipe: the recipe.
        code: `code_text` of its code, where it is known: thousands of recipes share one.
    """
    if "code" not in recipe:
        return _sha256(canonical({key: recipe[key] for key in recipe if key != "roots"}))
    before = canonical({key: recipe[key] for key in recipe if key < "code"})
    after = canonical({key: recipe[key] for key in recipe if key > "code" and key != "roots"})
    code_entry = f'"code":{code or code_text(recipe["code"])}'
    return _sha256(f"{{{','.join(filter(None, (before[1:-1], code_entry, after[1:-1])))}}}")


def code_text(code: Any) -> str:
    """JSON text of the part of a recipe's `code` that counts."""
    return canonical(sorted(code_digest.digests(code)) if code else code)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Artifact:
    """One output: its Ref, its recipe, and the Refs that it is made from."""

    ref: Ref
    recipe: Recipe
    inputs: tuple[Ref, ...]
    fingerprint: str

    @classmethod
    def of(cls, ref: Ref, recipe: Recipe, inputs: tuple[Ref, ...], code: str | None = None) -> Artifact:
        """Make an artifact; the fingerprint follows from the recipe."""
        return cls(ref, recipe, inputs, fingerprint(recipe, code))


@dataclass(frozen=True, slots=True)
class Job:
    """Artifacts that one process makes: all severities of a shift, all records of a model."""

    verb: str
    name: str
    artifacts: tuple[Artifact, ...]
    settings: dict[str, Any] = field(default_factory=dict)  # locations, which decide no output

    @property
    def recipe_path(self) -> str:
        """Path of the job's recipe file relative to the output root."""
        return f"recipes/{self.verb}/{self.name}.json"

    @property
    def rule(self) -> str:
        """Its name in the published seconds of a run."""
        name = f"{self.verb}_{self.name}".replace("+", "_and_")
        return name.translate(str.maketrans("/-.", "___"))

    @property
    def outputs(self) -> list[str]:
        """Paths of the artifacts' outputs relative to the output root."""
        return [artifact.ref.path for artifact in self.artifacts]

    @property
    def inputs(self) -> list[Ref]:
        """Inputs of the artifacts, without those that the job makes itself; sorted."""
        return self.inputs_of(artifact.ref for artifact in self.artifacts)

    def inputs_of(self, refs: Iterable[Ref]) -> list[Ref]:
        """Inputs of some artifacts, without those that the job makes itself; sorted."""
        all_refs = {artifact.ref for artifact in self.artifacts}
        selection = all_refs.intersection(refs)
        return sorted(
            {ref for artifact in self.artifacts if artifact.ref in selection for ref in artifact.inputs} - all_refs
        )

    def text(self) -> str:
        """The recipe file's content: JSON, a line for each artifact; code that several share is there once."""
        codes: list[Any] = []
        artifacts = []
        for artifact in self.artifacts:
            recipe = artifact.recipe
            if "code" in recipe:
                codes += [recipe["code"]] if recipe["code"] not in codes else []
                recipe = {**recipe, "code": codes.index(recipe["code"])}
            artifacts.append(
                {
                    "ref": list(artifact.ref),
                    "fingerprint": artifact.fingerprint,
                    "recipe": recipe,
                    "inputs": list(map(list, artifact.inputs)),
                }
            )
        head = {"verb": self.verb, "name": self.name, "settings": self.settings, "codes": codes}
        lines = ",\n".join(canonical(artifact) for artifact in artifacts)
        return f'{canonical(head)[:-1]},"artifacts":[\n{lines}\n]}}\n'

    @classmethod
    def read(cls, file: Path) -> Job:
        """Read a recipe file.

        Raises:
            DataError: it is no recipe.
        """
        try:
            content = from_json(file.read_bytes())
            artifacts = tuple(
                Artifact(
                    Ref(*c["ref"]),
                    _with_code(c["recipe"], content["codes"]),
                    tuple(Ref(*i) for i in c["inputs"]),
                    c["fingerprint"],
                )
                for c in content["artifacts"]
            )
            return cls(content["verb"], content["name"], artifacts, content["settings"])
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise DataError(
                f"{file} is no recipe ({error}); run again: each run writes those that are damaged"
            ) from None


def _with_code(recipe: Recipe, codes: list[Any]) -> Recipe:
    return {**recipe, "code": codes[recipe["code"]]} if "code" in recipe else recipe


def status(root: Path, artifact: Artifact) -> str:
    """Status of an artifact: `fresh`, `missing`, or the reason why it is stale.

    An output without a receipt, which a kill at the wrong moment leaves, is stale.
    """
    content = receipt(root, artifact.ref)
    if content is None:
        return _NO_RECEIPT if is_here(root, artifact.ref) else "missing"
    if content["fingerprint"] != artifact.fingerprint:
        return "recipe changed: " + "; ".join(changes(content["recipe"], artifact.recipe)[:4])
    if content["recipe"] != artifact.recipe and not _is_of(content["recipe"], artifact):
        return "bytes changed: its receipt"
    for ref in artifact.inputs:
        now, then = made(root, ref), content["consumed"].get(ref.path)
        if now is not None and now != then:
            return f"input bytes changed: {ref.path}"
    return flaw(root, artifact.ref) or "fresh"


def _is_of(stated: Recipe, artifact: Artifact) -> bool:
    """Whether a receipt's recipe is an artifact's, whose code may have other names by now."""
    try:
        return fingerprint(stated) == artifact.fingerprint
    except (AttributeError, TypeError):  # `code` is no mapping of texts
        return False


_NO_RECEIPT = "no whole receipt beside it"


def is_damaged(state: str) -> bool:
    """Whether a status means damaged bytes."""
    return state == _NO_RECEIPT or state.startswith("bytes ")


def _row_digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Digest of the rows of each table, which no writer's version changes."""
    tables = [name for name in names if name.endswith(".parquet")]
    if not tables:
        return {}
    from shiftbench.data import row_digests  # imports pyarrow, which the plan does without

    return {name: row_digests.of(folder / name) for name in tables}


def changes(old: Recipe, new: Recipe) -> list[str]:
    """List what differs between two recipes: the definitions by name, then all else as `key: old -> new`."""
    lines = [f"code: {line}" for line in code_digest.differences(old, new)]
    left_out = ("code", "linked", "roots")
    old_rest, new_rest = ({key: value for key, value in recipe.items() if key not in left_out} for recipe in (old, new))
    return lines + differences(old_rest, new_rest)


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """List what differs between two recipes, as `key: old -> new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [
            line for key in keys for line in differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if old == new else [f"{path}: {_short(old)} -> {_short(new)}"]


def _short(value: object) -> str:
    text = canonical(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Run:
    """A running job: the artifacts that are to be made, and the way in which files are put in place."""

    def __init__(self, file: Path, *, again: bool = False) -> None:
        below = max(i for i, part in enumerate(file.parts) if part == "recipes")
        self.root = Path(*file.parts[:below])
        self.job = Job.read(file)
        self._again = {artifact.ref for artifact in self.job.artifacts if again}
        self.started, self.worked = time.time(), _processor_seconds()
        self.notes: dict[str, Any] = {}
        self.watch: Watch | None = None
        self._consumed: dict[Ref, str | None] = {}  # as they were when they were first read

    def path(self, ref: Ref) -> Path:
        """Path of `ref`."""
        return self.root / ref.path

    def places(self, ref: Ref) -> list[Path]:
        """Paths of the files of `ref`, as far as they are known before it is made."""
        output, content = self.path(ref), receipt(self.root, ref)
        names = content["made"] if content else ()
        return [output, receipt_path(self.root, ref), *(output.parent / name for name in names)]

    def inputs(self, artifact: Artifact) -> dict[Ref, Path]:
        """Artifact's inputs by Ref."""
        return {ref: self.path(ref) for ref in artifact.inputs}

    def todo(self) -> list[Artifact]:
        """Artifacts that are to be made: those requested again, and those that are not fresh."""
        streams = "stream" in self.job.settings
        return [
            artifact
            for artifact in self.job.artifacts
            if artifact.ref in self._again
            or status(self.root, artifact) != "fresh"
            or (not streams and is_hollow(self.root, artifact.ref))
        ]

    def restore(self, todo: Iterable[Artifact], copy: Copy) -> bool:
        """Restore the files of artifacts whose receipts are correct and whose files are not, from copies.

        Args:
            todo: artifacts that are to be made; those requested again are not restored.
            copy: writes the bytes of a file, by its path and their sha256, to another place; returns whether it could.

        Returns:
            Whether any artifact is fresh again.
        """
        restored = [self._restore(artifact, copy) for artifact in todo if artifact.ref not in self._again]
        return any(restored)

    def _restore(self, artifact: Artifact, copy: Copy) -> bool:
        content = stated(self.root, artifact.ref)
        if content is None or content["fingerprint"] != artifact.fingerprint:
            return False
        output = self.path(artifact.ref)
        for name in sorted(content["made"], key=lambda name: name == output.name):
            file, digest = output.parent / name, content["made"][name]
            with scratch(file) as temporary:
                if file.is_file() and sha256(file) == digest:
                    continue
                if not copy(file, digest, temporary):
                    return False
                temporary.replace(file)
        return status(self.root, artifact) == "fresh"

    def note(self, **facts: object) -> None:
        """Add facts to the run files of the artifacts committed from now on."""
        self.notes.update(facts)

    def commit(self, artifact: Artifact, files: dict[str, Path], facts: dict[str, Any] | None = None) -> None:
        """Put an artifact's files in place: receipt away, renames, new receipt last.

        Args:
            artifact: the artifact that was made.
            files: final name (next to the output, or in a folder there) -> temporary file, or the file itself if it is
                in place already; the output itself is one of them.
            facts: further facts of the output for the receipt, equal on all machines.

        Raises:
            StaleError: code changed since the recipe was written, or an input since the job began.
            DataError: an input has other bytes than its receipt says, or the output cannot be put in place.
            UndeclaredError: the job is strict and opened a file that nothing names.
        """
        self.check_code(artifact)
        self._check_opened(artifact)
        self.check_bytes(artifact.inputs)
        with writable(self.path(artifact.ref)):
            self._put(artifact, files, facts or {})
        self._again.discard(artifact.ref)

    def check_bytes(self, refs: Iterable[Ref]) -> None:
        """Refuse inputs whose bytes are not those of their receipts, or not those that this job began with.

        Raises:
            DataError: an input is damaged; names the first one.
            StaleError: an input was made again meanwhile.
        """
        for ref in refs:
            wrong, now = flaw(self.root, ref), made(self.root, ref)
            if wrong:
                raise DataError(
                    f"{self.path(ref)} is not what its receipt says ({wrong}); nothing was made from it. Run again: "
                    "what is damaged is made again first"
                )
            if self._consumed.setdefault(ref, now) != now:
                raise StaleError(
                    f"{self.path(ref)} was made again while {self.job.verb} {self.job.name} read it; nothing was made "
                    "from it. Run again"
                )

    def _put(self, artifact: Artifact, files: dict[str, Path], facts: dict[str, Any]) -> None:
        """Put files in place: receipt away, renames, new receipt last."""
        output, proof = self.path(artifact.ref), receipt_path(self.root, artifact.ref)
        final = {name: output.parent / name for name in sorted(files)}
        _refuse_folders([*final.values(), proof])
        made_now = {name: sha256(files[name]) for name in final}
        proof.unlink(missing_ok=True)
        for name in sorted(final, key=lambda name: name == output.name):
            sync(files[name])
            if files[name] != final[name]:
                final[name].parent.mkdir(parents=True, exist_ok=True)
                files[name].replace(final[name])
        with suppress(DataError):  # it only informs
            write_json(run_path(self.root, artifact.ref), self._environment())
        content = {
            "fingerprint": artifact.fingerprint,
            "recipe": artifact.recipe,
            "made": made_now,
            "rows": _row_digests(output.parent, made_now),
            "consumed": {ref.path: self._consumed[ref] for ref in artifact.inputs},
            **({"facts": facts} if facts else {}),
        }
        write_json(proof, content)

    def _environment(self) -> dict[str, Any]:
        """Content of a run file: machine, time and commit of this run, and notes of the stage."""
        now = datetime.now(UTC)
        return {
            "environment": environment.describe(),
            **environment.repository(),
            "determinism": environment.settings(),
            "finished": now.isoformat(timespec="seconds"),
            "seconds": round(now.timestamp() - self.started, 3),
            "cpu_seconds": round(_processor_seconds() - self.worked, 3),
            **self.notes,
        }

    def _check_opened(self, artifact: Artifact) -> None:
        undeclared = self.watch.undeclared() if self.watch and self.strict else []
        if undeclared:
            raise UndeclaredError(
                f"{self.job.verb} {self.job.name} opened {', '.join(undeclared[:3])}, which decides what is made and "
                f"stands in no recipe; {artifact.ref.path} was not written. Name it in the plugin's ASSETS, as an "
                f"input, or by `shiftbench pin {undeclared[0]}`; `strict: false` in params.yaml lets it pass"
            )

    @property
    def strict(self) -> bool:
        """Whether a file that nothing names is an error: by params, else in CI."""
        setting = self.job.settings.get("strict")
        return bool(os.environ.get("CI")) if setting is None else bool(setting)

    def opens(self) -> Watch:
        """Files that the job may open, see `opened_files`."""
        refs = {ref for artifact in self.job.artifacts for ref in (artifact.ref, *artifact.inputs)}
        pinned = {path for a in self.job.artifacts for path in pins.paths(a.recipe)}
        pinned_files = [place for path in pinned for place in pins.local_files(path).values()]
        folders = [self.path(ref).parent for ref in refs if ref.owns_folder]
        folders += [self.root / "recipes", self.root / "logs", *pinned_files]
        files = [self.path(ref) for ref in refs if not ref.owns_folder]
        code = code_digest.files_of(artifact.recipe for artifact in self.job.artifacts)
        user_files = [place for a in self.job.artifacts for place in pins.user_locations(a.ref, a.recipe)]
        folders += [path for path in user_files if path.is_dir()]
        # Where git is asked for the commit, the list of trusted checkouts is read.
        checkout_files = (*map(Path, _CHECKOUT_FILES), trust.listed_in())
        single = [str(path.absolute()) for path in (*pinned_files, *user_files, *checkout_files)]
        allowed = [*opened_files.beginnings(files, folders), *single]
        return Watch(allowed, code)

    def check_code(self, artifact: Artifact) -> None:
        """Refuse to go on if code changed since the recipe was written.

        Raises:
            StaleError: names the definition.
        """
        changed = code_digest.changed_definitions(artifact.recipe)
        if changed:
            raise StaleError(
                f"{changed[0]} changed after the recipe of {artifact.ref.path} was written; nothing was written. "
                "Run again: the new code gets its own recipe"
            )


def _refuse_folders(places: Iterable[Path]) -> None:
    for place in places:
        if place.is_dir() and not place.is_symlink():  # a link is replaced
            raise DataError(f"{place} is a folder, and a file belongs there; move the folder away")


def _processor_seconds() -> float:
    """Seconds of processor time of this process and of those that it waited for."""
    return sum(os.times()[:4])


def execute(
    file: Path, make: Callable[[Run, list[Artifact]], None], *, again: bool = False, copy: Copy | None = None
) -> int:
    """Run one job from its recipe file under a lock that the kernel releases after a kill.

    Args:
        file: the recipe file.
        make: makes artifacts.
        again: make all artifacts of the job, fresh ones too.
        copy: as for `Run.restore`.

    Returns:
        The number of artifacts that were made.
    """
    run = Run(file.resolve(), again=again)
    registry.Folders.use(tuple(Path(folder).resolve() for folder in run.job.settings["plugins"]))
    lock = run.root / "logs" / "locks" / f"{run.job.verb}-{run.job.name.replace('/', '-')}"
    with locks.hold(lock):
        file_digests = digests(run.root)
        file_digests.load()
        todo = run.todo()
        for artifact in todo:
            _refuse_folders(run.places(artifact.ref))  # before hours of work
            sweep(run.path(artifact.ref), owns_folder=artifact.ref.owns_folder)
        if copy and run.restore(todo, copy):
            todo = run.todo()
        for artifact in todo:
            run.check_code(artifact)
            pins.check(artifact.recipe)
        if todo:
            run.check_bytes(run.job.inputs_of(artifact.ref for artifact in todo))
            with opened_files.watched(run.opens()) as watch:
                run.watch = None if run.job.verb == "fetch" else watch
                make(run, todo)
        file_digests.keep()
    return len(todo)
