"""`python validate_bill.py FILE`, in the validators' environment: what CycloneDX's schema and library find wrong."""

import json
import sys
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = Path(sys.argv[1]).read_text()
document = json.loads(text)
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if error:
    sys.exit(f"{error.data.json_path}: {error.data.message}")
bom = Bom.from_json(data=document)
bom.validate()  # the references of the dependencies
urls = {one["bom-ref"]: one.get("purl") for one in document["components"]}
read = {one.bom_ref.value: one.purl and one.purl.to_string() for one in bom.components}
print(f"{len(read)} components, {len(urls.items() ^ read.items())} package URLs read otherwise")
