"""A year of departures from New York: streams, tables and a model over them."""
