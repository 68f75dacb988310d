"""The client's side of a black box behind HTTP: connections, boxes, uploads of images.

``craft.service`` is the server's side; both import the wire format from ``wire``.
"""
