"""Card payments, some of them by thieves: streams with everything that goes wrong in streams, and a model over them."""
