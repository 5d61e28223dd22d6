"""Small originals in the layout of the real ones, for data that are the user's own or a large download."""

import itertools
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from isolation import ROOT
from makers import small_table_sources
from makers.compnet_miniature import oodcv, pascal3d
from makers.hub_miniature import forged_fashion_mnist, mmdt_i2t, mmdt_i2t_adv, mmdt_t2i, so_fake_ood, so_fake_set
from makers.m2mkd_miniature import tiny_imagenet
from makers.medmnist_miniature import makers as medmnist
from makers.miniature_scenes import coco_json, coco_keypoints, rwds, yolo_boxes
from makers.miniature_texts import (
    aime,
    fineweb_edu,
    gsm8k,
    omni_math,
    questions,
    realbench,
    recode_release,
    text_table,
    trec,
    trec_documents,
)
from makers.mvt_miniature import imagenet_variant
from makers.small_files import Made, encoded, listed, picture, tar
from makers.spatial_miniature import cv_bench, sat
from makers.stimuli_miniature import texture_vs_shape
from makers.xtrust_clone import xtrust

DATASETS = ROOT / "src/shiftbench/plugins/datasets"


SYSTEMS = ROOT / "src/shiftbench/systems"


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
    members = [f"cifar-10-batches-py/{name}" for name in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6)))]
    return _cifar("cifar10", members, b"labels", 10, tmp)


def cifar10h(tmp: Path) -> Made:
    """CIFAR-10's twenty test images with shares of fifty people, the first fourteen of them to learn from."""
    sources, _ = cifar10(tmp)
    words = np.random.default_rng(1)
    odds = 0.02 + 0.8 * np.eye(10)
    counts = [words.multinomial(50, odds[i % 10]) for i in range(20)]
    np.save(tmp / "cifar10h-probs.npy", np.array(counts) / 50)
    return sources, {"path": str(tmp / "cifar10h-probs.npy"), "first": 14}


def cifar100(tmp: Path) -> Made:
    """Two batches of twenty."""
    return _cifar("cifar100", ["cifar-100-python/train", "cifar-100-python/test"], b"fine_labels", 100, tmp)


def imagenet(tmp: Path) -> Made:
    """A thousand folders, twenty of which hold an image."""
    for part, first in (("train", 0), ("val", 1000)):
        for number, synset in enumerate((DATASETS / "imagenet_synsets.txt").read_text().split()):
            folder = tmp / "imagenet" / part / synset
            folder.mkdir(parents=True)
            if number % 50 == 0:
                picture(first + number).save(folder / f"{synset}_{number}.JPEG")
    return {}, {"root": str(tmp / "imagenet")}


