"""Holds a catalog against the Hub as it is now: `scripts/catalog-check`."""
