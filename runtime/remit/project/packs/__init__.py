"""Governance packs as folders: reading, finding, pinning, using, comparing and signing them."""
