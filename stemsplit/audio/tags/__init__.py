"""Tags and covers: read from a song in any of the usual containers, written to its stems.

ffmpeg would lose the tempo, the key and most covers; the library that would keep them is GPL.
"""
