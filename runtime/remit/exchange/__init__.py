"""Foreign agent formats: what can be read from them, what is written to them."""
