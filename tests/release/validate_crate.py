"""`python validate_crate.py FOLDER`, in the validators' environment: what the RO-Crate validator requires and misses.

It asks the network for the JSON-LD context of RO-Crate 1.1. Here the one that `rocrate` ships answers, that of 1.3,
with the name that 1.1 has for a workflow; every other address is out of reach.
"""

import sys
from pathlib import Path
from typing import Any

import requests
import rocrate
from rocrate.rocrate import ROCrate
from rocrate_validator import models, services
from rocrate_validator.utils.http import HttpRequester

CONTEXT = Path(rocrate.__file__).parent / "data/ro-crate.jsonld"
NEW, OLD = b"https://bioschemas.org/terms/", b"https://bioschemas.org/"
PROFILE = "workflow-run-crate"


def get(_: HttpRequester, url: str, **__: Any) -> requests.Response:
    answer = requests.Response()
    answer.url = url
    here = url == "https://w3id.org/ro/crate/1.1/context"
    answer.status_code = 200 if here else 504
    answer._content = CONTEXT.read_bytes().replace(NEW, OLD) if here else b""
    answer.headers["Content-Type"] = "application/ld+json"
    return answer


HttpRequester.get = get
settings = services.ValidationSettings(
    rocrate_uri=sys.argv[1], profile_identifier=PROFILE, requirement_severity=models.Severity.REQUIRED, offline=True
)
result = services.validate(settings)
issues = [f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues()]
statistics = result.statistics.to_dict()
actions = [e for e in ROCrate(sys.argv[1]).get_entities() if e.type == "CreateAction"]
print("\n".join(issues))
print(f"{statistics['total_passed_checks']} of {statistics['total_checks']} checks passed")
print(f"{len(actions)} actions")
sys.exit(bool(issues))
