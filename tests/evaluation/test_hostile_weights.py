"""Weights of strangers: damaged bytes give one clear error, and a header cannot take gigabytes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from shiftbench.base.errors import ModelError
from shiftbench.evaluation import nets

GOOD = nets.state_bytes({"head.weight": torch.ones(2, 3), "head.bias": torch.zeros(2)}, {"classes": '["a", "b"]'})


def drawn(random: np.random.Generator) -> bytes:
    """Return damaged bytes: some changed, cut off, or a header of another kind."""
    data = bytearray(GOOD)
    for _ in range(int(random.integers(1, 6))):
        data[int(random.integers(len(data)))] = int(random.integers(256))
    if random.random() < 0.3:
        del data[int(random.integers(len(data))) :]
    if random.random() < 0.3:
        stated = [{"classes": 3}, {"classes": "{"}, {"classes": '{"a": 1}'}, {"classes": "[1]"}, [], "x", None]
        header = json.dumps({"__metadata__": stated[int(random.integers(len(stated)))]}).encode()
        data = bytearray(len(header).to_bytes(8, "little") + header)
    return bytes(data)


def test_damaged_model_are_one_clear_error(tmp_path: Path) -> None:
    random, said, file = np.random.default_rng(5), list[str](), tmp_path / "w.safetensors"
    for _ in range(200):
        file.write_bytes(drawn(random))
        for read in (nets.classes_of, nets.read_state):
            try:
                read(file)
            except ModelError as error:
                said.append(str(error))
    assert len(said) > 100
    assert all(str(file) in text for text in said)


@pytest.mark.parametrize("read", [nets.classes_of, nets.read_state])
def test_a_header_of_many_empty_tensors_is_not_read(tmp_path: Path, read) -> None:
    tensors = {f"{n:07d}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(150_000)}
    header = json.dumps(tensors).encode()
    file = tmp_path / "w.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelError, match=r"its header has [0-9]+ bytes, and may have 10000000"):
        read(file)
