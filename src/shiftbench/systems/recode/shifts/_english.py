"""English words in their sentence: part of speech by a few rules, other forms by lemminflect, synonyms by WordNet.

Source: none; there is no tagger that needs no model. A word's possible parts of speech are those under which
lemminflect's dictionary has it; what stands before and behind it chooses. Function words are never touched.
"""

from functools import cache

PARTS = {"NOUN": "noun", "VERB": "verb", "ADJ": "adj", "ADV": "adv"}
"""Universal part of speech -> WordNet's."""
_DETERMINERS = "a an the this that these those each every any some no all both its their your his her our my".split()
_PREPOSITIONS = "of in on at by for from with without into over under between within per as than via about".split()
_MODALS = "can could should must may might will would".split()
_VERB_BEFORE = [*_MODALS, *"to shall not do does did you we they i who which please".split()]
_AUXILIARY = "is are was were be been being has have had am do does did".split()
_OTHERS = (
    "and or but if then else when while where there here it he she him them us me so such only also very too more most "
    "less least other another same own just even ever never always often yes what how why whose whom because since "
    "until unless though although e g i etc vs one two three four five six seven eight nine ten s t"
).split()
FUNCTION_WORDS = frozenset([*_DETERMINERS, *_PREPOSITIONS, *_VERB_BEFORE, *_AUXILIARY, *_OTHERS])


@cache
def readings(word: str) -> tuple[str, ...]:
    """Return the parts of speech under which the dictionary has a word."""
    import lemminflect  # type: ignore[import-untyped]

    found = lemminflect.getAllLemmas(word.lower())
    return tuple(part for part in PARTS if part in found)


@cache
def lemma(word: str, part: str) -> str:
    """Return the base form of a word."""
    import lemminflect

    found = lemminflect.getAllLemmas(word.lower(), upos=part).get(part, ())
    return str(found[0]) if found else word.lower()


@cache
def forms(base: str, part: str) -> dict[str, str]:
    """Return the first form of a base under each tag of a part of speech (`VBD`: checked), sorted by tag."""
    import lemminflect

    found = lemminflect.getAllInflections(base, upos=part)
    return {tag: str(found[tag][0]) for tag in sorted(found) if tag in _TAGS[part]}


_TAGS = {
    "NOUN": ("NN", "NNS"),
    "VERB": ("VB", "VBD", "VBG", "VBN", "VBP", "VBZ"),
    "ADJ": ("JJ", "JJR", "JJS"),
    "ADV": ("RB", "RBR", "RBS"),
}


def tag(word: str, part: str) -> str | None:
    """Return the tag under which a word is a form of its base, None where there is none."""
    known = forms(lemma(word, part), part)
    return next((name for name, form in known.items() if form == word.lower()), None)


def parts_of_speech(words: list[str]) -> list[str | None]:
    """Return the part of speech of each word of a sentence; None: a function word, or not in the dictionary."""
    plain = [word.lower() for word in words]
    found: list[str | None] = []
    for at, word in enumerate(plain):
        own = () if word in FUNCTION_WORDS or len(word) < 2 else readings(word)
        before = plain[at - 1] if at else ""
        behind = plain[at + 1] if at + 1 < len(plain) else ""
        found.append(_chosen(own, before, found[at - 1] if at else None, behind))
    return found


def _chosen(own: tuple[str, ...], before: str, last: str | None, behind: str) -> str | None:
    if not own:
        return None
    if "VERB" in own and (not before or before in _VERB_BEFORE or behind in _DETERMINERS):
        return "VERB"
    noun_next = bool(behind) and behind not in FUNCTION_WORDS and "NOUN" in readings(behind)
    nominal = before in _DETERMINERS or before in _PREPOSITIONS or last == "ADJ"
    if "ADJ" in own and noun_next and (nominal or "NOUN" not in own):
        return "ADJ"
    if "NOUN" in own and (nominal or "VERB" not in own or last == "NOUN"):
        return "NOUN"
    return next(part for part in ("NOUN", "ADJ", "VERB", "ADV") if part in own)


def like(word: str, model: str) -> str:
    """Return a word with the capitals of another: all, the first, none."""
    if len(model) > 1 and model.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word
