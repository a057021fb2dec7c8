"""Governance packs as values: parameters, placeholders, expansion and digest. No input or output.

Rules
1. A parameter has one type, known from its schema alone; a value becomes one Cedar literal of that type.
2. A placeholder stands for a whole literal: never inside a text or comment, never glued to another token.
3. Expansion is a function of the pack and the parameters; the same pair gives the same rules on any machine.
4. A pack's digest covers what it says, as parsed, and nothing of how it was written.
"""
