"""Everything that makes the embedded suite: rendered worlds, tasks, and pretrained backbones.

Only rendering runs in a pipeline; pretraining made the files that ship.
"""
