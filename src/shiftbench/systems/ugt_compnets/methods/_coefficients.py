"""Spatial coefficients: for each class M maps of how often each part occurs where, learned from labelled maps.

An image's map is v[k, a] = L[k, a] / sum_k L[k, a], with L = exp(kappa mu_k . f_a). The images of a class are put into
M groups (`spectral`, as published, or `kmeans`, which is faster), A is the mean of v over a group, and then images are
moved to the group of the largest sum_a log sum_k A[k, a] v[k, a], up to ten rounds, until fewer than 1 % move.

`update: mean` takes the mean of v again, as the paper's equations say. `update: released` does what the code does: v is
replaced in each round by the posterior A v / sum_k A v under its own group, so that maps become sharper from round to
round. (Its first v is L / (sum_k L + 0.001), where that sum is above 1.)

Source: Kaushik, Kortylewski and Yuille 2024, arXiv:2403.07277, section 3; `simmat.py`, `vcdist_funcs.py` and
`Learn_mix_model_vMF_view.py` of its repository. Differs: a group of less than 2 % is no error but joins the nearest
mean later, an empty one has the mean of the class; the window of `vc_dis` is not cut after 14 columns; the mean number
of active parts is over the images that there are, where the code divides by 100 also if they are fewer.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream

GROUPINGS = ("spectral", "kmeans")
UPDATES = ("mean", "released")
ROUNDS, MOVED, TINY = 10, 0.01, 1e-10
THRESHOLDS = tuple(step / 20 for step in range(20))
ACTIVE = (2, 15)
OTHERWISE = 0.45
PROBED = 100
LLOYD = 20
Groups = npt.NDArray[np.int64]


def check(grouping: str, update: str) -> None:
    """Refuse other words.

    Raises:
        ParamsError: one of them is none of the allowed.
    """
    for name, word, allowed in (("grouping", grouping, GROUPINGS), ("update", update, UPDATES)):
        if word not in allowed:
            raise ParamsError(f"compnet: {name} is {word!r}; {suggest(word, allowed)}")


def maps(cosines: torch.Tensor, kappa: float) -> torch.Tensor:
    """Activations v, (n, K, H, W), whose sum over K is 1, of cosines of the same shape."""
    return (kappa * cosines).softmax(1)


def learn(  # noqa: PLR0913 - what coefficients depend on
    cosines: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    kappa: float,
    mixtures: int,
    words: RandomStream,
    grouping: str = "kmeans",
    update: str = "mean",
) -> torch.Tensor:
    """A, float32 (classes, M, K, H, W): coefficients from 0 to 1.

    Args:
        cosines: of parts and features, (n, K, H, W).
        labels: int64 (n,), of the source or pseudo-labels.
        classes: how many; one without an image has even coefficients.
        kappa: the concentration.
        mixtures: M.
        words: of the groups to begin with.
        grouping: how these are made, `spectral` or `kmeans`.
        update: `mean` or `released`.
    """
    check(grouping, update)
    coefficients = []
    for label in range(classes):
        class_cosines = cosines[labels == label]
        if not len(class_cosines):
            coefficients.append(torch.full((mixtures, *cosines.shape[1:]), 1 / cosines.shape[1]))
            continue
        activations = maps(class_cosines, kappa)
        groups = by_parts(class_cosines, mixtures) if grouping == "spectral" else by_means(activations, mixtures, words)
        coefficients.append(hard_em(activations, groups, mixtures, update)[0])
    return torch.stack(coefficients)


def hard_em(
    activations: torch.Tensor, groups: Groups, mixtures: int, update: str = "mean"
) -> tuple[torch.Tensor, Groups]:
    """The coefficients (M, K, H, W) and groups int64 (n,) of one class's maps (n, K, H, W)."""
    coefficients = means(activations, groups, mixtures)
    for _ in range(ROUNDS):
        new_groups = assigned(activations, coefficients)
        share_moved = float((new_groups != groups).mean())
        groups = new_groups
        if update == "released":
            weighted = coefficients[torch.from_numpy(groups)] * activations
            activations = weighted / (weighted.sum(1, keepdim=True) + TINY)
        coefficients = means(activations, groups, mixtures, coefficients if update == "released" else None)
        if share_moved < MOVED:
            break
    return coefficients, groups


