"""The three lines of denoising in-context learning: a false statement, a true one, and what is asked about the query.

A query with the prediction y is asked about a candidate c, with exemplar r of each class:

    c = y    [exemplar of the next candidate] ... y ... False / [exemplar of y] ... y ... True / [query] ... y ...
    c != y   [exemplar of c] ... y ... False / [the same one] ... c ... True / [query] ... c ...

Source: Huang et al. 2024, arXiv:2312.02546, section 3.2; wording of `Prompt_Builder` in `get_prompts.py` of its
repository, whose 32 placeholders of an image are one `{image}` here. The prompts of CelebA's attributes are not here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

IMAGE = "{image}"
WORDS = {
    "imagenet": "a photo of",
    "iwildcam": "a wild animal photo of",
    "mnist": "a handwritten digit photo of",
    "spawrious": "a dog breed photo of",
}
"""Words for the content of an image, by data set; all others are as ImageNet's."""
TRUE, FALSE = "True", "False"


@dataclass(frozen=True, slots=True)
class Ask:
    """One question about one query, of which the language model sees three images and three lines.

    Attributes:
        query: its number among the queries.
        hat: the vision model's prediction.
        candidate: the class that is asked about.
        shown: exemplars in the first two lines, as numbers in the support set.
        positive, negative: an exemplar of the candidate and one of the class that it is compared with (the next
            candidate where it is the prediction, else the prediction), for a verifier that compares images.
    """

    query: int
    hat: int
    candidate: int
    shown: tuple[int, int]
    positive: int
    negative: int


def asks(query: int, hat: int, labels: Sequence[int], retrieved: Sequence[Sequence[int]], at: int) -> Iterator[Ask]:
    """Yield what is asked about one candidate, once for each exemplar.

    Args:
        query: the query's number.
        hat: the vision model's prediction; where it has no exemplars, it is no candidate.
        labels: the candidates.
        retrieved: exemplars of each candidate, as numbers in the support set; at least one.
        at: which candidate.
    """
    own = labels[at] == hat
    other = labels.index(hat) if not own and hat in labels else (at + 1) % len(labels)
    for r, positive in enumerate(retrieved[at]):
        negative = retrieved[other][r % len(retrieved[other])]
        first = negative if own else positive
        yield Ask(query, hat, labels[at], (first, positive), positive, negative)


def lines(hat: str, candidate: str, words: str = WORDS["imagenet"]) -> list[str]:
    """The three lines, each with one `{image}`; `hat` and `candidate` are names of classes.

    Example:
        >>> lines("cat", "dog")[0]
        'This image {image} shows a photo of cat, True or False? Answer: False'
        >>> lines("cat", "dog")[2]
        'This image {image} shows a photo of dog, True or False? Answer: '
    """

    def line(name: str) -> str:
        return f"This image {IMAGE} shows {words} {name}, True or False? Answer: "

    return [line(hat) + FALSE, line(candidate) + TRUE, line(candidate)]
