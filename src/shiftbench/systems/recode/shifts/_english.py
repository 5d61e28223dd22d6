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
    """The parts of speech under which the dictionary has a word."""
    import lemminflect  # type: ignore[import-untyped]

    lemmas = lemminflect.getAllLemmas(word.lower())
    return tuple(part for part in PARTS if part in lemmas)


@cache
def lemma(word: str, part: str) -> str:
    """The base form of a word."""
    import lemminflect

    lemmas = lemminflect.getAllLemmas(word.lower(), upos=part).get(part, ())
    return str(lemmas[0]) if lemmas else word.lower()


@cache
def forms(base: str, part: str) -> dict[str, str]:
    """The first form of a base under each tag of a part of speech (`VBD`: checked), sorted by tag."""
    import lemminflect

    inflections = lemminflect.getAllInflections(base, upos=part)
    return {tag: str(inflections[tag][0]) for tag in sorted(inflections) if tag in _TAGS[part]}


_TAGS = {
    "NOUN": ("NN", "NNS"),
    "VERB": ("VB", "VBD", "VBG", "VBN", "VBP", "VBZ"),
    "ADJ": ("JJ", "JJR", "JJS"),
    "ADV": ("RB", "RBR", "RBS"),
}


def tag(word: str, part: str) -> str | None:
    """The tag under which a word is a form of its base, None where there is none."""
    known = forms(lemma(word, part), part)
    return next((name for name, form in known.items() if form == word.lower()), None)


def parts_of_speech(words: list[str]) -> list[str | None]:
    """The part of speech of each word of a sentence; None: a function word, or not in the dictionary."""
    plain = [word.lower() for word in words]
    parts: list[str | None] = []
    for index, word in enumerate(plain):
        candidates = () if word in FUNCTION_WORDS or len(word) < 2 else readings(word)
        previous = plain[index - 1] if index else ""
        following = plain[index + 1] if index + 1 < len(plain) else ""
        parts.append(_part_of_speech(candidates, previous, parts[index - 1] if index else None, following))
    return parts


def _part_of_speech(
    candidates: tuple[str, ...], previous: str, previous_part: str | None, following: str
) -> str | None:
    if not candidates:
        return None
    if "VERB" in candidates and (not previous or previous in _VERB_BEFORE or following in _DETERMINERS):
        return "VERB"
    noun_next = bool(following) and following not in FUNCTION_WORDS and "NOUN" in readings(following)
    nominal = previous in _DETERMINERS or previous in _PREPOSITIONS or previous_part == "ADJ"
    if "ADJ" in candidates and noun_next and (nominal or "NOUN" not in candidates):
        return "ADJ"
    if "NOUN" in candidates and (nominal or "VERB" not in candidates or previous_part == "NOUN"):
        return "NOUN"
    return next(part for part in ("NOUN", "ADJ", "VERB", "ADV") if part in candidates)


def like(word: str, model: str) -> str:
    """A word with the capitals of another: all, the first, none."""
    if len(model) > 1 and model.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word
