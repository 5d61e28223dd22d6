"""Drawn manifests of a stranger who makes root and statement anew: none verifies or leads elsewhere."""

import contextlib
import hashlib
import json
import random  # noqa: TID251 - of manifests, and seeded
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from makers import attacks, planned_benchmark
from makers.command_line import ends
from makers.opened_names import OpenedNames
from makers.released_benchmark import call
from shiftbench.base.files import sha256
from shiftbench.provenance import trust
from shiftbench.release import git, manifest, statement

Content = dict[str, Any]
SECRET = b"secret"
TOO_LONG = ("a/" * 3_000 + "a", "data/" * 900 + "x", "a" * 256, "\u00e9" * 128)
TABLE, RUN = "results/tables/small/metrics.parquet", "results/tables/small/metrics.parquet.run.json"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that is not trusted, with a release that verifies; a file above it is nobody's business."""
    home = tmp_path_factory.mktemp("drawn") / "checkout"
    for name in ("releases/1.0", "results/tables/small"):
        (home / name).mkdir(parents=True)
    (home.parent / "secret").write_bytes(SECRET)
    planned_benchmark.make(home)
    (home / "params.yaml").write_text(yaml.safe_dump(planned_benchmark.PARAMS))
    for name in (TABLE, RUN, f"{TABLE}.receipt.json", "requirements.lock"):
        (home / name).write_text("{}\n")
    call("git", "init", "-q", str(home))
    call("git", "-C", str(home), "add", "-A")
    call(*("git", "-C", str(home), "-c", "user.name=a", "-c", "user.email=a@b"), *("commit", "-qm", "x"))
    return home


def honest(home: Path) -> Content:
    made = {"stage": "aggregate", "fingerprint": "f" * 64}
    rows = (
        (TABLE, "tables", made),
        (f"{TABLE}.receipt.json", "receipt", made),
        ("params.yaml", "params", {"stage": manifest.REPOSITORY}),
        ("requirements.lock", "lock", {"stage": manifest.REPOSITORY}),
    )
    entries = [
        {"path": path, "kind": kind, "size": (home / path).stat().st_size, **more} | {"sha256": sha256(home / path)}
        for path, kind, more in rows
    ]
    files = [{"path": RUN, "sha256": sha256(home / RUN)}]
    volatile = {"created": "now", "commit": git.commit(home), "files": files}
    head = {"format": manifest.FORMAT, "name": "1.0", "scale": None, "previous": None}
    return {**head, "artefacts": entries, "volatile": volatile}


def written(home: Path, content: Content, said: str | bytes = "") -> None:
    """Write a manifest, with the root and the statement that it should have as far as there are such."""
    folder = home / "releases/1.0"
    with contextlib.suppress(Exception):
        content.setdefault("root", manifest.root_of(content))
    text = said or json.dumps(content)
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    (folder / manifest.FILE).write_bytes(data)
    (folder / statement.FILE).unlink(missing_ok=True)
    with contextlib.suppress(Exception):
        stated = statement.build(content, statement.own_files(home, "1.0"), {})
        (folder / statement.FILE).write_text(json.dumps(stated))


def an_entry(draw: random.Random, content: Content) -> Content:
    entry: Content = draw.choice([*content["artefacts"], *content["volatile"]["files"]])
    return entry


def another_path(draw: random.Random, content: Content) -> None:
    """To a file above the checkout, of which all is right; or one that no file system takes; or any other."""
    one = draw.choice(content["artefacts"])
    kind = draw.randrange(3)
    if kind == 0:
        digest = hashlib.sha256(SECRET).hexdigest()
        way = draw.choice(("..", "a/../..", "results/../..", "./.."))
        one |= {"path": f"{way}/secret", "size": len(SECRET), "sha256": digest}
    else:
        one["path"] = draw.choice(TOO_LONG) if kind == 1 else attacks.path(draw)


def another_run_file(draw: random.Random, content: Content) -> None:
    place = draw.choice((*TOO_LONG, "../secret", "a/../../secret", f"../{attacks.path(draw)}"))
    content["volatile"]["files"][0]["path"] = place


def other_bytes(draw: random.Random, content: Content) -> None:
    one = draw.choice(content["artefacts"])
    digest = one["sha256"]
    letters = "".join(draw.choices("0123456789abcdef", k=draw.choice((63, 64, 65))))
    odd = (digest.upper(), digest + "\n", " " + digest, digest[:-1] + "\uff10", "../" + digest[3:])
    one["sha256"] = draw.choice((letters, *(each for each in odd if each != digest)))


def another_size(draw: random.Random, content: Content) -> None:
    one = draw.choice(content["artefacts"])
    size = one["size"]
    sizes = (size + 1, -size, 0, 1 << 64, 10**39, 10**41, 1e30, True)
    one["size"] = draw.choice((draw.choice(sizes), str(size), float(size)))


