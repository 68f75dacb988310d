"""The server's side of a black box behind HTTP: keys, charges, image sets, tasks, calls.

``craft serve`` starts it; ``craft.client`` is the client's side.
"""
