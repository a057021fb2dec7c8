"""Adapters to outside things, one module each, found through entry points."""
