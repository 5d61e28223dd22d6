"""Originals in small that are texts: ranked documents, tables of texts, problems of code."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from makers.small_files import Made


def trec(tmp: Path) -> Made:
    """Ten documents of four topics, and in each split three queries; the last two splits have a first stage's run."""
    topics = ("wooden boats", "garden birds", "mountain roads", "old clocks")
    lines = [
        f"FT9{number}.x\tabout {topics[number % 4]}\t{topics[number % 4]} and number{number} again\n"
        for number in range(10)
    ]
    (tmp / "documents.tsv").write_text("".join(lines))
    for part, split in enumerate(("train", "val", "test")):
        (tmp / split).mkdir()
        asked = [(f"{part}0{topic}", f"{topics[topic]} {split}") for topic in range(3)]
        texts = [json.dumps({"query_id": name, "text": text}) + "\n" for name, text in asked]
        (tmp / split / "queries.jsonl").write_text("".join(texts))
        judged = [
            f"{name} 0 FT9{number}.x {int(number % 4 == topic)}\n"
            for topic, (name, _) in enumerate(asked)
            for number in range(8)
        ]
        (tmp / split / "qrels.txt").write_text("".join(judged))
        ranked = [f"{name} Q0 FT9{number}.x 1 {10 - number} first\n" for name, _ in asked for number in range(10)]
        if part:
            (tmp / split / "candidates.run").write_text("".join(ranked))
    return {}, {"path": str(tmp)}


def trec_documents(tmp: Path) -> Made:
    """The documents of `trec`."""
    return trec(tmp)


def text_table(tmp: Path) -> Made:
    """Forty rows in the layout of BOSS: two files, three classes; a row without a text, one without a label."""
    for split, count in (("train", 40), ("test", 12)):
        rows = ["Text\tLabel", *(f"text {n} of {split}\t{n % 3}" for n in range(count))]
        rows[3:3] = ["\t1", "no label\t", f'"a ""quoted""\ttext of {split}"\t1.0']
        (tmp / f"{split}.tsv").write_text("\n".join(rows) + "\n")
    files = {"train": "train.tsv", "test": "test.tsv"}
    options = {"root": str(tmp), "files": files, "counts": {"test": 13}}
    return {}, {**options, "classes": ["negative", "positive", "neutral"]}


def fineweb_edu(tmp: Path) -> Made:
    """Three files in the layout of a sample of FineWeb-Edu, all ten columns, two row groups each; one text is empty."""
    words = "the net learns what a text says and a text says what nets learn".split()
    for number in range(3):
        said = [" ".join(words[(n + k) % len(words)] for k in range(12)) for n in range(40)]
        texts = [f"{text} {number} {n}" for n, text in enumerate(said)]
        texts[5] = ""
        rows = {
            "text": texts,
            "id": [f"<urn:uuid:{number}-{n}>" for n in range(40)],
            "dump": ["CC-MAIN-2024-10"] * 40,
            "url": [f"http://example.org/{n}" for n in range(40)],
            "file_path": ["s3://commoncrawl/warc.gz"] * 40,
            "language": ["en"] * 40,
            "language_score": [0.97] * 40,
            "token_count": [12] * 40,
            "score": [3.1] * 40,
            "int_score": [3] * 40,
        }
        pq.write_table(pa.table(rows), tmp / f"{number:03d}_00000.parquet", row_group_size=20)
    return {}, {"path": str(tmp)}


def questions(tmp: Path) -> Made:
    """Forty questions each in train.jsonl and test.jsonl, as GSM8K has them."""
    for first, split in enumerate(("train", "test")):
        asked = [
            {"question": f"What is {n} and {first + 1}?", "answer": f"They add up.\n#### {n + first + 1}"}
            for n in range(40)
        ]
        (tmp / f"{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked))
    return {}, {"path": str(tmp)}


def gsm8k(tmp: Path) -> Made:
    """Three problems in train.jsonl and test.jsonl, of one, two and an unknown number of operations."""
    for first, split in enumerate(("train", "test")):
        solutions = [
            "It is 4+5 = <<4+5=9>>9.\n#### 9",
            "It is 4+5 = <<4+5=9>>9, twice <<9*2=18>>18.\n#### 18",
            "It says so.\n#### 1,200",
        ]
        rows = [{"question": f"What is it, {split} {first}{n}?", "answer": text} for n, text in enumerate(solutions)]
        (tmp / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {}, {"path": str(tmp)}


def _contest(lengths: tuple[int, ...] = (20, 220, 3)) -> list[dict[str, object]]:
    """Return problems with solutions of so many words."""
    return [
        {"id": n, "problem": f"Find ${n} + 1$.", "solution": "so " * words, "answer": str(n + 1)}
        for n, words in enumerate(lengths)
    ]


def aime(tmp: Path) -> Made:
    """Three problems in the one Parquet file that the hub has."""
    (tmp / "data").mkdir()
    rows = [{**row, "url": "https://example.org/wiki"} for row in _contest()]
    pq.write_table(pa.Table.from_pylist(rows), tmp / "data/train-00000-of-00001.parquet")
    return {}, {"path": str(tmp)}


def omni_math(tmp: Path) -> Made:
    """Three problems in test.jsonl."""
    about = {"domain": ["Mathematics -> Algebra -> Other"], "difficulty": 4.5, "source": "made"}
    rows = [{**about, **row} for row in _contest()]
    (tmp / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {}, {"path": str(tmp)}


def recode_release(tmp: Path) -> Made:
    """Two problems as a file of ReCode's release has them."""
    rows = [
        {
            "task_id": f"t/{number}",
            "prompt": f"def f{number}():\n",
            "entry_point": f"f{number}",
            "canonical_solution": f"    return {number}\n",
            "test": f"def check(candidate):\n    assert candidate() == {number}\n",
        }
        for number in range(2)
    ]
    file = tmp / "HumanEval.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {}, {"path": str(file)}


def realbench(root: Path) -> Made:
    """Write two benchmarks in the official layout: folders BENCHMARK/VARIANT/SPLIT.jsonl."""
    rows = {
        "Deepfake/no_attack/train.jsonl": [("A human text.", "0", "human", 1), ("A machine's.", "1", "GPT2-XL", 2)],
        "Deepfake/no_attack/valid.jsonl": [("Another.", "0", "human", 3)],
        "Deepfake/polish/train.jsonl": [("Polished.", "1", "human_polish_glm4_9b", 4)],
        "OUTFOX/no_attack/test.jsonl": [("Third.", "1", "chatGPT", 5), ("Fourth \u00e9.", "0", "human", 6)],
    }
    for name, lines in rows.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        keys = ("text", "label", "src", "id")
        file.write_text("".join(json.dumps(dict(zip(keys, line, strict=True))) + "\n" for line in lines))
    files = {"train": ["Deepfake/*/train.jsonl"], "val": ["*/*/valid.jsonl"], "test": ["OUTFOX/no_attack/test.jsonl"]}
    return {}, {"root": str(root), "files": files}
