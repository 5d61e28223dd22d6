"""Small originals in the layout of the real ones, for data that are the user's own or a large download."""

from __future__ import annotations

import io
import itertools
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy.io import wavfile

from isolation import ROOT

Made = tuple[dict[str, Path], dict[str, Any]]
"""Sources (name -> folder) and options."""

DATASETS = ROOT / "src/shiftbench/datasets"
SYSTEMS = ROOT / "src/shiftbench/systems"


def picture(seed: int, size: tuple[int, int] = (12, 9)) -> Image.Image:
    """Return an image of noise, `size` being width and height."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(noise)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """Return the bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    """Write an archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, raw in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return path


def _cifar(name: str, members: list[str], label: bytes, classes: int, tmp: Path) -> Made:
    words = np.random.default_rng(0)
    batches = {}
    for member in members:
        data = words.integers(0, 256, (20, 3072), np.uint8)
        batches[member] = pickle.dumps({b"data": data, label: [i % classes for i in range(20)]})
    tar(tmp / name / f"{name.replace('cifar', 'cifar-')}-python.tar.gz", batches, "w:gz")
    return {name: tmp / name}, {}


def cifar10(tmp: Path) -> Made:
    """Six batches of twenty."""
    members = [
        f"cifar-10-batches-py/{name}"
        for name in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6)))
    ]
    return _cifar("cifar10", members, b"labels", 10, tmp)


def cifar100(tmp: Path) -> Made:
    """Two batches of twenty."""
    return _cifar(
        "cifar100", ["cifar-100-python/train", "cifar-100-python/test"], b"fine_labels", 100, tmp
    )


def imagenet(tmp: Path) -> Made:
    """A thousand folders, twenty of which hold an image."""
    for part, first in (("train", 0), ("val", 1000)):
        for number, synset in enumerate((DATASETS / "imagenet_synsets.txt").read_text().split()):
            folder = tmp / "imagenet" / part / synset
            folder.mkdir(parents=True)
            if number % 50 == 0:
                picture(first + number).save(folder / f"{synset}_{number}.JPEG")
    return {}, {"root": str(tmp / "imagenet")}


def image_folder(tmp: Path) -> Made:
    """Forty images of many modes in two class folders."""
    modes = ("RGB", "L", "P", "RGBA", "1")
    for number in range(40):
        folder = tmp / "mine" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture(number).convert(modes[number % 5]).save(folder / f"v1.{number}.png")
    return {}, {"path": str(tmp / "mine")}


def webdataset(tmp: Path) -> Made:
    """Two shards of twenty."""
    for shard in range(2):
        members = {}
        for number in range(20):
            key = f"{shard:02d}{number:04d}"
            members[f"{key}.jpg"] = encoded(picture(100 * shard + number), "JPEG")
            members[f"{key}.cls"] = str(number % 2).encode()
        tar(tmp / f"theirs-{shard:06d}.tar", members)
    return {}, {"path": str(tmp / "theirs-{000000..000001}.tar"), "classes": ["cat", "dog"]}


def image_list(tmp: Path) -> Made:
    """Three lists of ten, over images of two classes in the layout of OpenOOD."""
    lists = {
        split: f"benchmark_imglist/mini/{split}_mini.txt" for split in ("train", "val", "test")
    }
    for number, (split, file) in enumerate(lists.items()):
        listed(
            tmp / "openood",
            file,
            "images_classic",
            [(f"mini/{split}/v1.{i}.png", i % 2) for i in range(10)],
            number,
        )
    options = {"root": str(tmp / "openood"), "images": "images_classic", "lists": lists}
    return {}, {**options, "counts": {"test": 10}, "classes": ["cat", "dog"]}


def cns_bench(tmp: Path) -> Made:
    """Two nuisances, two classes, three seeds, six scales; the annotation file is in no order."""
    images = []
    for number, (nuisance, (label, name), seed, scale) in enumerate(
        itertools.product(
            ("cartoon_style", "heavy_snow"),
            ((22, "bald eagle"), (2, "great_white_shark")),
            (1, 2, 34),
            (0.0, 0.5, 1.0, 1.5, 2.0, 2.5),
        )
    ):
        file = f"{nuisance}/{label:03d}_{name}/seed_{seed:04d}_scale_{int(1000 * scale):04d}.jpg"
        (tmp / file).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(tmp / file)
        images.append(
            {"image": file, "seed": seed, "scale": scale, "shift": nuisance, "class": label}
        )
    content = {"info": {"license": "CC0 1.0"}, "images": images[::-5] + images}
    content["images"] = list({row["image"]: row for row in content["images"]}.values())
    (tmp / "annotations_cns.json").write_text(json.dumps(content))
    return {}, {"path": str(tmp), "images": len(images)}


def cns_labelled(tmp: Path) -> Made:
    """Four images with their four scores (100 cos twice, cos twice), two of them out of class by hand."""
    folder = tmp / "data/cns_labelled"
    columns = "img_dir,i_class,CLIP_class,CLIP_class_shift,CLIP_ref,DINO_ref_no_head,out_of_class"
    rows = [  # the first of those out of class passes CLIP's text alone
        *(f"30.1,36.0,0.9,0.9,{out}" for out in (0, 0)),
        *(f"{text},30.0,0.7,0.7,1" for text in (30.1, 20.0)),
    ]
    lines = [columns]
    for number, row in enumerate(rows):
        name = f"022_bald eagle/seed_{number:04d}_startnoise_0750_scale_1000m.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(folder / name)
        lines.append(f"../generation/results/id_0000/{name},22,{row}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return {}, {"path": str(folder)}


def imagenet_e(tmp: Path) -> Made:
    """Two edits and the originals of five images in the released layout."""
    edited(tmp / "edits", {"ori": "JPEG", "full": "JPEG", "busier_20": "png"})
    return {}, {"root": str(tmp / "edits")}


def edited(root: Path, folders: dict[str, str], count: int = 5) -> None:
    """Write folders of images (name -> type) with the same ids, and labels.txt."""
    ids = [f"ILSVRC2012_val_{number:08d}" for number in range(7, 7 + count)]
    for first, (folder, kind) in enumerate(folders.items()):
        (root / folder).mkdir(parents=True)
        for at, name in enumerate(ids):
            raw = encoded(picture(100 * first + at), kind.upper())
            (root / folder / f"{name}.{kind}").write_bytes(raw)
    (root / "labels.txt").write_text("".join(f"{n}.JPEG\t{i * 200}\n" for i, n in enumerate(ids)))


def listed(root: Path, file: str, images: str, rows: list[tuple[str, int]], first: int) -> None:
    """Write a list of images (path, label) and the images, which no other `first` has."""
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text("".join(f"{path} {label}\n" for path, label in rows))
    for at, (path, _) in enumerate(rows):
        (root / images / path).parent.mkdir(parents=True, exist_ok=True)
        picture(1000 * first + at, (40, 36)).save(root / images / path)


def metadata_table(tmp: Path) -> Made:
    """Thirty images in the layout of Waterbirds: three splits, two classes, two places."""
    root = tmp / "waterbirds"
    rows = ["img_id,img_filename,y,split,place,place_filename"]
    for n in range(30):
        path = f"{n % 2:03d}.Bird/Bird_{n:04d}.jpg"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        picture(4000 + n, (40, 36)).save(root / path)
        rows.append(f"{n},{path},{n % 2},{n // 10},{n // 2 % 2},/f/forest/{n}.jpg")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    options = {"root": str(root), "tables": ["metadata.csv"], "groups": ["y", "place"]}
    return {}, {**options, "counts": {"test": 10}, "classes": ["landbird", "waterbird"]}


def fine_grained(tmp: Path) -> Made:
    """Ten images a list of four sets, a class each."""
    for number, name in enumerate(("bird", "butterfly", "car", "aircraft")):
        folder = {"bird": "bird/images", "butterfly": "butterfly/images_small"}.get(name, name)
        folder = "aircraft/images" if name == "aircraft" else folder
        for at, split in enumerate(("train", "val", "test")):
            rows = [(f"{split}.of/0{i}.jpg", i) for i in range(10)]
            file, first = f"info/{name}/{split}.txt", 10 * number + at
            listed(tmp / "fine", file, f"data/{folder}", rows, first)
    return {}, {"root": str(tmp / "fine"), "counts": False, "side": 24}


def webvision(tmp: Path) -> Made:
    """Three queries of which one is of a bird, with twenty images each."""
    root = tmp / "webvision"
    (root / "info").mkdir(parents=True)
    (root / "info/synsets.txt").write_text("n01440764 tench\nn01514668 cock\n")
    (root / "info/queries_synsets_map.txt").write_text("1 1\n2 2\n3 1\n")
    for part in ("google", "flickr"):
        for query in (1, 2, 3):
            (root / part / f"q{query:04d}").mkdir(parents=True)
            for number in range(20):
                seed = 1000 * query + 100 * (part == "google") + number
                picture(seed).save(root / part / f"q{query:04d}" / f"{number}.jpg")
    return {}, {"root": str(root)}


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
        ranked = [
            f"{name} Q0 FT9{number}.x 1 {10 - number} first\n"
            for name, _ in asked
            for number in range(10)
        ]
        if part:
            (tmp / split / "candidates.run").write_text("".join(ranked))
    return {}, {"path": str(tmp)}


def trec_documents(tmp: Path) -> Made:
    """The documents of `trec`."""
    return trec(tmp)


def rendered_clips(tmp: Path) -> Made:
    """Two clips of an external renderer, of ten and of twenty frames, with true frames and landmarks; two rates."""
    random = np.random.default_rng(0)
    for name, count, rate in (("may.1", 10, 16000), ("may_2", 20, 22050)):
        for part in ("frames", "truth"):
            (tmp / name / part).mkdir(parents=True)
            for number in range(count):
                seed = 100 * count + number + (part == "truth")
                picture(seed, (40, 36)).save(tmp / name / part / f"{number:05d}.png")
        wave = random.normal(0, 3000, count * rate // 25).astype(np.int16)
        wavfile.write(tmp / name / "audio.wav", rate, wave)
        found, truth = random.normal(40, 9, (2, count, 68, 2)).tolist()
        (tmp / name / "landmarks.json").write_text(json.dumps({"found": found, "truth": truth}))
    return {}, {"path": str(tmp), "piece": 10, "least": 8}


CATEGORIES = ((1, "person"), (3, "car"), (17, "cat"))


def coco_file(root: Path, folder: str, annotations: str, count: int, first: int) -> None:
    """Write images and a JSON file in COCO's layout; numbers and names of files are the same whatever `first` is."""
    images, notes = [], []
    for n in range(count):
        width, height = 40 + 2 * n, 36
        name = f"{n + 139:012d}.jpg"
        (root / folder).mkdir(parents=True, exist_ok=True)
        picture(9000 + 100 * first + n, (width, height)).convert("L" if n == 1 else "RGB").save(
            root / folder / name
        )
        images.append({"id": n + 139, "file_name": name, "width": width, "height": height})
        for at in range(1 + n % 2):
            box = [2.5 + at, 3.25, 20.5, 12.0 + n % 8]
            category = CATEGORIES[(n + at + first) % 3][0]
            crowd = int(n % 5 == 4)
            note = {
                "id": 10 * n + at + 1,
                "image_id": n + 139,
                "category_id": category,
                "bbox": box,
                "iscrowd": crowd,
            }
            notes.append({**note, "area": 0.8 * box[2] * box[3]})
    categories = [
        {"id": number, "name": name, "supercategory": "any"} for number, name in CATEGORIES
    ]
    content = {"info": {}, "images": images, "annotations": notes, "categories": categories}
    (root / annotations).parent.mkdir(parents=True, exist_ok=True)
    (root / annotations).write_text(json.dumps(content))


