"""One module per way to write a stem; they share base, pcm and through_ffmpeg."""
