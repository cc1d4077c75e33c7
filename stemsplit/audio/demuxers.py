"""Which formats ffmpeg may open: those whose files contain their own sound.

ffmpeg goes by the content of a file, not by its name, and some formats are lists of other files or
of addresses (HLS, DASH, IMF, SDP, ``ffconcat``), scripts (AviSynth), discs and devices, or continue
in neighbouring files (image sequences, Magic Lantern, VobSub). A ``song.mp3`` in such a format
would make ffmpeg read files that the user did not name, or wait forever. All of these are left out,
and so are subtitles and text-based drawings.

The list has all other formats of ffmpeg 5.1 to 9.0. A format that a later ffmpeg adds is refused
until it is listed here: only its source shows whether it opens other files.
"""

from __future__ import annotations

#: Names of ffmpeg's demuxers for sound and video. MOV ignores references to other files by default
#: (``enable_drefs``), and Matroska always does.
_SOUND_AND_VIDEO = (
    "3dostr 3g2 3gp 4xm aa aac aax ac3 ac4 ace acm act adp ads adx aea afc aiff aix alaw alp "
    "amr amrnb amrwb anm apac apc ape apm aptx aptx_hd apv argo_asf argo_brp argo_cvg asf asf_o "
    "ast au av1 avi avr avs avs2 avs3 bethsoftvid bfi bfstm bink binka bit bmv boa bonk brstm "
    "c93 caf cavsvideo cdxl cine codec2 codec2raw daud dcstr derf dfa dfpwm dhav dirac dnxhd "
    "dsf dsicin dss dts dtshd dv dxa ea ea_cdata eac3 epaf evc f32be f32le f64be f64le film_cpk "
    "filmstrip flac flic flv frm fsb fwse g722 g723_1 g726 g726le g728 g729 gdv genh gsm gxf "
    "h261 h263 h264 hca hcom hevc hnm hxvs iamf idcin iff ifv ilbc ingenient ipmovie ipu ircam "
    "iss iv8 ivf ivr jv kux kvag laf lc3 libgme libmodplug libopenmpt live_flv lmlm4 loas "
    "luodat lvf lxf m4a m4v matroska mca mgsts mj2 mjpeg mjpeg_2000 mlp mm mmf mods moflex mov "
    "mp3 mp4 mpc mpc8 mpeg mpegts mpegtsraw mpegvideo mpjpeg msf mtaf mtv mulaw musx mv mvi mxf "
    "mxg nc nistsphere nsp nsv nut nuv obu ogg oma osq paf pdv pmp pp_bnk psxstr pva pvf qcp "
    "qoa r3d redspark rka rl2 rm roq rpl rsd rso s16be s16le s24be s24le s32be s32le s337m s8 "
    "sbc scd sdns sdr2 sds sdx ser sga shn siff simbiosis_imx sln smjpeg smk smush sol sox "
    "spdif svag svs swf tak thp tiertexseq tmv truehd tta ty u16be u16le u24be u24le u32be "
    "u32le u8 usm v210 v210x vag vc1 vc1test vidc vividas vivo vmd voc vpk vqf vvc w64 wady wav "
    "wavarc wc3movie webm wsaud wsd wsvqa wtv wv wve xa xmd xmv xvag xwma yop yuv4mpegpipe"
)
#: Pictures, opened in order to report that they have no sound; ``_pipe`` formats read one file.
_PICTURES = (
    "alias_pix apng bmp_pipe brender_pix cri_pipe dds_pipe dpx_pipe exr_pipe fits gem_pipe gif "
    "gif_pipe hdr_pipe ico j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim jpegxl_pipe jpegxs_pipe "
    "msp pam_pipe pbm_pipe pcx_pipe pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe "
    "photocd_pipe pictor_pipe png_pipe ppm_pipe psd_pipe qdraw_pipe qoi_pipe sgi_pipe "
    "sunrast_pipe tiff_pipe vbn_pipe webp_anim webp_pipe xbm_pipe xpm_pipe xwd_pipe"
)
#: The value of ffmpeg's option ``-format_whitelist``.
SELF_CONTAINED = ",".join(f"{_SOUND_AND_VIDEO} {_PICTURES}".split())
