"""Weights on a host: revisions kept by content, fetched from hosts that have them, in a bounded cache."""
