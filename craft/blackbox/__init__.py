"""The model behind the box: text towers, image features, backbones, and the two boxes.

Learners never import this room; ``craft.fit`` hands them a box.
"""
