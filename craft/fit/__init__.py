"""One run: its inputs, a black box and a learner in, files out.

``python -m craft.fit`` is the way in; only this room knows box and learner together.
"""
