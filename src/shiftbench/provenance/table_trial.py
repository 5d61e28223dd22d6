"""Trial: a separate process with limited memory first reads the tables of an untrusted checkout.

A Parquet file of 500 kB can contain a table of gigabytes, and a damaged file can crash the process that reads it,
because Arrow is C++. A command reads only tables that the trial could read. On systems without RLIMIT_AS (macOS) the
trial finds only crashes.
"""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from shiftbench.base.errors import DataError
from shiftbench.provenance import child_environment, trust

MEMORY = 4 << 30
"""Most bytes of memory for a table."""
_COMMAND = (sys.executable, "-P", "-m", __name__)
_TOO_LARGE = 3
"""Exit code of a trial without enough memory."""


def require(*folders: Path, home: Path = Path()) -> None:
    """Check that the tables below some folders can be read; tables of a trusted checkout are not checked.

    Raises:
        DataError: names a table that crashes a process or takes too much memory.
    """
    files = [] if trust.is_trusted(home) else sorted(_tables(folders))
    if not files:
        return
    process = subprocess.run(
        [*_COMMAND, str(MEMORY)],
        input="\0".join(map(str, files)).encode("utf-8", "surrogateescape"),
        env=child_environment.build(child_environment.PYTHON, {"ARROW_DEFAULT_MEMORY_POOL": "system"}),
        cwd=child_environment.NOWHERE,
        capture_output=True,
        check=False,
    )
    tables_begun = process.stdout.split()
    if process.returncode and tables_begun:
        large = f"it takes more than {MEMORY >> 20:,} MiB of memory"
        reason = large if process.returncode == _TOO_LARGE else "a process that reads it is ended by it"
        raise DataError(f"{files[len(tables_begun) - 1]} is not read: {reason}; remove it, or get it again")
    if process.returncode:
        errors = process.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
        raise DataError(f"the tables of {home.resolve()} could not be tried: {errors[-1]}")


def _tables(folders: tuple[Path, ...]) -> Iterator[Path]:
    paths = (file for folder in folders for file in folder.absolute().rglob("*.parquet"))
    return (file for file in paths if file.is_file())


def _try(file: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            table = parquet.read(use_threads=False)
        for column in table.columns:  # a dictionary is small, but its values are not
            if pa.types.is_dictionary(column.type):
                column.cast(column.type.value_type)
    except MemoryError:
        sys.exit(_TOO_LARGE)
    except Exception:  # noqa: BLE001 - a later reader reports the error
        pass


def _main() -> None:
    import pyarrow.parquet  # noqa: F401 - its own memory is no table's

    used = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc").is_dir() else 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = used * resource.getpagesize() + int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    for file in sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\0"):
        print(".", flush=True)  # noqa: T201 - one for each table that was begun
        _try(file)


if __name__ == "__main__":
    _main()
