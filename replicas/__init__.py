"""One engine per replica: the Ray Serve deployment, its HTTP server, its lease in the store."""
