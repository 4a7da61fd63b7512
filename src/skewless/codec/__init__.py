"""Between the wire and the rest: definitions, values and failures as messages, and back."""
