"""Renews what of the chart is made from elsewhere: ``make chart-examples``."""

from __future__ import annotations

import json

from tools.chart import rendered, settings, table

if __name__ == "__main__":
    schema = settings.renewed(json.loads(settings.SCHEMA.read_text()))
    settings.SCHEMA.write_text(settings.text(table.with_descriptions(schema)))
    table.README.write_text(table.renewed(table.README.read_text()))
    for case in rendered.cases():
        rendered.renew(case)
