"""The tree over classes: its file, the builder with its four priors, who is a positive or a negative at each level."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import silhouette_score

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.systems.detree.losses._tree import Tree
from shiftbench.systems.detree.trainers import tree_contrastive

NAMES = (
    *("human", "human_polish_a", "human_extend_a"),
    *("gpt_s", "gpt_m", "gpt_l", "gpt_s_polish", "gpt_m_polish"),
    *("opt_s", "opt_l", "opt_s_polish", "ctrl"),
)
GROUPS = {  # the toy: families, and within them near twins
    "people": ("human", "human_polish_a", "human_extend_a"),
    "gpt": ("gpt_s", "gpt_m", "gpt_l"),
    "gpt_polish": ("gpt_s_polish", "gpt_m_polish"),
    "opt": ("opt_s", "opt_l", "opt_s_polish"),
    "ctrl": ("ctrl",),
}


def toy() -> np.ndarray:
    """Return the similarity of twelve classes: 0.95 in a group, 0.7 between both of gpt, 0.3 to opt, else 0."""
    alike = np.zeros((12, 12))
    for one, group in enumerate(NAMES):
        for other, another in enumerate(NAMES):
            mine, theirs = family(group), family(another)
            alike[one, other] = (
                1.0 if one == other
                else 0.95 if mine == theirs
                else 0.7 if {mine, theirs} == {"gpt", "gpt_polish"}
                else 0.3 if "people" not in (mine, theirs) and "ctrl" not in (mine, theirs)
                else 0.0
            )  # fmt: skip
    return alike


def family(name: str) -> str:
    return next(group for group, members in GROUPS.items() if name in members)


def shape(tree: Tree, node: int | None = None) -> object:
    """Return a tree as nested sets: a leaf is the set of its classes, an inner node the set of its children."""
    node = tree.root if node is None else node
    if node in tree.names:
        return frozenset(tree.names[node])
    return frozenset(shape(tree, child) for child, up in tree.parents.items() if up == node)


def leaf(*groups: str) -> frozenset[str]:
    return frozenset(name for group in groups for name in GROUPS[group])


GPT, OPT, CTRL = frozenset({leaf("gpt"), leaf("gpt_polish")}), leaf("opt"), leaf("ctrl")


def test_trees_of_a_toy_are_those_worked_out_by_hand() -> None:
    """Merges are at 0.05 in groups, 0.3 for both of gpt, 0.7 with opt, 1 for ctrl and people.

    The best silhouette is that of the five groups or, where it is the same, of the first threshold: cutting at 0.05 or
    more and below 0.3 gives the groups; their silhouettes are 1 - 0.05/0.3 in gpt, more in the others, and 0 for ctrl,
    which is alone. Cutting between 0.3 and 0.7 joins both of gpt, whose members then are 0.19 on average from their
    own and 0.7 from opt: less than before. So all groups hang on the root.
    """
    people, polished = leaf("people"), frozenset({"human_polish_a", "human_extend_a"})
    machines = {leaf("gpt"), leaf("gpt_polish"), OPT, CTRL}
    human = frozenset({"human"})
    wanted = {
        0: frozenset({people, *machines}),
        1: frozenset({human, frozenset({polished, *machines})}),
        2: frozenset({people, frozenset(machines)}),
        3: frozenset({human, polished, frozenset(machines)}),
    }
    assert {prior: shape(tree_contrastive.build(NAMES, toy(), prior)) for prior in tree_contrastive.PRIORS} == wanted


def test_levels_of_a_binary_chain() -> None:
    """Four classes at 0.9, 0.5 and 0.2: a threshold that splits off the last, then the next, as silhouettes say."""
    alike = np.array([[1, 0.95, 0.4, 0.1], [0.95, 1, 0.4, 0.1], [0.4, 0.4, 1, 0.1], [0.1, 0.1, 0.1, 1.0]])
    found = shape(tree_contrastive.build("abcd", alike, prior=0))
    # {a, b}, c, d: silhouettes (1 - 0.05/0.6) twice and 0 twice, mean 0.458; {a, b, c}, d: a and b have own distance
    # 0.325 and other 0.9: 0.639 each, c 0.6 and 0.9: 0.333, d 0, mean 0.403. So the three hang on the root.
    assert found == frozenset({frozenset("ab"), frozenset("c"), frozenset("d")})


def test_the_builder_agrees_with_the_released_rule_on_drawn_similarities() -> None:
    random = np.random.default_rng(2)
    for size in (2, 3, 5, 9, 14):
        points = random.normal(size=(size, 4))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        names = [f"c{at}" for at in range(size)]
        alike = np.clip(points @ points.T, None, 1)
        for end in (0.1, 0.6):
            built = shape(tree_contrastive.build(names, alike, 0, end))
            assert built == Literal(1 - alike, names, end).tree(2 * size - 2)


class Literal:
    """What the released program does, written again from its description, on lists of indices."""

    def __init__(self, distance: np.ndarray, names: list[str], end: float) -> None:
        self.distance, self.names, self.end = distance.copy(), names, end
        np.fill_diagonal(self.distance, 0)
        self.heights, self.children = [0.0] * len(names), [list[int]() for _ in names]
        for row in linkage(squareform(self.distance, checks=False), method="weighted"):
            self.heights.append(row[2])
            self.children.append([int(row[0]), int(row[1])])

    def leaves(self, node: int) -> list[int]:
        below = [leaf for one in self.children[node] for leaf in self.leaves(one)]
        return below or [node]

    def kept(self, node: int, height: float) -> list[int]:
        if self.heights[node] <= height:
            return [node]
        return [part for one in self.children[node] for part in self.kept(one, height)]

    def score(self, node: int, height: float) -> float:
        own = sorted(self.leaves(node))
        label = {leaf: part for part in self.kept(node, height) for leaf in self.leaves(part)}
        labels = [label[leaf] for leaf in own]
        if not 1 < len(set(labels)) < len(own):
            return -1
        part = self.distance[np.ix_(own, own)]
        return float(silhouette_score(part, labels, metric="precomputed"))

    def tree(self, node: int, depth: int = 0) -> object:
        own = [self.names[leaf] for leaf in self.leaves(node)]
        if not self.children[node] or self.heights[node] <= self.end or depth >= 5:
            return frozenset(own)
        heights = np.linspace(0, self.heights[node], 50)
        scores = [self.score(node, height) for height in heights]
        if max(scores) == -1:
            return frozenset(frozenset({name}) for name in own)
        parts = self.kept(node, heights[int(np.argmax(scores))])
        return frozenset(self.tree(part, depth + 1) for part in parts)


def test_file_is_the_same_after_a_round_trip() -> None:
    for prior in tree_contrastive.PRIORS:
        tree = tree_contrastive.build(NAMES, toy(), prior)
        text = tree.text()
        assert Tree.parse(text) == tree
        assert Tree.parse(text).text() == text
    published = "5 -1 none\n0 5 human\n4 5 none\n1 4 ctrl\n2 4 xlm,xlm_translate\n3 4 gpt1\n"
    assert Tree.parse(published).text() == published


def test_numbers_and_lines_are_those_of_the_released_program() -> None:
    """Leaves in order of their lines, inner nodes as they are complete, the root last though its line is first."""
    tree = tree_contrastive.build(NAMES, toy(), 1)
    lines = [line.split() for line in tree.text().splitlines()]
    assert lines[0] == [str(len(lines) - 1), "-1", "none"]
    assert lines[1][2] == "human"
    leaves = [int(node) for node, _, names in lines if names != "none"]
    assert leaves == list(range(len(leaves)))
    assert all(int(node) < int(parent) for node, parent, _ in lines[1:])


def test_star_is_the_file_of_the_first_stage() -> None:
    assert Tree.star(["a", "b"]).text() == "0 2 a\n1 2 b\n2 -1 none\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0 1 a\n", "parent 1 of node 0 has no line|one root"),
        ("0 -1 none\n1 -1 a\n", "one root"),
        ("2 -1 none\n0 2 a\n1 2 a\n", "'a' stands in two leaves"),
        ("2 -1 none\n0 2 a\n1 2 none\n", "node 1 has children and classes, or neither"),
        ("0 -1 none\n1 2 a\n2 1 none\n3 0 b\n", "do not hang on the root"),
        ("0 -1\n", "line 1: expected `id parent names`"),
        ("0 -1 none\n0 0 a\n", "line 2: node 0 stands twice"),
    ],
)
def test_what_is_no_tree_is_told(text: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        Tree.parse(text)


def test_what_cannot_be_built_is_told() -> None:
    with pytest.raises(ParamsError, match="prior is 4; expected one of 0, 1, 2, 3"):
        tree_contrastive.build(NAMES, toy(), 4)
    with pytest.raises(DataError, match="two at least"):
        tree_contrastive.build(["human"], np.ones((1, 1)))
    with pytest.raises(DataError, match="prior 1 needs classes"):
        tree_contrastive.build(["gpt", "opt"], np.eye(2), 1)


def test_levels_and_depths() -> None:
    #        8
    #   human    7        leaves: 0 human, 1 {a}, 2 {b, c}, 3 {d}; 6 joins 1 and 2, 7 joins 6 and 3
    tree = Tree.parse("8 -1 none\n0 8 human\n7 8 none\n6 7 none\n1 6 a\n2 6 b,c\n3 7 d\n")
    assert tree.nodes == (0, 1, 2, 3, 6, 7)
    positives, negatives = tree.levels()
    at = list(tree.names).index(1)  # of a: path 1, 6, 7
    assert tree.path(1) == (1, 6, 7)
    assert positives[:, at].tolist() == [
        [False, True, False, False, False, False],  # itself
        [False, False, True, False, True, False],  # b, c and the node above, which counts as its own
        [False, False, False, True, False, True],  # d and the node above
    ]
    assert negatives[:, at].tolist() == [
        [True, False, True, True, True, True],
        [True, False, False, True, False, True],
        [True, False, False, False, False, False],
    ]
    human = list(tree.names).index(0)  # one level
    assert not positives[1:, human].any()
    assert not negatives[1:, human].any()
    assert [tree.common_depth("a", other) for other in ("b", "d", "human")] == [2, 1, 0]
    assert tree.common_depth("b", "c") == 3


def test_similarity_is_that_of_centres() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    names, alike = tree_contrastive.similarity(vectors, ["b", "b", "a"])
    assert names == ["a", "b"]
    np.testing.assert_allclose(alike, [[1.0, 0.7], [0.7, 0.5]], atol=1e-7)
