"""The control plane: desired state, reconcile loop, library of weights, accounts, admin API and CLI."""

__version__ = "0.1.0"
