"""The compiled engine: policies as Python code with Cedar's exact semantics; no input or output."""
