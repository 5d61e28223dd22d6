"""The peer's corruptions for a process with other libraries: a request and an image in, an image out.

Runs in the peer's environment (`pip install imagecorruptions-imaug opencv-python`); see shift_effect.py. A
request is a line of JSON (name, level, draw, shape) on standard input, then the pixels.
"""

import json
import sys
import warnings

import numpy as np


def main() -> None:
    with warnings.catch_warnings(action="ignore"):
        import imagecorruptions
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        pixels = sys.stdin.buffer.read(int(np.prod(asked["shape"])))
        image = np.frombuffer(pixels, np.uint8).reshape(asked["shape"])
        np.random.seed(asked["draw"])  # noqa: NPY002, TID251 - the peer has no other
        with warnings.catch_warnings(action="ignore"):
            result = imagecorruptions.corrupt(image, asked["level"], asked["name"])
        sys.stdout.buffer.write(np.ascontiguousarray(result, dtype=np.uint8).tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
