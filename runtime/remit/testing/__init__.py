"""What adapter authors run: the contract suite of each port, and fakes that pass it."""
