"""Options that mean the same in many plugins of a type, whose docstrings therefore do not explain them."""

_PATH = "Your own file, folder or callable"

MEANINGS: dict[str, dict[str, str]] = {
    "datasets": {
        "path": _PATH,
        "root": "Folder with your own copy of the data",
        "licence": "Licence of your files",
        "seed": "Seed of the random choices",
    },
    "models": {
        "path": _PATH,
        "crop": "Side of the central crop, as a share of the resized image's shorter side",
        "interpolation": "How images are resized",
        "mean": "Mean of each channel, for the normalisation",
        "std": "Standard deviation of each channel, for the normalisation",
    },
    "trainers": {
        "epochs": "Passes over the training samples",
        "batch_size": "Samples of a batch",
        "optimizer": "A plugin of type optimizers, or a name under `optimizers:`",
        "lr": "Learning rate; with a schedule, the highest one",
        "weight_decay": "Weight decay of the optimiser",
        "schedule": "Learning rate over the steps: `one_cycle`, `cosine`, `warmup_cosine`, `joined_cosine`, `steps` or "
        "`constant`",
        "smoothing": "Label smoothing: the share of the target that all classes get",
        "flip": "Mirror an image left to right with probability one half",
        "shift": "Largest random shift of an image, in pixels; 0: none",
        "crops": "Random crops of the stored images: a mapping with `size`, `area`, `stretched`, `jitter`; null: none",
        "path": _PATH,
    },
    "optimizers": {
        "momentum": "Decay of the running sum or mean of gradients",
        "nesterov": "Nesterov's momentum",
        "beta1": "Decay of Adam's running mean of gradients",
        "beta2": "Decay of Adam's running mean of squared gradients",
        "eps": "Number that Adam adds to the root of the squared gradients",
    },
    "metrics": {
        "of": "Metric that this one is computed from",
        "column": "Column of the records with the values",
        "unit": "Unit of the value",
        "higher": "Is a higher value better?",
    },
    "analyses": {"path": _PATH},
}
"""Plugin type -> option -> meaning; an explanation in a plugin's own docstring comes before it."""

EXCEPTIONS = {("trainers", "pseudo_labels", "shift")}
"""Plugin type, plugin and option: an option of the same name with another meaning."""


def meaning(plugin_type: str, plugin: str, option: str) -> str:
    """Common meaning of an option; empty if it has none."""
    if (plugin_type, plugin, option) in EXCEPTIONS:
        return ""
    return MEANINGS.get(plugin_type, {}).get(option, "")
