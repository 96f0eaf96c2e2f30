"""The library of weights: where they come from, whether they can be served, which revision they are."""
