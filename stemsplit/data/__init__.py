"""Songs with stems: layouts, reading and alignment, synthetic songs."""
