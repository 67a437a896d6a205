"""Writes the dashboards: ``.venv/bin/python -m deploy.dashboards``. A test fails while the committed files differ from what this makes."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards import city, enforcement, enterprises, pipeline

FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"


def written() -> dict[str, str]:
    """The name of each file, and what is in it."""
    return {name: as_json(module.dashboard()) for name, module in (("city", city), ("enterprises", enterprises), ("enforcement", enforcement), ("pipeline", pipeline))}


def as_json(made: Dashboard) -> str:
    """A dashboard as Grafana reads it."""
    return json.dumps(made, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in written().items():
        (FOLDER / f"{name}.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