def means(
    activations: torch.Tensor, groups: Groups, mixtures: int, fallback: torch.Tensor | None = None
) -> torch.Tensor:
    """The mean map of each group; an empty group has its map of `fallback`, else the mean of all."""
    overall, group_means = activations.mean(0), []
    for group in range(mixtures):
        members = activations[torch.from_numpy(groups == group)]
        empty = overall if fallback is None else fallback[group]
        group_means.append(members.mean(0) if len(members) else empty)
    return torch.stack(group_means)


def assigned(activations: torch.Tensor, mixture_maps: torch.Tensor) -> Groups:
    """The group of the largest sum_a log sum_k A v, int64 (n,)."""
    flat, coefficients = activations.flatten(2).permute(2, 0, 1), mixture_maps.flatten(2).permute(2, 1, 0)
    sums = (flat @ coefficients + TINY).log().sum(0)
    best: Groups = sums.argmax(1).numpy()
    return best


def by_means(activations: torch.Tensor, mixtures: int, words: RandomStream) -> Groups:
    """Groups by Lloyd's k-means on flattened maps, begun at maps that are drawn far apart."""
    flat = activations.flatten(1)
    centres = flat[int(words.integers(0, len(flat)))][None]
    for draw in words.integers(0, 1 << 32, mixtures - 1):
        sums = torch.cdist(flat, centres).amin(1).double().square().cumsum(0)
        place = int(torch.searchsorted(sums, sums[-1] * (int(draw) + 0.5) / (1 << 32)))
        centres = torch.cat([centres, flat[min(place, len(flat) - 1)][None]])
    groups = torch.cdist(flat, centres).argmin(1)
    for _ in range(LLOYD):
        centres = means(flat, groups.numpy(), mixtures, centres)
        new_groups = torch.cdist(flat, centres).argmin(1)
        if bool((new_groups == groups).all()):
            break
        groups = new_groups
    group_of_row: Groups = groups.numpy()
    return group_of_row


def by_parts(cosines: torch.Tensor, mixtures: int) -> Groups:
    """Groups by two levels of spectral clustering of the likeness of active parts; M is a square number."""
    from sklearn.cluster import SpectralClustering

    def split(likeness: npt.NDArray[np.float64], count: int) -> Groups:
        if len(likeness) <= count:
            return np.arange(len(likeness))
        clusters: Groups = SpectralClustering(count, affinity="precomputed", random_state=0).fit_predict(likeness)
        return clusters.astype(np.int64)

    per_level = round(mixtures**0.5)
    likeness = 1 - unmatched(active(cosines)).numpy().astype(np.float64)
    np.fill_diagonal(likeness, 1.0)
    first = split(likeness, per_level)
    groups = np.zeros(len(likeness), dtype=np.int64)
    for parent in range(per_level):
        members = np.flatnonzero(first == parent)
        groups[members] = (
            parent * per_level + split(likeness[np.ix_(members, members)], per_level) if len(members) else 0
        )
    return groups


def threshold(cosines: torch.Tensor) -> float:
    """The smallest of 20 cosine distances with 2 to 15 active parts per position; 0.45 where there is none."""
    distances = 1 - cosines[:PROBED]
    for candidate in THRESHOLDS:
        per_position = float((distances < candidate).float().sum(1).mean())
        if ACTIVE[0] < per_position < ACTIVE[1]:
            return candidate
    return OTHERWISE


def active(cosines: torch.Tensor) -> torch.Tensor:
    """Whether each part is active at each position, float32 (n, K, H, W), 0 or 1."""
    return (1 - cosines < threshold(cosines)).float()


def unmatched(parts: torch.Tensor) -> torch.Tensor:
    """The distance of each two images, (n, n), 0 to 1.

    It is the share of one's active parts that the other has not within 3 x 3 positions, the smaller of both
    directions; 1 where an image has no active part.
    """
    neighbourhoods = F.max_pool2d(parts, 3, stride=1, padding=1).flatten(1)
    flat = parts.flatten(1)
    counts = flat.sum(1)
    missing = 1 - neighbourhoods @ flat.T / counts.clamp(min=1)
    missing[:, counts == 0] = 1.0
    return torch.minimum(missing, missing.T).clamp(0, 1)