def imagenet_relative(tmp: Path) -> Made:
    """ImageNet-R of three classes, two pictures each."""
    for number, synset in enumerate(("n01443537", "n01484850", "n01494475")):
        for which in range(2):
            folder = tmp / "imagenet-r" / synset
            folder.mkdir(parents=True, exist_ok=True)
            picture(2 * number + which).save(folder / f"art_{which}.jpg")
    return {}, {"root": str(tmp / "imagenet-r"), "variant": "r"}


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
    lists = {split: f"benchmark_imglist/mini/{split}_mini.txt" for split in ("train", "val", "test")}
    for number, (split, file) in enumerate(lists.items()):
        listed(
            tmp / "openood", file, "images_classic", [(f"mini/{split}/v1.{i}.png", i % 2) for i in range(10)], number
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
        images.append({"image": file, "seed": seed, "scale": scale, "shift": nuisance, "class": label})
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


def camelyon17(tmp: Path) -> Made:
    """Thirty patches in the layout of Camelyon17-WILDS 1.0: five hospitals, the first column without a name."""
    root = tmp / "camelyon17_v1.0"
    rows = [",patient,node,x_coord,y_coord,tumor,slide,center,split"]
    for n in range(30):
        center, person = n % 5, f"patient_{4 + n % 10:03d}_node_{n % 4}"
        path = f"patches/{person}/patch_{person}_x_{32 * n}_y_{64 * n}.png"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        picture(7000 + n, (96, 96)).save(root / path)
        split = int(center not in (1, 2) and n >= 20)
        rows.append(f"{n},{4 + n % 10:03d},{n % 4},{32 * n},{64 * n},{n // 5 % 2},{n % 10},{center},{split}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return {}, {"path": str(root), "counts": {"test": 6}}


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


def multiood_features(tmp: Path) -> Made:
    """Twelve clips of each list of HMDB51 25/26, of two classes, under the released names; arrays of half precision."""
    root, random = tmp / "multiood", np.random.default_rng(0)
    (root / "HMDB-rgb-flow/splits").mkdir(parents=True)
    for split in ("train", "val", "test", "eval"):
        names = [f"brush_hair/{split}!_u_nm_np1_{number}.avi" for number in range(12)]
        lines = [f"{name} {number % 2}\n" for number, name in enumerate(names)]
        (root / f"HMDB-rgb-flow/splits/HMDB_{split}_near_ood.txt").write_text("".join(lines))
        for name in names:
            stem = root / "features/hmdb" / name.removesuffix(".avi")
            stem.parent.mkdir(parents=True, exist_ok=True)
            for field, shape in (("rgb", (1280, 1, 2, 2)), ("fast", (128, 4, 2, 2)), ("flow", (1024, 1, 2, 2))):
                np.save(f"{stem}.{field}.npy", random.random(shape).astype(np.float16))
    return {}, {"root": str(root), "counts": False}


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


def rendered_clips(tmp: Path) -> Made:
    """Two clips of an external renderer, of ten and of twenty frames, crops and whole, with true ones and landmarks."""
    random = np.random.default_rng(0)
    for name, count, rate in (("may.1", 10, 16000), ("may_2", 20, 22050)):
        for turn, part in enumerate(("frames", "truth", "whole", "whole_truth")):
            (tmp / name / part).mkdir(parents=True)
            for number in range(count):
                size = (40, 36) if turn < 2 else (64, 48)
                picture(100 * count + number + turn, size).save(tmp / name / part / f"{number:05d}.png")
        wave = random.normal(0, 3000, count * rate // 25).astype(np.int16)
        wavfile.write(tmp / name / "audio.wav", rate, wave)
        found, truth = random.normal(40, 9, (2, count, 68, 2)).tolist()
        (tmp / name / "landmarks.json").write_text(json.dumps({"found": found, "truth": truth}))
    return {}, {"path": str(tmp), "side": 0}


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


def table_claims(tmp: Path) -> Made:
    """What claims about tables are made from."""
    return small_table_sources.make(tmp), {}


def tabfact(tmp: Path) -> Made:
    """Twelve tables for each split, with three statements each, in the folders of the release."""
    (tmp / "tokenized_data").mkdir()
    (tmp / "data/all_csv").mkdir(parents=True)
    for split in ("train", "val", "test"):
        asked = {}
        for n in range(12):
            name = f"2-{split}-{n}.html.csv"
            (tmp / "data/all_csv" / name).write_text(f"name#area\n{split}{n}#{n}\nbea#{n + 1}\n")
            asked[name] = [[f"{split} {n} be {k}" for k in range(3)], [1, 1, 0], f"isles {n}"]
        (tmp / f"tokenized_data/{split}_examples.json").write_text(json.dumps(asked))
    return {}, {"path": str(tmp)}


def wiki_table_questions(tmp: Path) -> Made:
    """Sixty questions of each split about twenty tables, in the folders of the release."""
    (tmp / "tagged/data").mkdir(parents=True)
    for at, file in enumerate(("training", "pristine-unseen-tables")):
        (tmp / f"csv/20{at}-csv").mkdir(parents=True)
        lines = ["id\tutterance\tcontext\ttargetValue\ttokens\ttargetCanon\ttargetCanonType"]
        for n in range(60):
            context = f"csv/20{at}-csv/{n % 20}"
            (tmp / f"{context}.tsv").write_text(f"Name\tArea\nAda {at}\t{n % 20}\nBea\t7\n")
            lines.append(f"n{at}-{n}\twhich isle {n} of {at}?\t{context}.csv\tAda {at}|Bea\t\tAda {at}|Bea\tstring")
        (tmp / f"tagged/data/{file}.tagged").write_text("\n".join(lines) + "\n")
    return {}, {"path": str(tmp)}


def pantabfact(tmp: Path) -> Made:
    """Ninety statements about thirty tables, as the card of the dataset describes its file."""
    rows = [
        {
            "table_text": f"name#area\nada#{n % 30}\nbea#7",
            "table_caption": "isles",
            "statement": f"statement {n}",
            "label": n % 2,
            "pandas_code": "df['area'].max() > 3",
            "pandas_eval": True,
        }
        for n in range(90)
    ]
    (tmp / "pantabfact.json").write_text(json.dumps(rows))
    return {}, {"path": str(tmp / "pantabfact.json")}


def wikifact(tmp: Path) -> Made:
    """The same statements in a file of the user's."""
    return pantabfact(tmp)


MAKERS: dict[str, Callable[[Path], Made]] = {
    made.__name__: made
    for made in (
        *(cifar10, cifar10h, cifar100, imagenet, image_folder, image_list, webdataset),
        *(cns_bench, cns_labelled, metadata_table, fine_grained, webvision, imagenet_e, text_table),
        multiood_features,
        *(recode_release, fineweb_edu, questions, realbench, gsm8k, aime, omni_math),
        rendered_clips,
        *(trec, trec_documents),
        *(tabfact, wiki_table_questions, pantabfact, wikifact),
        *(coco_json, coco_keypoints, yolo_boxes, rwds, camelyon17),
        *(food101, oxford_pet, imagenet_concepts),
        xtrust,
        *(mmdt_i2t, mmdt_i2t_adv, mmdt_t2i),
        *(forged_fashion_mnist, so_fake_set, so_fake_ood),
        *(cv_bench, sat),
        imagenet_relative,
        imagenet_variant,
        tiny_imagenet,
        *(oodcv, pascal3d),
        texture_vs_shape,
    )
}
MAKERS |= {f"{name}claims": table_claims for name in ("table_", "wikipedia_", "wikipedia_question_")}
MAKERS |= medmnist()
MAKERS["wikipedia_question_claims_balanced"] = table_claims
