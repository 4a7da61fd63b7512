"""Steps from an empty database, or any older one, to the tables of `services.registry.store.tables`."""
