"""Image trees, their manifests and few-shot splits.

``fetch`` below brings the trees; learners import nothing from here.
"""