def coco_json(tmp: Path) -> Made:
    """Thirty images to train, six to validate, in the layout of COCO 2017."""
    root = tmp / "coco"
    for at, (split, count) in enumerate((("train", 30), ("val", 6))):
        coco_file(root, f"{split}2017", f"annotations/instances_{split}2017.json", count, at)
    return {}, {"root": str(root)}


def coco_keypoints(tmp: Path) -> Made:
    """Thirty images to train, six to validate, with one or two persons, in the layout of COCO 2017."""
    root, names = tmp / "coco", ["nose", "left_hip", "right_hip"]
    for at, (split, count) in enumerate((("train", 30), ("val", 6))):
        images, notes = [], []
        for n in range(count):
            file = root / f"{split}2017" / f"{n:012d}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            image = picture(700 + 100 * at + n)
            image.save(file)
            images.append(
                {"id": n, "file_name": file.name, "width": image.width, "height": image.height}
            )
            for person in range(1 + n % 2):
                flat = [3 + person, 4, 2, 6.5, 8, 1, 0, 0, 0]
                notes.append(
                    {
                        "id": len(notes),
                        "image_id": n,
                        "category_id": 1,
                        "keypoints": flat,
                        "num_keypoints": 2,
                        "bbox": [1, 2, 8.5, 6],
                        "area": 40.5,
                        "iscrowd": int(n == 3),
                    }
                )
        content = {
            "images": images,
            "annotations": notes,
            "categories": [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}],
        }
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/person_keypoints_{split}2017.json").write_text(json.dumps(content))
    return {}, {"root": str(root)}  # fmt: skip


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
            {
                "question": f"What is {n} and {first + 1}?",
                "answer": f"They add up.\n#### {n + first + 1}",
            }
            for n in range(40)
        ]
        (tmp / f"{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked))
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


def yolo_boxes(tmp: Path) -> Made:
    """Thirty images to train and ten held out in YOLO's layout; of every three the third is background."""
    root = tmp / "yolo"
    texts = ("0 0.5 0.5 0.5 0.5\n", "1 0.25 0.25 0.5 0.5\n0 0.95 0.9 0.2 0.3\n", "")
    for first, (split, count) in enumerate((("train", 30), ("val", 10))):
        for number in range(count):
            image = root / "images" / split / "day" / f"{number}.jpg"
            label = root / "labels" / split / "day" / f"{number}.txt"
            for file in (image, label):
                file.parent.mkdir(parents=True, exist_ok=True)
            picture(7000 + 100 * first + number, (40, 36)).save(image)
            if number % 3 < 2:
                label.write_text(texts[number % 3])
    content = "path: .\ntrain: images/train\nval: images/val\nnames: {0: car, 1: bus}\n"
    (root / "data.yaml").write_text(content)
    return {}, {"path": str(root / "data.yaml")}


def rwds(tmp: Path) -> Made:
    """Three tiles a split of one climate zone, with the released names of files."""
    root = tmp / "rwds"
    for at, split in enumerate(("train", "val", "test")):
        rwds_split(root / "RWDS_CZ" / split, f"Group_A_{split}", 10 * at)
    return {}, {"root": str(root), "part": "CZ", "domain": "A"}


def rwds_split(folder: Path, stem: str, first: int) -> None:
    """Write the JSON file and the folder of images of a split: two tiles of one image, one of another."""
    images, notes = [], []
    for n, place in enumerate(("0_0_512_512", "410_0_922_512", "0_0_512_512")):
        name = f"{first + n // 2}_{place}.png"
        file = folder / f"{stem}_images_512_02" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(500 + first + n, (48, 48)).save(file)
        images.append({"id": n, "file_name": name, "width": 48, "height": 48})
        notes.append(
            {"id": n, "image_id": n, "category_id": n % 2, "bbox": [1.0, 2, 20, 10], "iscrowd": 0}
        )
    categories = [{"id": 0, "name": "Small Car"}, {"id": 1, "name": "Truck Tractor w/ Box Trailer"}]
    content = {"images": images, "annotations": notes, "categories": categories}
    (folder / f"{stem}_512_02.json").write_text(json.dumps(content))


def food101(tmp: Path) -> Made:
    """Sixty photos of two dishes in the authors' folders, twenty of them in the test list."""
    root = tmp / "food-101"
    (root / "meta").mkdir(parents=True)
    (root / "meta/classes.txt").write_text("apple_pie\nbaby_back_ribs\n")
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for n in range(60):
        line = f"{('apple_pie', 'baby_back_ribs')[n % 2]}/{1000 + n}"
        (root / f"images/{line}.jpg").parent.mkdir(parents=True, exist_ok=True)
        picture(7000 + n).save(root / f"images/{line}.jpg")
        lists["test" if n < 20 else "train"].append(line)
    for split, rows in lists.items():
        (root / f"meta/{split}.txt").write_text("\n".join(rows) + "\n")
    return {}, {"root": str(root)}


def oxford_pet(tmp: Path) -> Made:
    """Sixty photos of two breeds in the authors' folders, twenty of them in the test list."""
    root = tmp / "pets"
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    lists: dict[str, list[str]] = {"trainval": ["#Image CLASS-ID SPECIES BREED ID"], "test": []}
    for n in range(60):
        name = f"{('Abyssinian', 'american_bulldog')[n % 2]}_{n}"
        picture(8000 + n).save(root / f"images/{name}.jpg")
        lists["test" if n < 20 else "trainval"].append(f"{name} {n % 2 + 1} {n % 2 + 1} 1")
    for split, rows in lists.items():
        (root / f"annotations/{split}.txt").write_text("\n".join(rows) + "\n")
    return {}, {"root": str(root)}


def imagenet_concepts(tmp: Path) -> Made:
    """Three images of each familiar synset, and of one that is not."""
    synsets = (SYSTEMS / "pt_ood/datasets/familiar.txt").read_text().split()
    for at, synset in enumerate([*synsets, "n00000000"]):
        (tmp / "val" / synset).mkdir(parents=True)
        for n in range(3):
            picture(9000 + 3 * at + n).save(tmp / "val" / synset / f"ILSVRC2012_val_{n}.JPEG")
    return {}, {"root": str(tmp / "val"), "per_class": 2}


MAKERS: dict[str, Callable[[Path], Made]] = {
    made.__name__: made
    for made in (
        *(cifar10, cifar100, imagenet, image_folder, image_list, webdataset),
        *(cns_bench, cns_labelled, metadata_table, fine_grained, webvision, imagenet_e, text_table),
        *(recode_release, fineweb_edu, questions),
        rendered_clips,
        *(trec, trec_documents),
        *(coco_json, coco_keypoints, yolo_boxes, rwds),
        *(food101, oxford_pet, imagenet_concepts),
    )
}
