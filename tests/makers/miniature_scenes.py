"""Originals in small whose images have boxes or joints: COCO's, YOLO's and RWDS's layouts."""

import json
from pathlib import Path

from makers.small_files import Made, picture

CATEGORIES = ((1, "person"), (3, "car"), (17, "cat"))


def coco_file(root: Path, folder: str, annotations: str, count: int, first: int) -> None:
    """Write images and a JSON file in COCO's layout; numbers and names of files are the same whatever `first` is."""
    images, notes = [], []
    for n in range(count):
        width, height = 40 + 2 * n, 36
        name = f"{n + 139:012d}.jpg"
        (root / folder).mkdir(parents=True, exist_ok=True)
        picture(9000 + 100 * first + n, (width, height)).convert("L" if n == 1 else "RGB").save(root / folder / name)
        images.append({"id": n + 139, "file_name": name, "width": width, "height": height})
        for at in range(1 + n % 2):
            box = [2.5 + at, 3.25, 20.5, 12.0 + n % 8]
            category = CATEGORIES[(n + at + first) % 3][0]
            crowd = int(n % 5 == 4)
            note = {"id": 10 * n + at + 1, "image_id": n + 139, "category_id": category, "bbox": box, "iscrowd": crowd}
            notes.append({**note, "area": 0.8 * box[2] * box[3]})
    categories = [{"id": number, "name": name, "supercategory": "any"} for number, name in CATEGORIES]
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
            images.append({"id": n, "file_name": file.name, "width": image.width, "height": image.height})
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
    return {}, {"root": str(root)}


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
        notes.append({"id": n, "image_id": n, "category_id": n % 2, "bbox": [1.0, 2, 20, 10], "iscrowd": 0})
    categories = [{"id": 0, "name": "Small Car"}, {"id": 1, "name": "Truck Tractor w/ Box Trailer"}]
    content = {"images": images, "annotations": notes, "categories": categories}
    (folder / f"{stem}_512_02.json").write_text(json.dumps(content))
