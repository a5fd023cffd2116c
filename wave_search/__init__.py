"""Any-to-any multimodal search: sound, pictures, video and text in one embedding space."""

__version__ = "0.1.0"
