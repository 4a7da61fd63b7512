"""The catalogue of meaning.

In: Plan, Apply, GetDefinition, ListDefinitions, Watch (gRPC). Out: a snapshot of the catalogue to every watcher
after each change. Keeps definitions and an audit of their changes in a database.
"""