def another_value(draw: random.Random, content: Content) -> None:
    """In place of a value on which something hangs."""
    one = an_entry(draw, content)
    places: list[tuple[Content, str]] = [
        *((one, key) for key in ("path", "sha256", "size") if key in one),
        *((content, key) for key in ("format", "name", "scale", "previous", "artefacts")),
        *((content, key) for key in ("root", "volatile")),
        (content["volatile"], "commit"),
        (content["volatile"], "files"),
    ]
    at, key = draw.choice(places)
    same = at.get(key), None if key in ("scale", "previous") else object()
    at[key] = draw.choice([value for value in attacks.VALUES if value not in same])
    if key == "files" and at[key] in ([], {}):
        at[key] = [0]  # run files need not be named


def a_key_more_or_less(draw: random.Random, content: Content) -> None:
    if draw.random() < 0.5:
        an_entry(draw, content)[draw.choice(("mode", "link", "path ", "__class__"))] = "x"
        content["volatile"]["files"][0].pop("sha256")
        return
    at = draw.choice((content, content["volatile"], draw.choice(content["artefacts"])))
    key = draw.choice(sorted(at.keys() - {"created", "size", "fingerprint", "withheld"}))
    del at[key]


def twice(draw: random.Random, content: Content) -> None:
    one = dict(draw.choice(content["artefacts"]))
    if draw.random() < 0.5:
        one["sha256"] = "0" * 64
    content["artefacts"].insert(draw.randrange(4), one)


def swapped(draw: random.Random, content: Content) -> None:
    first, other = draw.sample(content["artefacts"][1:], 2)
    key = draw.choice(("path", "sha256")) if first["sha256"] != other["sha256"] else "stage"
    first[key], other[key] = other[key], first[key]
    first["size"] += 1


def deep(draw: random.Random, content: Content) -> None:
    at = draw.choice((content, content["volatile"], an_entry(draw, content)))
    at[draw.choice((*at, "more"))] = attacks.nested(draw)


def another_name(draw: random.Random, content: Content) -> None:
    content["name"] = draw.choice(("1.1", "1.0 ", "l.0", "\uff11.0", "../1.0", attacks.path(draw)))


def another_chain(draw: random.Random, content: Content) -> None:
    content["previous"] = draw.choice(("0" * 64, "f" * 64, "F" * 64, "0" * 63, "HEAD"))


def another_scale(draw: random.Random, content: Content) -> None:
    content["scale"] = draw.choice((attacks.path(draw), "systems/../../x", "smoke", "systems/palm"))


CHANGES: tuple[Callable[[random.Random, Content], None], ...] = (
    *(another_path, another_run_file, other_bytes, another_size, another_value, twice, swapped),
    *(a_key_more_or_less, deep, another_name, another_chain, another_scale),
)


def damaged(draw: random.Random, home: Path) -> None:
    """Damage the manifest's file, of which the statement has the digest."""
    written(home, honest(home))
    file = home / "releases/1.0" / manifest.FILE
    file.write_bytes(attacks.damaged(draw, file.read_bytes()))


def a_key_twice(draw: random.Random, home: Path) -> None:
    content = honest(home)
    key = draw.choice(("name", "artefacts", "volatile", "root"))
    again = json.dumps({key: draw.choice((None, [], {}, "1.0"))})[1:-1]
    written(home, content, f"{json.dumps(content)[:-1]}, {again}}}")


def drawn(number: int, draw: random.Random, home: Path) -> str:
    """Write a manifest that a stranger could write, of each kind in turn; returns what was changed."""
    of_text = {0: damaged, 1: a_key_twice}
    kind = number % (len(of_text) + len(CHANGES))
    if kind in of_text:
        of_text[kind](draw, home)
        return of_text[kind].__name__
    content = honest(home)
    changes = [CHANGES[kind - len(of_text)], *draw.sample(CHANGES, draw.choice((0, 0, 1)))]
    for change in changes:
        with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError, IndexError):
            change(draw, content)  # what another change has left may be no manifest any more
    written(home, content)
    return ", ".join(change.__name__ for change in changes)


def all_around(home: Path) -> dict[str, tuple[int, int]]:
    """Return what lies in a checkout and above it, without git's index."""
    found = ((path, path.lstat()) for path in home.parent.rglob("*") if path.name != "index")
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found if path != home / ".git"}


def test_no_drawn_manifest_verifies_or_leads_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv(trust.VARIABLE, str(home.parent / "nobody"))
    written(home, honest(home))
    assert ends(monkeypatch, "release", "1.0", "--verify") == 0
    watch = OpenedNames([home.parent])
    for number, draw in enumerate(attacks.draws(56, "manifest")):
        changed = drawn(number, draw, home)
        text = changed, (home / "releases/1.0" / manifest.FILE).read_bytes()[:3_000]
        capsys.readouterr()
        before = all_around(home)
        assert ends(monkeypatch, "release", "1.0", "--verify") in (2, 20, 30), text
        assert all_around(home) == before, text
        assert watch.since() == set(), text
        said = capsys.readouterr()
        lines = [line for one in said for line in one.splitlines()]
        assert len(lines) <= 25, text
        assert all(line.isprintable() and len(line) < 2_000 for line in lines), lines
    watch.close()
