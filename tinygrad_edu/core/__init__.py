"""The engine's core: facts, memory, tape and tensor, in the order in which they are imported.

No mathematics lives here: operations are attached by `tinygrad_edu.ops`.
"""
