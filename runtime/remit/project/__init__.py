"""A project folder, as people write an agent, and the document that is built from it."""
