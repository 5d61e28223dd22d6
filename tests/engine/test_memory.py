"""What is freed stays with the process: the next batch takes no page from the kernel."""

import subprocess
import sys

PROGRAM = """
import resource, sys
import numpy as np
from shiftbench.workflow.engine import memory
if sys.argv[1] == "kept":
    assert memory.keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def batches(count):
    for _ in range(count):
        np.ones(40_000_000, dtype=np.uint8)
batches(2)
before = faults()
batches(5)
print(faults() - before)
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", PROGRAM, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_second_batch_takes_no_page_from_the_kernel() -> None:
    """Five arrays of 40 MB are 49,000 pages of 4 kB, or 95 huge ones."""
    assert faults("kept") < 50 < faults("given back")
