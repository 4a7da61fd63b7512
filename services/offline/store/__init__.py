"""Storage doors: the offline tables, the online store, and the SQL engine of batch sources."""
