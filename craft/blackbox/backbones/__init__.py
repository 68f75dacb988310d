"""Backbones: what describes one, and its weights.

``description`` reads the YAML, ``load`` the weights.
"""
