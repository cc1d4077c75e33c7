"""How good are these stems: metrics, and a song whose stems are known."""
