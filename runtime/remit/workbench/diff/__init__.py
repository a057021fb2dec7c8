"""Two revisions of an agent side by side: rules in their authors' words, declarations, and what flips.

`rules` compares rules, `declarations` everything else that a document declares, `cases` known cases,
`view` makes the report. What flips on a ledger is a replay with a baseline.
"""
