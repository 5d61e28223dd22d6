"""A5: another seed, or random words that follow from none."""

import pytest

from shiftbench.audit.checks import recipes
from shiftbench.audit.evidence import random_calls
from shiftbench.base import registry


def test_all_random_words_follow_from_the_seed(made):
    assert made.findings("seeds") == []


@pytest.mark.parametrize(
    ("kind", "part", "change", "what"),
    [
        ("shards", "gaussian_noise/1", {"seed": 1}, "seed"),
        ("shards", "gaussian_noise/1", {"fresh": True}, "fresh"),
        ("records", "jpeg_compression/3", {"severity": 4.0}, "severity"),
        ("checkpoints", "s1", {"seed": [0, 0]}, "training seed"),
    ],
)
def test_another_seed_fails(made, kind, part, change, what):
    file = f"{made.one(kind, part).path}.receipt.json"
    made.edit(file, lambda content: content["recipe"].update(change))
    (finding,) = made.findings("seeds")
    assert (finding.verdict, finding.file) == ("failed", file)
    assert f"its {what} is not" in finding.why


def test_a_plugin_that_draws_by_itself_fails(made):
    file = made.root / "mine/datasets/tiny.py"
    file.write_text(file.read_text() + "\nimport random\n\ndef jitter():\n    return random.random()\n")
    (finding,) = made.findings("seeds")
    assert (finding.verdict, finding.file, finding.found) == ("failed", "mine/datasets/tiny.py", "random.random")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import numpy as np\nnp.random.rand(3)", ["numpy.random.rand"]),
        ("from numpy import random\nrandom.seed(0)", ["numpy.random.seed"]),
        ("from random import shuffle\nshuffle([])", ["random.shuffle"]),
        ("import numpy as np\nnp.random.default_rng()", ["numpy.random.default_rng"]),
        ("import numpy as np\nnp.random.Philox(key=None)", ["numpy.random.Philox"]),
        ("import os\nos.urandom(4)", ["os.urandom"]),
        ("import torch\ntorch.randn(3)", ["torch.randn"]),
        ("import torch\ntorch.manual_seed(0)", ["torch.manual_seed"]),
        ("def f(x):\n    x.normal_()", ["x.normal_"]),
        ("import numpy as np\nnp.random.Philox(key=3)\nnp.random.default_rng(5)", []),
        ("import torch\ndef f(g):\n    torch.randn(3, generator=g)", []),
        ("def f(words):\n    random = words\n    return words.random(), random.random()", []),
        ("import random\nrandom.Random(3)", []),
    ],
)
def test_which_calls_draw_from_no_key(tmp_path, source, names):
    file = tmp_path / "plugin.py"
    file.write_text(source)
    assert [name for _, name in random_calls.calls(file, training=False)] == names


def test_a_training_may_use_torchs_generator_but_not_numpys(tmp_path):
    file = tmp_path / "net.py"
    file.write_text("import numpy as np\nimport torch\ntorch.randn(3)\nnp.random.rand()")
    assert list(random_calls.calls(file, training=True)) == [(4, "numpy.random.rand")]


def test_what_decides_nothing_is_called_where_it_is_excused_and_nowhere_else():
    """Of the sandbox, whose secret and whose seed of the programs it runs are in no output."""
    files = sorted((registry.PACKAGE / "evaluation/sandbox").glob("*.py"))
    called = {
        (f"shiftbench/evaluation/sandbox/{file.name}", name)
        for file in files
        for _, name in random_calls.calls(file, training=False)
    }
    assert called == recipes.DECIDES_NOTHING
