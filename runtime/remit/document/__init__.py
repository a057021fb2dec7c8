"""The document: strict parsing, identity, memory, lineage, signatures. No I/O."""
