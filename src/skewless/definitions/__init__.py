"""Definitions: what features mean, written in Python, carried as canonical JSON. Pure: no clock, no services.

Steps: objects (`objects`, `aggregates`, `views`) → a project (`project`) → canonical documents (`building`,
`resource`) → typed meanings (`reading`, `meanings`) → the catalogue that services ask (`catalog`). Users import
the names from `skewless` itself.
"""
