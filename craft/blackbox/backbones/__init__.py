"""Backbones: what describes one, its frozen model, and the export of its text side.

``description`` reads the YAML, ``load`` the weights. Images need no more: only ``export`` imports
the text towers, so that a change there encodes nothing again.
"""
