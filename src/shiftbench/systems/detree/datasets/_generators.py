"""Word generators: Markov chains of a fixed order, counted on documents; and both edits that machines make here.

    next ~ count(last `order` words, next) / count(last `order` words),  backed off to the longest end that was counted

Draws are integers below a total of counts, so texts are the same on every machine. Sentences begin where the chain
says, since their ends are words of their own.

Source: Shannon 1948, "A Mathematical Theory of Communication", section 3 (word approximations of order 1 and 2); what
is written by them stands in for the texts of language models.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts._wordnet import WordNet
from shiftbench.systems.detree.datasets._brown import Sentence

END = "</s>"


class Chain:
    """A Markov chain over words.

    Args:
        order: how many words the next one depends on, 1 at least.
        sentences: what is counted.
    """

    def __init__(self, order: int, sentences: Iterable[Sentence]) -> None:
        counted: dict[Sentence, Counter[str]] = defaultdict(Counter)
        for sentence in sentences:
            words = (*(END,) * order, *sentence, END)
            for at in range(order, len(words)):
                for length in range(order + 1):
                    counted[words[at - length : at]][words[at]] += 1
        self.order = order
        self._next = {
            context: (tuple(counts), tuple(accumulate(counts.values()))) for context, counts in counted.items()
        }

    def write(self, begun: Sequence[str], words: int, rng: RandomStream) -> Sentence:
        """Return `begun`, continued to `words` words and marks; () begins a sentence.

        Takes one raw word for each word and each end of a sentence that is drawn.
        """
        held, context = list(begun), [END] * self.order
        context += begun
        while len(held) < words:
            drawn = self._draw(context, rng)
            context.append(drawn)
            if drawn != END:
                held.append(drawn)
            else:
                context += [END] * (self.order - 1)
        return tuple(held)

    def _draw(self, context: Sequence[str], rng: RandomStream) -> str:
        known = (tuple(context[len(context) - n :]) for n in range(self.order, -1, -1))
        choices, totals = next(self._next[one] for one in known if one in self._next)
        return choices[bisect_right(totals, int(rng.raw(1)[0]) % totals[-1])]


def polished(words: Sequence[str], share: float, wordnet: WordNet, rng: RandomStream) -> Sentence:
    """Return words of which a share is replaced by a synonym out of WordNet, in the case of the word.

    The share is of all words of letters; those without a synonym cannot be among them, so few texts fall short. Takes
    one raw word for each word that has a synonym, then one 16-bit word for each.
    """
    made = list(words)
    spelt = [at for at, word in enumerate(words) if word.isalpha()]
    found = {at: wordnet.synonyms(words[at]) for at in spelt if len(words[at]) > SHORT}
    able = [at for at in spelt if found.get(at)]
    order, parts = rng.choice(len(able)), rng.uniform(len(able))
    for number in order[: round(share * len(spelt))]:
        at = able[number]
        synonym = found[at][int(parts[number] * len(found[at]))]
        made[at] = synonym.capitalize() if words[at][0].isupper() else synonym
    return tuple(made)


SHORT = 3
"""Letters up to which a word is left as it is: articles and prepositions have odd synonyms (a: angstrom)."""
