"""The owner's side of a black box behind HTTP: keys, charges, image sets, tasks, and their server.

``craft serve`` starts it; ``craft.client`` is the other side.
"""
