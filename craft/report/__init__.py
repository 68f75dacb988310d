"""Tables and figures of the paper, beside the published numbers.

What is shown comes from scores; nothing is computed from images or models here.
"""
