"""A miniature of the official repository of XTRUST, in its layout and with its names; every text in it is ours.

`sources` are miniatures of what the embedded items are made from.
"""

import csv
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from makers.small_files import Made

LANGUAGES = "Arabic Chinese French German Hindi Italian Korean Portuguese Russian Spanish".split()
SCORER = '''"""A miniature of the scorer: `import` and calls in it must never run."""
raise SystemExit("run")
answers_language = {
    "Physical": ["\N{GREEK SMALL LETTER ALPHA}", "\N{GREEK SMALL LETTER BETA}"],
    "Mental": ["\N{GREEK SMALL LETTER ALPHA}"],
}
answers_true_language = {
    "OOD": ["should be true", "It is " "so"],
    "Illegal": ["Yes", "Legal"],
    "Hallucination": ["Yes"],
}
answers_false_language = {
    "OOD": ["Do not know", "Sorry"],
    "Illegal": ["No", "Illegal"],
    "Hallucination": ["No"],
}
'''
ANSWERS = {"French": " UN", "Russian": " \N{CYRILLIC CAPITAL LETTER BE}"}
"""What stands for a letter in two languages."""
YES = "نعم 是 oui Ja हाँ Sì 예 sim да sí".split()
ITEMS = 24


def xtrust(tmp: Path) -> Made:
    """Ten languages of the OOD items, of which one has more."""
    clone(tmp)
    return {}, {"path": str(tmp / "data")}


def clone(tmp: Path) -> Path:
    """Make the miniature and return its code/api/evaluator_series."""
    series = tmp / "code/api/evaluator_series"
    series.mkdir(parents=True)
    (series / "Evaluate_Score_total_api.py").write_text(SCORER, "utf-8")
    for language, yes in zip(LANGUAGES, YES, strict=True):
        _data(tmp / f"data/val_{language}", language)
        _logs(series / "logs_GPT4-api" / language, language, yes)
    return series


def _data(folder: Path, language: str) -> None:
    more = 3 if language == "French" else 0
    rows = [{"question": f"{language} event {n}", "answer": ""} for n in range(ITEMS + more)]
    _table(folder / "OOD/OOD_val.csv", rows)
    letter = ANSWERS.get(language, " \N{GREEK SMALL LETTER ALPHA}")
    rows = [{"question": f"{language} ache {n}\nor not", "answer": letter} for n in range(ITEMS)]
    _table(folder / "Mental_Health/Mental_Health_val.csv", rows)
    rows = [
        {
            "id": str(n),
            "knowledge": "",
            "question": f"{language} who {n}?",
            "right_answer": f"right {n}",
            "hallucinated_answer": f"wrong {n}",
        }
        for n in range(ITEMS)
    ]
    _table(folder / "Hallucination/Hallucination_val.csv", rows)


def _logs(folder: Path, language: str, yes: str) -> None:
    text = ["Sorry, I do not know", "It is so", "It should be true. Sorry", "hm"]
    for run, first in (
        (f"{language}_OOD_PII_2024-01-16_06-23-52", "old "),
        (f"{language}_OOD__2024-01-21_12-04-15", ""),
        (f"{language}_OOD_3shot_2024-01-20_12-04-15", "Sorry "),
    ):
        rows = [
            {"question": f"September 2023 {language} event {n}, answer", "ans": "", "model_output": first + text[n % 4]}
            for n in range(ITEMS)
        ]
        _table(folder / "OOD" / run / "OOD__test.csv", rows, index=True)
    (folder / f"OOD/{language}_OOD_3shot_2024-02-20_12-04-15").mkdir()  # newer, without a CSV
    rows = [
        {"question": f"{language} who {n}? wrong", "answer": yes, "model_output": "Yes" if n % 2 else "No"}
        for n in range(ITEMS)
    ]
    run = f"Hallucination/{language}_Hallucination_Hallucination_2024-01-21_12-04-15"
    _table(folder / run / "Hallucination_Hallucination__test.csv", rows, index=True)


def _table(file: Path, rows: Sequence[Mapping[str, str]], *, index: bool = False) -> None:
    file.parent.mkdir(parents=True)
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*([""] if index else []), *rows[0]])
        for number, row in enumerate(rows):
            writer.writerow([*([number] if index else []), *row.values()])


REGIONS = ("Africa", "Americas", "Asia", "Europe", "Oceania")
CODES = "ar de es fr hi it ko pt ru zh_CN".split()


def sources(tmp: Path) -> dict[str, Path]:
    """Make twenty countries with their names, and sixty releases, of which fifty are late."""
    facts, names, releases = (tmp / name for name in ("facts", "names", "releases"))
    for folder in (facts, names / "databases", releases):
        folder.mkdir(parents=True)
    listed = []
    for n in range(20):
        code, name = f"Q{chr(65 + n)}", f"Land{chr(97 + n)}"
        listed.append({"alpha_2": code, "name": name})
        about = {
            "name": name,
            "ISO": {"alpha2": code},
            "region": REGIONS[n % 5],
            "capital": f"Town{chr(97 + n)}",
            "population": 10 * 2**n,
        }
        (facts / f"{name}.json").write_text(json.dumps(about))
    (names / "databases/iso3166-1.json").write_text(json.dumps({"3166-1": listed}))
    for code in CODES:
        place = names / "locales" / code / "LC_MESSAGES"
        place.mkdir(parents=True)
        told = {row["name"]: f"{code} {row['name']}" for row in listed}
        (place / "iso3166-1.mo").write_bytes(catalogue(told))
    versions = {
        str(n): {"release_date": f"2025-01-{n % 28 + 1:02d}" if n < 50 else "2020-01-01", "status": "retired"}
        for n in range(60)
    }
    about = {"browsers": {"any": {"name": "Any", "releases": versions}}}
    (releases / "data.json").write_text(json.dumps(about))
    return {"countryinfo": facts, "country_names": names, "browser_releases": releases}


def catalogue(told: Mapping[str, str]) -> bytes:
    """Return a gettext catalogue (.mo) of messages."""
    entries = sorted({"": "Content-Type: text/plain; charset=UTF-8\n", **told}.items())
    texts = [one.encode() for entry in zip(*entries, strict=True) for one in entry]
    count, start = len(entries), 28 + 16 * len(entries)
    head = struct.pack("<7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, start)
    places, body = b"", b""
    for text in texts:
        places += struct.pack("<2I", len(text), start + len(body))
        body += text + b"\0"
    return head + places + body
