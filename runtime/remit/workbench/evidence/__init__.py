"""Evidence bundles: an agent's records of some time, with all that is needed to check them offline.

`collect` writes a bundle from a store, `check` checks one without a store.
`verify_bundle` and `redecide` lie in every bundle as programs of their own, so they import nothing of Remit.
"""
