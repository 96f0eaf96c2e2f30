"""The public port: authentication, choice of replica and byte pass-through."""
