"""Rules to Cedar: schemas, compilation, validation, provenance."""
