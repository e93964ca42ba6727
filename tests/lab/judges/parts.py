"""Judges a list of parts, read from standard input, by CycloneDX's own JSON schema 1.6: prints each error, and fails if there is one.

The schemas are those that CycloneDX's own Python library carries.
"""

import json
import sys
from importlib.resources import files

from jsonschema import Draft7Validator
from referencing import Registry, Resource

FOLDER = files("cyclonedx.schema._res")
BASE = "http://cyclonedx.org/schema/"
MAIN = "bom-1.6.SNAPSHOT.schema.json"
BESIDE = ["spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json"]


def schema(name: str) -> dict:
    return json.loads((FOLDER / name).read_text())


def main() -> int:
    beside = [(BASE + name, Resource.from_contents(schema(name))) for name in BESIDE]
    judge = Draft7Validator(schema(MAIN), registry=Registry().with_resources(beside))
    errors = list(judge.iter_errors(json.load(sys.stdin)))
    for error in errors[:10]:
        print(f"{error.json_path}: {error.message[:200]}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
