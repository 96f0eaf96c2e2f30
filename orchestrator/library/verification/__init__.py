"""Is a folder a model that can be served, and is it safe to hand it to an engine?

`verify.verify(folder)` asks the question in a limited process; `examine.examine(folder)` is what runs in there.
Neither torch nor transformers is imported: everything is read from headers, JSON and samples.
"""
