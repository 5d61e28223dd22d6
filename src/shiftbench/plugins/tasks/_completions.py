"""The texts that a model gave for prompts, checked; helper of the tasks whose answers are texts."""

import hashlib

import numpy as np

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample


def checked(samples: list[Sample], outputs: dict[str, np.ndarray]) -> list[list[str]]:
    """Return the `completions` of each sample, as they can be stored.

    Args:
        samples: n prompts.
        outputs: `completions`, object (n,) of sequences of str, all of one length.

    Raises:
        ModelError: other completions than that; names the sample.
    """
    if "completions" not in outputs:
        given = ", ".join(sorted(outputs)) or "nothing"
        raise ModelError(f"the model gives no completions (it gives {given})")
    found = [list(texts) for texts in outputs["completions"]]
    if len(found) != len(samples):
        raise ModelError(f"{len(found)} completions for {len(samples)} prompts; expected one list for each")
    for sample, texts in zip(samples, found, strict=True):
        if not texts or len(texts) != len(found[0]):
            raise ModelError(
                f"sample {sample.key!r} has {len(texts)} completions; expected {len(found[0]) or 1}, as all others have"
            )
        if not all(isinstance(text, str) for text in texts):
            raise ModelError(f"sample {sample.key!r}: a completion is no text")
    return [[_storable(text) for text in texts] for texts in found]


def _storable(text: str) -> str:
    """Return a text with a question mark for each half of a surrogate pair, which no file can hold."""
    return text.encode(errors="replace").decode()


def digest(content: str) -> int:
    """Return a digest of a prompt that fits an int64."""
    found = hashlib.blake2b(content.encode(), digest_size=8).digest()
    return int.from_bytes(found, "little", signed=True)
