"""CraFT: collaborative fine-tuning of vision-language models that only answer queries."""

__version__ = "1.0.0"
