"""The WAVE model (arXiv:2509.21990): checkpoint, towers, decoder, fusion head, and the embedder that drives them."""
