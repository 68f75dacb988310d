"""Services of one process: entry points, signals, the GPU lease, memory, provenance.

No number depends on this package, so a change of its code runs no stage again.
"""
