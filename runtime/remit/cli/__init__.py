"""The command line: one file a verb, one composition root (`main`)."""
