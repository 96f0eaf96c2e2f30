"""Receiving weights: tus 1.0, sessions of several files that survive a kill, and the client that pushes."""
