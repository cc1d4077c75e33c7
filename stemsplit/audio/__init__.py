"""Files in, files out: probing, decoding, resampling and encoding, through ffmpeg and soundfile."""
