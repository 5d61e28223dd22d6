"""Texts and their classifiers: checkpoints of transformers, tables, mails, parts of a training set."""

import json
from pathlib import Path

import pytest

from makers import miniature_texts
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.systems.llm_tta.datasets import _spam
from shiftbench.workflow.stages.train import train_weights

# --- the classifiers and texts of the full scale ----------------------------------------------------


def checkpoint(folder: Path, labels: int = 2) -> Path:
    """Write a tiny BERT with random weights, in transformers' layout."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join("[PAD] [UNK] [CLS] [SEP] [MASK] good bad".split()))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = BertConfig(vocab_size=7, intermediate_size=8, num_labels=labels, **sizes)
        BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_a_checkpoint_of_transformers_is_a_model(tmp_path: Path) -> None:
    import torch
    from transformers import BertForSequenceClassification

    folder = checkpoint(tmp_path / "bert")
    module = registry.find("models", "text_checkpoint")
    options = {**defaults(module), "path": str(folder)}
    weights = tmp_path / "given.safetensors"
    weights.write_bytes(nets.state_bytes(module.pretrained(options, {})))
    predictor = module.load(weights, options, ["bad", "good"], "cpu", {})
    found = predictor([Sample(text, {"text": text}) for text in ("good", "bad bad")])["logits"]
    net = BertForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        ids = torch.tensor([[2, 5, 3, 0], [2, 6, 6, 3]])
        expected = net(input_ids=ids, attention_mask=(ids != 0).long()).logits.numpy()
    assert found == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ModelError, match="has 2 labels, the dataset 3 classes"):
        module.load(weights, options, ["a", "b", "c"], "cpu", {})
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="is no text classifier of transformers"):
        module.load(weights, options, ["bad", "good"], "cpu", {})


def test_texts_of_tables(tmp_path: Path) -> None:
    _, options = miniature_texts.text_table(tmp_path)
    module = registry.find("datasets", "text_table")
    whole = {**defaults(module), **options}
    found = list(module.samples("test", {}, whole))
    assert len(found) == 13
    assert (found[2].key, found[2].fields) == (
        "text_table/test/0000004",
        {"text": 'a "quoted"\ttext of test', "label": 1},
    )
    with pytest.raises(DataError, match="has 13 samples, expected 14"):
        list(module.samples("test", {}, {**whole, "counts": {"test": 14}}))
    with pytest.raises(ParamsError, match="has no column 'Txt'; did you mean Text|has no column 'Txt'"):
        list(module.samples("test", {}, {**whole, "columns": {"text": "Txt", "label": "Label"}}))
    with pytest.raises(ParamsError, match="the file of 'test' under `files`"):
        list(module.samples("test", {}, {**whole, "files": {}}))
    with pytest.raises(DataError, match=r"none\.tsv does not exist"):
        list(module.samples("test", {}, {**whole, "files": {"test": "none.tsv"}}))
    fewer = list(module.samples("test", {}, {**whole, "classes": ["a", "b"], "counts": {}}))
    assert sum(isinstance(one, RangeError) for one in fewer) == 4


# --- mails ----------------------------------------------------------------------------------------


def test_of_a_mail_what_one_reads_is_kept(tmp_path: Path) -> None:
    mails = {
        "easy-ham-1": ["Subject: Hi\nX-Server: a.b\n\nplain words", "Subject: Hi\n\nPLAIN  words"],
        "spam-1": ["Subject: Buy\nContent-Type: text/html\n\n<style>a{}</style><b>all</b> &amp; now"],
        "easy-ham-2": ["X-Server: a.b\n\n"],
        "spam-2": ["Subject: Hi\n\nplain words"],
        "hard-ham-1": [],
    }
    for collection, some in mails.items():
        (tmp_path / collection).mkdir()
        for number, raw in enumerate(some):
            (tmp_path / collection / f"{number:05d}.abc.json").write_text(json.dumps({"text": raw}))
    found = list(_spam.mails("x", ("easy-ham-1", "spam-1"), tmp_path, 3))
    assert [(s.key, s.fields["text"], s.fields["label"]) for s in found] == [
        ("x/all/easy-ham-1_00000", "Hi plain words", 0),
        ("x/all/spam-1_00000", "Buy all &", 1),
    ]
    assert list(_spam.mails("x", ("easy-ham-2", "spam-2"), tmp_path, 3)) == []  # empty; seen
    (tmp_path / "hard-ham-1/00001.json").write_text("[]")
    with pytest.raises(DataError, match=r"00001\.json is no mail"):
        list(_spam.mails("x", ("hard-ham-1",), tmp_path, 3))


def test_seeds_learn_from_different_parts() -> None:
    parts = [train_weights(training_jobs.job("tfidf", "tfidf_logreg_part", seed=n))[0] for n in (0, 1)]
    whole = train_weights(training_jobs.job("tfidf", "tfidf_logreg_part", share=1.0))[0]
    plain = train_weights(training_jobs.job("tfidf", "tfidf_logreg"))[0]
    assert nets.state_bytes(whole) == nets.state_bytes(plain)
    assert nets.state_bytes(parts[0]) != nets.state_bytes(parts[1])
    with pytest.raises(ParamsError, match=r"share is 0\.0; expected above 0"):
        train_weights(training_jobs.job("tfidf", "tfidf_logreg_part", share=0.0))
