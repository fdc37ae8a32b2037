"""Planning: what a config asks for. Nothing here imports torch, since the workflow reads it at every start."""
