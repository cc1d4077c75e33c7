"""Songs that are made for training: their stems, and what is played in them."""
