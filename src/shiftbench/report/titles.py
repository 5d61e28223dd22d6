"""Titles of datasets, shifts, models and others on pages. Files, links and selectors keep the names.

A page's recipe has the title of each name that the plan knows (`workflow.plan.titles`). Any other name has a title
that is made from it.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from shiftbench.base.refs import without_seed

Key = TypeVar("Key", bound=Hashable)
Who = tuple[str, ...]  # model, method

JOIN = "+"  # between shifts that are applied one after another
CLEAN = "identity"
PLAIN = "plain"
PARTS = ("trainers", "methods")
"""Plugin types whose titles follow that of an architecture, in lower case."""
BASELINES = frozenset({"erm", "given", "pretrained", "index", "boxes", "poses"})
"""Trainers that a model's title leaves out: each is the usual way to get a model of its kind."""
_WORDS = {
    "adascale": "AdaSCALE", "adamw": "AdamW", "alexnet": "AlexNet", "ap": "AP", "ap50": "AP50", "ap75": "AP75",
    "ash_b": "ASH-B", "ash_p": "ASH-P", "ash_s": "ASH-S", "auc": "AUC", "augmix": "AugMix", "aupr": "AUPR",
    "aurc": "AURC", "auroc": "AUROC", "bm25": "BM25", "brier": "Brier", "byol": "BYOL", "cider": "CIDER",
    "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "clip": "CLIP", "coco": "COCO", "convnet": "ConvNet",
    "dice": "DICE", "dino": "DINO", "dpo": "DPO", "dro": "DRO",
    "eaurc": "E-AURC", "ece": "ECE", "elpv": "ELPV", "erm": "ERM", "fdbd": "fDBD", "fpr95": "FPR95", "gen": "GEN",
    "gradnorm": "GradNorm", "grpo": "GRPO", "human_eval": "HumanEval", "idpos": "(ID positive)",
    "iga": "IGA", "imagenet": "ImageNet",
    "iodin": "i-ODIN", "irmv1": "IRMv1", "jpeg": "JPEG", "kl": "KL", "knn": "KNN", "llm": "LLM", "map50": "mAP50",
    "map75": "mAP75", "max_logit": "MaxLogit", "mce": "mCE", "mcm": "MCM", "mds": "MDS", "minilm": "MiniLM",
    "mixoe": "MixOE", "mnist": "MNIST", "moco_v3": "MoCo v3", "mpjpe": "MPJPE", "msp": "MSP", "nci": "NCI",
    "nll": "NLL", "nnclr": "NNCLR", "nnguide": "NNGuide", "nyt": "NYT", "ocr": "OCR", "odin": "ODIN", "oe": "OE",
    "ood": "OOD", "openmax": "OpenMax", "palm": "PALM", "pgd": "PGD", "qa": "QA", "rankfeat": "RankFeat",
    "react": "ReAct", "resnet18": "ResNet-18", "resnet34": "ResNet-34", "resnet50": "ResNet-50", "ressl": "ReSSL",
    "rmds": "RMDS", "sft": "SFT", "she": "SHE", "simclr": "SimCLR", "svhn": "SVHN", "tent": "TENT",
    "tfidf": "TF-IDF", "topk": "top-k",
    "vicreg": "VICReg", "vim": "ViM", "vit": "ViT", "vra": "VRA", "vrex": "V-REx",
}  # fmt: skip


def spell(name: str) -> str:
    """Spell a name for reading: `relative_mce` becomes `relative mCE`.

    Example:
        >>> spell("relative_mce"), spell("jpeg_compression")
        ('relative mCE', 'JPEG compression')
    """
    return _WORDS.get(name) or " ".join(_WORDS.get(word, word) for word in name.split("_"))


def from_name(plugin_type: str, name: str) -> str:
    """Make a title of a name: acronyms are kept, another first word has a capital if a title begins with it.

    Example:
        >>> from_name("shifts", "gaussian_noise"), from_name("shifts", "fog+jpeg_compression")
        ('Gaussian noise', 'Fog + JPEG compression')
        >>> from_name("models", "vit_small"), from_name("trainers", "linear_probe")
        ('ViT small', 'linear probe')
    """
    if plugin_type in PARTS:
        return spell(name)
    return f" {JOIN} ".join(_capitalised(part) for part in name.split(JOIN))


def _capitalised(name: str) -> str:
    text = spell(name)
    known = name in _WORDS or name.partition("_")[0] in _WORDS
    return text if known else text[:1].upper() + text[1:]


def distinct(titles: Mapping[Key, str], names: Mapping[Key, str]) -> dict[Key, str]:
    """Titles that all differ: a title of several keys is followed by the name in brackets.

    Example:
        >>> distinct({"a": "KNN", "b": "KNN", "c": "ViM"}, {"a": "knn5", "b": "knn9", "c": "vim"})
        {'a': 'KNN (knn5)', 'b': 'KNN (knn9)', 'c': 'ViM'}
    """
    counts = Counter(titles.values())
    return {key: f"{title} ({names[key]})" if counts[title] > 1 else title for key, title in titles.items()}


@dataclass(frozen=True, slots=True)
class Titles:
    """The titles of a page, by plugin type (and `benchmarks`) and name, as its recipe has them."""

    known: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, plugin_type: str, name: str) -> str:
        """Title of one name."""
        return self.known.get(plugin_type, {}).get(name) or from_name(plugin_type, name)

    def models(self, models: Iterable[Who], dataset: str) -> dict[Who, str]:
        """Title of each model with its method: architecture and trainer, and the seed where a model has one.

        Titles of one leaderboard differ: models with equal titles also have their names.

        Args:
            models: model and method, such as (`mnist/convnet-erm-s0`, `plain`).
            dataset: the benchmark's, which titles leave out.
        """
        seeds = {(model, method): without_seed(model) for model, method in models}
        means = dict.fromkeys((mean, method) for (_, method), (mean, _) in seeds.items())
        names = {who: who[0].rpartition("/")[2] for who in means}
        titles = distinct({who: self._model(*who, dataset) for who in means}, names)
        return {
            (model, method): titles[mean, method] + ("" if seed is None else f", seed {seed}")
            for (model, method), (mean, seed) in seeds.items()
        }

    def _model(self, model: str, method: str, dataset: str) -> str:
        """Title of a model without a seed, `DATASET/ARCHITECTURE-TRAINER`."""
        trained_on, _, name = model.rpartition("/")
        architecture, _, trainer = name.partition("-")
        parts = [self.of("models", architecture)]
        if trainer and (trainer not in BASELINES or trainer in self.known.get("trainers", {})):
            parts.append(self.of("trainers", trainer))
        if method != PLAIN:
            parts.append(self.of("methods", method))
        title = " + ".join(parts)
        return title if trained_on in ("", dataset) else f"{title}, trained on {self.of('datasets', trained_on)}"

    def samples(self, dataset: str, shift: str) -> str:
        """Title of a dataset under a shift."""
        return f"{self.of('datasets', dataset)}, {'clean' if shift == CLEAN else self.of('shifts', shift)}"


NONE = Titles()
"""Each title is made from its name."""
