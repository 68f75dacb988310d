"""CraFT: collaborative fine-tuning of vision-language models that only answer queries."""

__version__ = "0.1.0"
