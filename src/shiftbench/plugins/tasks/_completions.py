"""The texts that a model gave for prompts, checked; helper of the tasks whose answers are texts."""

import hashlib

import numpy as np

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample


def checked(samples: list[Sample], outputs: dict[str, np.ndarray]) -> list[list[str]]:
    """The `completions` of each sample, as they can be stored.

    Args:
        samples: n prompts.
        outputs: `completions`, object (n,) of sequences of str, all of one length.

    Raises:
        ModelError: other completions than that; names the sample.
    """
    if "completions" not in outputs:
        names = ", ".join(sorted(outputs)) or "nothing"
        raise ModelError(f"the model gives no completions (it gives {names})")
    completions = [list(texts) for texts in outputs["completions"]]
    if len(completions) != len(samples):
        raise ModelError(f"{len(completions)} completions for {len(samples)} prompts; expected one list for each")
    for sample, texts in zip(samples, completions, strict=True):
        if not texts or len(texts) != len(completions[0]):
            raise ModelError(
                f"sample {sample.key!r} has {len(texts)} completions; "
                f"expected {len(completions[0]) or 1}, as all others have"
            )
        if not all(isinstance(text, str) for text in texts):
            raise ModelError(f"sample {sample.key!r}: a completion is no text")
    return [[_storable(text) for text in texts] for texts in completions]


def _storable(text: str) -> str:
    """A text with a question mark for each half of a surrogate pair, which no file can hold."""
    return text.encode(errors="replace").decode()


def digest(content: str) -> int:
    """A digest of a prompt that fits an int64."""
    raw = hashlib.blake2b(content.encode(), digest_size=8).digest()
    return int.from_bytes(raw, "little", signed=True)
