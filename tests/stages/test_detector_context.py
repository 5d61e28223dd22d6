"""What detectors of one job share: one net per records, and heads that are what they seem."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.plugins.detectors._rows import Head, Rows
from shiftbench.workflow.stages.detector_context import DetectorContext, check_head


def test_records_have_one_net_for_all_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detectors remember what a net gave, and a search asks often."""
    monkeypatch.setattr(DetectorContext, "_predictor", lambda *_: SimpleNamespace(net=torch.nn.Identity()))
    context = DetectorContext(SimpleNamespace(path=lambda ref: Path(ref.name)))  # type: ignore[arg-type]
    shards = [Ref("shards", name) for name in ("toy/test", "toy/val")]
    data = {"a": "toy/test", "b": "toy/val"}
    artifact: Any = SimpleNamespace(inputs=shards, recipe={"data": data, "batch_size": 4})
    rows = Rows(pa.table({"key": ["x"]}))
    first, again, other = (context._with_net(artifact, rows, name).net for name in ("a", "a", "b"))
    assert first is again
    assert first is not other
    assert context.seen_again == 0
    first.seen, other.seen = 30, 12
    assert context.seen_again == 42


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_heads_that_ran_in_half_precision_give_the_logits(kind: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(512, 10)
    layer.weight.data = torch.randn(10, 512, generator=random) / 8
    features = torch.relu(torch.randn(100, 512, generator=random))
    with torch.no_grad(), torch.autocast("cpu", kind, enabled=kind != torch.float32):
        logits = layer(features).float().numpy()
    table = pa.table({"key": [f"toy/{i:03d}" for i in range(100)]})
    head = Head(*(part.detach().double().numpy() for part in (layer.weight, layer.bias)))
    check_head(head, Rows(table, features.numpy(), logits))
    normalised = features.numpy() / np.linalg.norm(features.numpy(), axis=1, keepdims=True)
    for wrong in (20 * head(normalised), logits + 1):
        with pytest.raises(ModelError, match="the head's weights give other logits"):
            check_head(head, Rows(table, features.numpy(), wrong.astype(np.float32)))
