"""Writes the OpenAPI document that the web client is generated from: `python -m orchestrator.api.openapi FILE`."""

import json
import sys
from pathlib import Path

from orchestrator.api.app import create_app


def document() -> str:
    return json.dumps(create_app(None).openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document())
