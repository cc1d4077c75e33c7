"""Tags and covers: read from a song of any of the usual containers, written to its stems.

ffmpeg would lose the tempo, the key and most covers, and the library that would not is GPL.
"""
