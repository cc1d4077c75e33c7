"""One file for each way to write a stem, below what they share: base, pcm, through_ffmpeg."""
