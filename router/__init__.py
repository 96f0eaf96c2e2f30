"""The public port: authentication, choice of replica and byte pass-through."""

from router import compiled

COMPILED = compiled.use(__path__)
"""Whether the hot modules run as machine code."""
