"""OOD-CV and PASCAL3D+ with occluders in small, in the layout that the released code of UGT reads."""

from pathlib import Path

from makers.small_files import Made, picture

LEVELS = ("ONE", "FIVE", "NINE")
NUISANCES = ("context", "weather", "texture", "pose", "shape")
CLASSES = (*("aeroplane", "bicycle", "boat", "bus", "car"), *("chair", "diningtable", "motorbike", "sofa", "train"))


def _write(path: Path, number: int, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(number, (40 + number % 7, 30)).convert(mode).save(path, "PNG")


def oodcv(tmp: Path) -> Made:
    """Twenty training images of each of ten classes and `bottle`, which test has not; one test image a nuisance."""
    for label, name in enumerate((*CLASSES, "bottle")):
        for number in range(20):
            file = f"Robin/cls_train/{name}/n0{label}_{number}.JPEG"
            _write(tmp / file, 100 * label + number, "L" if number == 3 else "RGB")
    for label, name in enumerate(CLASSES):
        for at, nuisance in enumerate(NUISANCES):
            _write(tmp / f"Robin/cls_test/{name}/{nuisance}/a.b{label}.JPEG", 5000 + 10 * label + at)
            for of, level in enumerate(LEVELS):
                file = f"robin_occ_{level}/{name}/{nuisance}/a.b{label}.JPEG"
                _write(tmp / file, 6000 + 1000 * of + 10 * label + at)
    return {}, {"path": str(tmp), "side": 32}


def pascal3d(tmp: Path) -> Made:
    """Twenty training and two test images of each of three classes; `tvmonitor` has no list of test images."""
    top = tmp / "pascal3d+_occ"
    for label, name in enumerate(("aeroplane", "bottle", "car", "tvmonitor")):
        train = [f"n0{label}_{number}" for number in range(20)]
        for number, stem in enumerate(train):
            _write(top / f"TRAINING_DATA/{name}_imagenet/{stem}.JPEG", 100 * label + number)
        (top / f"{name}_imagenet_train.txt").write_text("".join(f"{stem}\n" for stem in train))
        if name == "tvmonitor":
            continue
        tested = [f"n1{label}_{number}_{number}" for number in range(2)]
        (top / f"{name}_imagenet_occ.txt").write_text("".join(f"{stem}\n" for stem in tested))
        for number, stem in enumerate(tested):
            _write(top / f"{name}LEVELZERO/{stem[:-2]}.JPEG", 5000 + 10 * label + number)
            for of, folder in enumerate((*(f"LEVEL{one}" for one in LEVELS), "LEVELFIVE_noise")):
                _write(top / f"{name}{folder}/{stem}.JPEG", 6000 + 100 * of + 10 * label + number)
    return {}, {"path": str(tmp), "side": 32}
