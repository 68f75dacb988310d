"""One process: how a command ends, signals, the GPU lease, memory, where a result comes from.

No number depends on this room, so that its code is no part of what re-runs a stage.
"""
