"""The model behind the box: backbones, text towers, image features, and the boxes themselves.

Learners never import this package; ``craft.fit`` gives them a box.
"""
