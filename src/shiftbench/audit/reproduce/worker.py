"""Code that the three workers share: read tasks, do them, write answers.

`isolation.py` starts a worker as `python -m MODULE SPEC`. SPEC is a JSON file with `tasks`, `plugins` (folders) and
`number` (of the process). The answers go to a JSON file next to it, and bytes to compare into the same folder.
"""

import contextlib
import hashlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import ChecksumError
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.data.shards import Entry
from shiftbench.provenance import environment, opened_files, ran
from shiftbench.provenance.recipe import Run
from shiftbench.workflow.engine import memory

Task = dict[str, Any]
Answer = dict[str, Any]
Make = Callable[[Task, Path], Answer]
"""Does a task; the path is a folder for bytes."""


def serve(answers: Callable[[list[Task], Path, int], list[Answer]]) -> None:
    """Run this process as a worker: read the specification, write the answers and the environment.

    Args:
        answers: does the tasks; its other arguments are the folder for bytes and the number of the process.
    """
    file = Path(sys.argv[1])
    memory.keep_freed()
    spec: dict[str, Any] = json.loads(file.read_text())
    registry.Folders.use(tuple(Path(folder) for folder in spec["plugins"]))
    done = answers(spec["tasks"], file.parent, spec["number"])
    content = {"environment": environment.describe(), "answers": done}
    file.with_suffix(".answers").write_text(json.dumps(content))


@contextlib.contextmanager
def watch(run: Run) -> Iterator[Callable[[], list[str]]]:
    """Watch the files that a job opens and the definitions that it runs.

    Yields:
        A function that lists those that no recipe names: `opens FILE`, `runs FILE: DEFINITION`.
    """
    with opened_files.watched(run.opens()) as files, ran.watched() as code:
        yield lambda: [
            *(f"opens {file}" for file in files.undeclared()),
            *(f"runs {name}" for name in code.unlisted(one.recipe for one in run.job.artifacts)),
        ]


def answer_or_error(make: Make, task: Task, out: Path) -> Answer:
    """Answer of `make`, or its error, so that other tasks go on."""
    try:
        return make(task, out)
    except Exception as error:  # noqa: BLE001 - plugins and foreign bytes raise what they like
        return {"error": f"{type(error).__name__}: {error}"}


def run_in_fork(make: Make, task: Task, out: Path) -> Answer:
    """Answer of `make` in a new process that ends afterwards."""
    file = out / "fork.json"
    file.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            file.write_text(json.dumps(answer_or_error(make, task, out)))
        os._exit(0)
    os.waitpid(child, 0)
    if not file.is_file():
        return {"error": "the process ended early (killed, or out of memory)"}
    answer: Answer = json.loads(file.read_text())
    return answer


def pick(folder: Path, entries: Iterable[Entry]) -> Iterator[Sample]:
    """Yield some samples of a folder of shards, read from their places in the tars.

    Raises:
        ChecksumError: a sample's bytes are not those of the index.
    """
    names = {extension: name for name, extension in shards.manifest(folder)["fields"].items()}
    for tar, group in itertools.groupby(entries, key=lambda entry: entry.tar):
        with (folder / tar).open("rb") as stream:
            for entry in group:
                stream.seek(entry.offset)
                data = stream.read(entry.size)
                if hashlib.sha256(data).hexdigest() != entry.sha256:
                    raise ChecksumError(f"{folder / tar}: sample {entry.key!r} is damaged")
                yield Sample(entry.key, shards._unpack(memoryview(data), entry.key, names))
