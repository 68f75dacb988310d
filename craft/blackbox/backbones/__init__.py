"""Backbones: descriptions, frozen models, and the export of their text and image sides.

``description`` reads the YAML, ``pretrained`` the weights. Only ``export_side`` imports the text
towers, so that a change of a text tower encodes no image again.
"""
