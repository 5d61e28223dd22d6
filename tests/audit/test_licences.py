"""A7: a licence that is missing or another one, and data where they would be passed on."""

import shutil

from makers.repositories import HOME


def test_each_manifest_states_its_licence(made):
    shutil.copy(HOME / "dvc.yaml", made.root)
    assert made.findings("licences") == []


def test_a_missing_licence_fails(made):
    ref = made.one("shards", "tiny/test/contrast")
    made.edit(ref.path, lambda content: content.update(licence=""))
    (finding,) = made.findings("licences")
    assert (finding.verdict, finding.file, finding.found) == ("failed", ref.path, "nothing")


def test_what_may_not_be_passed_on_fails_where_it_is_pushed_from(made):
    secret = next((made.root / "data/local").glob("secret/*/*/*"))
    home = made.root / "data/shards" / secret.relative_to(made.root / "data/local")
    shutil.copytree(secret, home)
    (finding,) = made.findings("licences")
    assert finding.verdict == "failed"
    assert "its licence forbids sharing" in finding.why


def test_an_output_of_dvc_over_private_data_fails(made):
    (made.root / "dvc.yaml").write_text("stages: {shards: {cmd: x, outs: [data/shards, data]}}\n")
    assert {(one.file, one.found) for one in made.findings("licences")} == {("dvc.yaml", "data")}
