"""The tuner's side of a black box behind HTTP: a connection, boxes of learners, uploads of images.

``craft.service`` is the other side; both import what they say to each other from ``wire``.
"""
