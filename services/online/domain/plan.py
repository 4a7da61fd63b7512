"""The catalogue as the read path takes it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import FeatureService, View


def plan_of(catalog: Catalog) -> bytes:
    """Every view and feature service of every project, each with its meaning as the text that was hashed."""
    projects = {
        project: {
            "views": _documents(catalog.views(project)),
            "services": _documents(catalog.services(project)),
        }
        for project in catalog.projects()
    }
    return json.dumps({"revision": catalog.revision, "projects": projects}).encode()


def _documents(resources: Iterable[View | FeatureService]) -> list[dict[str, Any]]:
    return [{"version": str(resource.version), "meaning": resource.meaning_json.decode()} for resource in resources]
