# fish completion for stemsplit.
# Made by `python -m stemsplit.docgen write`; changes belong there.

function __stemsplit_command --description 'Print the words of the command, if there is one'
    set -l command
    for word in (commandline -opc)[2..-1]
        switch "$command $word"
            case ' split' ' watch' ' models' 'models list' 'models show' 'models pull' 'models verify' 'models rm' 'models path' 'models convert' ' demo' ' evaluate' ' config' 'config show' 'config path' ' doctor'
                set command (string trim -- "$command $word")
            case '*'
                break
        end
    end
    echo "$command"
end

function __stemsplit_in --description 'Whether the command is one of these'
    contains -- (__stemsplit_command) $argv
end

function __stemsplit_right_after --description 'Whether only these words stand before the cursor'
    set -l words (commandline -opc)[2..-1]
    test "$words" = "$argv"
end

function __stemsplit_names --description 'Print the names of the models, and what each is'
    printf '%s\t%s\n' htdemucs 'Hybrid Transformer Demucs: four stems, the default' \
        htdemucs_ft 'HTDemucs fine-tuned to each stem: four networks, four times the work, the best scores' \
        htdemucs_ft.drums 'Member of htdemucs_ft, tuned to drums' \
        htdemucs_ft.bass 'Member of htdemucs_ft, tuned to bass' \
        htdemucs_ft.other 'Member of htdemucs_ft, tuned to other' \
        htdemucs_ft.vocals 'Member of htdemucs_ft, tuned to vocals' \
        htdemucs_6s 'HTDemucs with guitar and piano (experimental: its piano is weak)' \
        spleeter_2stems 'Spleeter: vocals and accompaniment, fast and light' \
        tiny.htdemucs 'A small HTDemucs with random weights, for trying and testing' \
        tiny.htdemucs_b 'Another small HTDemucs with random weights, member of tiny.htdemucs_ft' \
        tiny.htdemucs_ft 'An ensemble of two small networks with random weights, for trying and testing' \
        tiny.unet 'A small U-Net for each stem with random weights, for trying and testing' \
        tiny.unet_conditioned 'A small conditioned U-Net with random weights, for trying and testing' \
        tiny.mask_inference 'A small Mask Inference network with random weights, for trying and testing' \
        tiny.deep_clustering 'A small Deep Clustering network with random weights, for trying and testing' \
        tiny.chimera 'A small Chimera network with random weights, for trying and testing' \
        bs_roformer.viperx_1297 'BS-RoFormer by viperx: vocals' \
        bs_roformer.viperx_1296 'BS-RoFormer by viperx, a later state: vocals' \
        bs_roformer.viperx_1053 'BS-RoFormer by viperx: all but vocals, drums and bass' \
        bs_roformer.musdb18 'BS-RoFormer by ZFTurbo: four stems, trained on MUSDB18-HQ only' \
        bs_roformer.resurrection 'BS-RoFormer by unwa, a third of the size: vocals' \
        bs_roformer.resurrection_instrumental 'BS-RoFormer by unwa, a third of the size: all but vocals' \
        bs_roformer.revive 'BS-RoFormer by unwa: vocals' \
        bs_roformer.revive2 'BS-RoFormer by unwa, with less of the rest in it: vocals' \
        bs_roformer.karaoke 'BS-RoFormer by anvuew: called karaoke, but its configuration aims at all vocals' \
        bs_roformer.karaoke_frazer 'BS-RoFormer by frazer and becruily: the lead voice, without backing vocals' \
        bs_roformer.sw 'BS-RoFormer SW: six stems, with guitar and piano; no author is known' \
        mel_band_roformer.kim 'Mel-Band RoFormer by Kimberley Jensen: vocals' \
        mel_band_roformer.viperx_1143 'Mel-Band RoFormer by viperx: vocals' \
        mel_band_roformer.kim_bleedless 'Mel-Band RoFormer by Kimberley Jensen, tuned further by unwa: vocals' \
        mel_band_roformer.big_beta5e 'Mel-Band RoFormer by unwa, larger: vocals' \
        mel_band_roformer.big_beta6x 'Mel-Band RoFormer by unwa, the largest: vocals' \
        mel_band_roformer.instrumental 'Mel-Band RoFormer by becruily: all but vocals' \
        mel_band_roformer.deux 'Mel-Band RoFormer by becruily: vocals and all the rest' \
        mel_band_roformer.guitar 'Mel-Band RoFormer by becruily: guitar' \
        mel_band_roformer.karaoke 'Mel-Band RoFormer by aufr33 and viperx: the lead voice, without backing vocals' \
        mel_band_roformer.karaoke_becruily 'Mel-Band RoFormer by becruily: the lead voice, and all the rest with backing vocals' \
        mel_band_roformer.denoise 'Mel-Band RoFormer by aufr33: a recording without its noise' \
        mel_band_roformer.denoise_aggressive 'Mel-Band RoFormer by aufr33: a recording without its noise, at some cost of detail' \
        mel_band_roformer.dereverb 'Mel-Band RoFormer by anvuew: a voice without its reverb' \
        mel_band_roformer.dereverb_echo 'Mel-Band RoFormer by Sucial: a voice without its reverb and echo' \
        mel_band_roformer.crowd 'Mel-Band RoFormer by aufr33 and viperx: the audience of a concert' \
        tiny.bs_roformer 'A small BS-RoFormer with random weights, for trying and testing' \
        tiny.mel_band_roformer 'A small Mel-Band RoFormer with random weights, for trying and testing' \
        hpss 'Harmonic and percussive parts by median filtering' \
        repet_sim 'REPET-SIM: the accompaniment is what comes again, the vocals are the rest' \
        nmf 'Harmonic and percussive parts by non-negative matrix factorisation' \
        ica 'Two sources at different places between left and right, by FastICA' \
        conv_tasnet 'Conv-TasNet by the authors of Demucs: four stems' \
        conv_tasnet_extra 'Conv-TasNet by the authors of Demucs, trained on more songs' \
        conv_tasnet_libri2mix 'Conv-TasNet by torchaudio: two people speaking at once (8 kHz, not for music)' \
        tiny.tasnet 'A small TasNet with random weights, for trying and testing' \
        tiny.conv_tasnet 'A small Conv-TasNet for music with random weights, for trying and testing' \
        tiny.conv_tasnet_speech 'A small Conv-TasNet for speech with random weights, for trying and testing' \
        tiny.wave_unet 'A small Wave-U-Net with random weights, for trying and testing' \
        hdemucs_mmi 'Hybrid Demucs (v3), retrained on the songs of htdemucs' \
        mdx 'Demucs v3, first in track A of the MDX challenge 2021: two waveform and two hybrid nets' \
        mdx.0d19c1c6 'Member of mdx: waveforms, for drums and bass' \
        mdx.7ecf8ec1 'Member of mdx: waveforms, for bass alone' \
        mdx.c511e2ab 'Member of mdx: hybrid, with magnitudes' \
        mdx.7d865c68 'Member of mdx: hybrid, with bands of frequency' \
        mdx_extra 'Demucs v3, second in track B of the MDX challenge 2021: four hybrid networks' \
        mdx_extra.e51eebcc 'Member of mdx_extra' \
        mdx_extra.a1d90b5c 'Member of mdx_extra' \
        mdx_extra.5d2d6c55 'Member of mdx_extra' \
        mdx_extra.cfa93e08 'Member of mdx_extra' \
        repro_mdx_a 'What the published recipe of mdx gives: two waveform, two hybrid networks' \
        repro_mdx_a_time_only 'The waveform networks of repro_mdx_a' \
        repro_mdx_a_hybrid_only 'The hybrid networks of repro_mdx_a' \
        repro_mdx_a.9a6b4851 'Member of repro_mdx_a: waveforms' \
        repro_mdx_a.1ef250f1 'Member of repro_mdx_a: waveforms' \
        repro_mdx_a.fa0cb7f9 'Member of repro_mdx_a: hybrid' \
        repro_mdx_a.902315c2 'Member of repro_mdx_a: hybrid' \
        hdemucs_high_musdb 'torchaudio\'s Hybrid Demucs, trained on MUSDB18-HQ alone' \
        hdemucs_high_musdb_plus 'torchaudio\'s Hybrid Demucs, trained on MUSDB18-HQ and more' \
        demucs_v1 'Demucs as first released in 2019' \
        demucs_v1_extra 'Demucs as first released in 2019, with 150 songs more' \
        demucs_v1_light 'Demucs as first released in 2019, fewer channels' \
        demucs_v1_light_extra 'Demucs as first released in 2019, fewer channels, with 150 songs more' \
        demucs_v2 'Demucs v2 (2021)' \
        demucs_v2_extra 'Demucs v2 (2021), with 150 songs more' \
        demucs_v2_48_hq 'Demucs v2 (2021), fewer channels: baseline of the MDX challenge 2021' \
        tiny.demucs 'A small Demucs with random weights, for trying and testing' \
        tiny.demucs_v3 'A small Demucs of v3 with random weights, for trying and testing' \
        tiny.hdemucs 'A small Hybrid Demucs with random weights, for trying and testing' \
        scnet 'SCNet by its authors: four stems, a small and good one' \
        scnet.large 'SCNet-large by its authors: four stems' \
        scnet.large_zfturbo 'SCNet-large trained anew by ZFTurbo: four stems' \
        scnet.xl 'SCNet, larger, by ZFTurbo: four stems' \
        scnet.xl_ihf 'SCNet XL with a finer grid for the highs, by ZFTurbo: four stems' \
        mdx23c.instvoc_hq 'MDX23C of Ultimate Vocal Remover: vocals and all the rest' \
        mdx23c.musdb 'MDX23C by ZFTurbo: four stems' \
        mdx23c.d1581 'MDX23C of Ultimate Vocal Remover, an earlier one: vocals and all the rest' \
        mdx23c.drumsep 'MDX23C by aufr33 and jarredou: the parts of a drum kit, of a drums stem' \
        mdx23c.drumsep_5stems 'MDX23C by jarredou: the parts of a drum kit with the cymbals in one, of a drums stem' \
        tiny.scnet 'A small SCNet with random weights, for trying and testing' \
        tiny.mdx23c 'A small MDX23C with random weights, for trying and testing' \
        spleeter_4stems 'Spleeter: vocals, drums, bass and other, from the official archive' \
        spleeter_5stems 'Spleeter: vocals, piano, drums, bass and other, from the official archive' \
        spleeter_2stems_16khz 'Spleeter: vocals and accompaniment up to 16 kHz' \
        spleeter_2stems_full 'Spleeter: vocals and accompaniment up to 22 kHz' \
        spleeter_4stems_16khz 'Spleeter: vocals, drums, bass and other up to 16 kHz' \
        spleeter_4stems_full 'Spleeter: vocals, drums, bass and other up to 22 kHz' \
        spleeter_5stems_16khz 'Spleeter: vocals, piano, drums, bass and other up to 16 kHz' \
        spleeter_5stems_full 'Spleeter: vocals, piano, drums, bass and other up to 22 kHz' \
        tiny.spleeter 'A small Spleeter with random weights, for trying and testing' \
        open_unmix.umxl 'Open-Unmix, larger and trained on more songs: four stems' \
        open_unmix.umxhq 'Open-Unmix trained on uncompressed songs: four stems' \
        open_unmix.umx 'Open-Unmix trained on compressed songs: four stems' \
        open_unmix.umxse 'Open-Unmix for speech and noise, at 16 kHz' \
        tiny.open_unmix 'A small Open-Unmix with random weights, for trying and testing' \
        tiny.mmdensenet 'A small MMDenseNet with random weights, for trying and testing' \
        tiny.mmdenselstm 'A small MMDenseLSTM with random weights, for trying and testing'
end

function __stemsplit_stems --description 'Print the names of all stems'
    printf '%s\n' drums bass other vocals guitar piano accompaniment rest instrumental lead_vocals dry noreverb crowd harmonic percussive source_1 source_2 speaker1 speaker2 kick snare toms hh ride crash cymbals speech noise
end

function __stemsplit_daws --description 'Print the names of the programs for projects'
    printf '%s\n' reaper dawproject
end

complete -c stemsplit -f

complete -c stemsplit -n '__stemsplit_right_after' -a split -d 'Split songs into stems, as long as the song and lined up with it to the sample'
complete -c stemsplit -n '__stemsplit_right_after' -a watch -d 'Split the songs in a folder, and those that come into it, until stopped'
complete -c stemsplit -n '__stemsplit_right_after' -a models -d 'The models, and their weights on this machine'
complete -c stemsplit -n '__stemsplit_right_after models' -a list -d 'List models: stems, published scores, work, size, and whether commercial use is allowed'
complete -c stemsplit -n '__stemsplit_right_after models' -a show -d 'Show all that is known of one model'
complete -c stemsplit -n '__stemsplit_right_after models' -a pull -d 'Fetch the weights of models, so that they are here when there is no network'
complete -c stemsplit -n '__stemsplit_right_after models' -a verify -d 'Check that the weights on this machine are what was fetched, bit for bit'
complete -c stemsplit -n '__stemsplit_right_after models' -a rm -d 'Remove the weights of models from this machine'
complete -c stemsplit -n '__stemsplit_right_after models' -a path -d 'Show where the weights of a model are, or where all weights are kept'
complete -c stemsplit -n '__stemsplit_right_after models' -a convert -d 'Convert a checkpoint of another program for -n FILE.safetensors'
complete -c stemsplit -n '__stemsplit_right_after' -a demo -d 'Render a short song, split it, and score the stems against the true ones'
complete -c stemsplit -n '__stemsplit_right_after' -a evaluate -d 'Score stems against the true ones, or show what can be measured without them'
complete -c stemsplit -n '__stemsplit_right_after' -a config -d 'The configuration file, and what holds in the end'
complete -c stemsplit -n '__stemsplit_right_after config' -a show -d 'Show the value of every option and where it comes from, as TOML for a configuration file'
complete -c stemsplit -n '__stemsplit_right_after config' -a path -d 'Print the path of the configuration file, whether it is there or not'
complete -c stemsplit -n '__stemsplit_right_after' -a doctor -d 'Look at everything that splitting needs and say what is there: paste it into a bug report'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l files-from -r -f -d 'File with names of songs or folders, one a line; - is standard input'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l input-name -r -f -d 'Name for the song read from standard input: stdin by default'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'Output folder, or file for one stem; - writes it to standard output'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l filename -r -f -d 'Names below the folder, of {track}, {trackext}, {stem}, {ext} and {model}'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s n -l model -r -F -a '(__stemsplit_names)' -d 'Model: a name of stemsplit models list, or a checkpoint file'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l ensemble -r -f -a '(__fish_complete_list , __stemsplit_names)' -d 'The mean of these models, in place of --model'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l stems -r -f -a '(__fish_complete_list , __stemsplit_stems)' -d 'Write only these stems; none: only --mix. Repeatable'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l two-stems -r -f -a '(__stemsplit_stems)' -d 'Write this stem and the rest: the mix without it'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l mix -r -f -d 'Write a mix too: karaoke=mix-0.9*vocals, or instrumental=drums+bass+other'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l sum-to-mix -r -f -d 'Add the residual (mix minus stems) to this stem, or spread it over all, so that the stems sum to the mix'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l format -r -f -a 'wav flac aiff alac mp3 m4a opus ogg stem.mp4 raw' -d 'Format of the stems; raw (samples alone) only with --out -'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l codec -r -f -a 'aac alac' -d 'Codec of stem.mp4: aac (the default), or alac, which is lossless but cannot be read by Traktor on Windows'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l depth -r -f -a '16 24 32f' -d 'Bits of a sample; 32f (floating point) is the default of wav, 24 of the others'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l bitrate -r -f -d 'Bit rate, as 320 or 320k: 320 for mp3, 256 for m4a, 192 for opus by default'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l quality -r -f -d 'Quality instead of a bit rate: mp3 0 (best) to 9, or V0 to V9, as LAME says; ogg -1 to 10 (best), or q-1 to q10, 8 by default'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l no-dither -d 'Round to 16 bits without adding noise'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l clip -r -f -a 'none clamp linked' -d 'Above full scale: none keeps it (default of 32f and lossy formats), clamp cuts it off (default of 16 and 24 bits), linked turns all stems of the song down together'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l no-tags -d 'Do not copy the song\'s tags and cover'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l daw -r -f -a '(__fish_complete_list , __stemsplit_daws)' -d 'Write a project with a track for each stem: reaper (.rpp), dawproject (for Bitwig, Studio One, Cubase)'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s f -l force -d 'Replace whatever exists'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l update -d 'Redo stems that were made with other options or models'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l skip-existing -d 'Keep stems that exist, write what is missing'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l resume -d 'Write what is missing, or made of the song before it changed; the default'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l fail-fast -d 'Stop at the first song that fails'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s j -l jobs -r -f -d 'Songs to decode ahead of the current one'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l accept-truncated -d 'Split what is left of a truncated file'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l start -r -f -d 'Where to begin: 90, 90.5 or 1:30'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l end -r -f -d 'Where to end'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l duration -r -f -d 'How much to split, instead of --end'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l preview -r -f -d 'Split this much of the song\'s middle'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s d -l device -r -f -a 'auto cuda mps cpu' -d 'auto, cuda, cuda:N, mps or cpu; several share the songs: cuda:0,cuda:1'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l precision -r -f -a 'auto fp32 fp16 bf16' -d 'Arithmetic of the network; auto is fp16 on CUDA and fp32 elsewhere'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l overlap -r -f -d 'Share of a segment that overlaps the next (0.25 for most models)'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l segment -r -f -d 'Segment length in seconds'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l shifts -r -f -d 'Average N time-shifted passes'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l seed -r -f -d 'Random seed for --shifts'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l batch -r -f -d 'Segments in one run of the network, of one song or of several short ones (4 on CUDA); auto: as many as fit'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l threads -r -f -d 'Threads of the CPU that the network uses on each device; by default OMP_NUM_THREADS, or one for each core'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l offline -d 'Use no network: only checkpoints already here'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l allow-unverified -d 'Allow downloads that have no published SHA-256'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l commercial -d 'Refuse models whose licence is not known to allow commercial use'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l reference -r -f -a '(__fish_complete_directories)' -d 'Score the stems against the true ones here: of the song, or of songs by name'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l report -r -F -d 'Write a page (HTML) about the stems, with players'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l dry-run -d 'Show what would be done, and do nothing'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l print-config -d 'Show the value and the origin of every option, and exit'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l progress -r -f -a 'auto bar lines ndjson none' -d 'A bar (auto: on a terminal), lines, or JSON objects for programs, on stderr'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s q -l quiet -d 'No progress and remarks; -qq: no warnings either'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s v -l verbose -d 'Say what is done and how long it takes'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l version -d 'Show the version and exit'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s h -d 'Show the options that most people need, and exit'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l help -d 'Show all options and exit'
complete -c stemsplit -n '__stemsplit_in "" "split"' -F
complete -c stemsplit -n '__stemsplit_in "watch"' -l settle -r -f -d 'How long a file must not have changed; if it looks unfinished, ten times that'
complete -c stemsplit -n '__stemsplit_in "watch"' -l interval -r -f -d 'How long to wait between two looks'
complete -c stemsplit -n '__stemsplit_in "watch"' -l new-only -d 'Skip songs that exist already'
complete -c stemsplit -n '__stemsplit_in "watch"' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'Output folder, or file for one stem; - writes it to standard output'
complete -c stemsplit -n '__stemsplit_in "watch"' -l filename -r -f -d 'Names below the folder, of {track}, {trackext}, {stem}, {ext} and {model}'
complete -c stemsplit -n '__stemsplit_in "watch"' -s n -l model -r -F -a '(__stemsplit_names)' -d 'Model: a name of stemsplit models list, or a checkpoint file'
complete -c stemsplit -n '__stemsplit_in "watch"' -l ensemble -r -f -a '(__fish_complete_list , __stemsplit_names)' -d 'The mean of these models, in place of --model'
complete -c stemsplit -n '__stemsplit_in "watch"' -l stems -r -f -a '(__fish_complete_list , __stemsplit_stems)' -d 'Write only these stems; none: only --mix. Repeatable'
complete -c stemsplit -n '__stemsplit_in "watch"' -l two-stems -r -f -a '(__stemsplit_stems)' -d 'Write this stem and the rest: the mix without it'
complete -c stemsplit -n '__stemsplit_in "watch"' -l mix -r -f -d 'Write a mix too: karaoke=mix-0.9*vocals, or instrumental=drums+bass+other'
complete -c stemsplit -n '__stemsplit_in "watch"' -l sum-to-mix -r -f -d 'Add the residual (mix minus stems) to this stem, or spread it over all, so that the stems sum to the mix'
complete -c stemsplit -n '__stemsplit_in "watch"' -l format -r -f -a 'wav flac aiff alac mp3 m4a opus ogg stem.mp4 raw' -d 'Format of the stems; raw (samples alone) only with --out -'
complete -c stemsplit -n '__stemsplit_in "watch"' -l codec -r -f -a 'aac alac' -d 'Codec of stem.mp4: aac (the default), or alac, which is lossless but cannot be read by Traktor on Windows'
complete -c stemsplit -n '__stemsplit_in "watch"' -l depth -r -f -a '16 24 32f' -d 'Bits of a sample; 32f (floating point) is the default of wav, 24 of the others'
complete -c stemsplit -n '__stemsplit_in "watch"' -l bitrate -r -f -d 'Bit rate, as 320 or 320k: 320 for mp3, 256 for m4a, 192 for opus by default'
complete -c stemsplit -n '__stemsplit_in "watch"' -l quality -r -f -d 'Quality instead of a bit rate: mp3 0 (best) to 9, or V0 to V9, as LAME says; ogg -1 to 10 (best), or q-1 to q10, 8 by default'
complete -c stemsplit -n '__stemsplit_in "watch"' -l no-dither -d 'Round to 16 bits without adding noise'
complete -c stemsplit -n '__stemsplit_in "watch"' -l clip -r -f -a 'none clamp linked' -d 'Above full scale: none keeps it (default of 32f and lossy formats), clamp cuts it off (default of 16 and 24 bits), linked turns all stems of the song down together'
complete -c stemsplit -n '__stemsplit_in "watch"' -l no-tags -d 'Do not copy the song\'s tags and cover'
complete -c stemsplit -n '__stemsplit_in "watch"' -l daw -r -f -a '(__fish_complete_list , __stemsplit_daws)' -d 'Write a project with a track for each stem: reaper (.rpp), dawproject (for Bitwig, Studio One, Cubase)'
complete -c stemsplit -n '__stemsplit_in "watch"' -s f -l force -d 'Replace whatever exists'
complete -c stemsplit -n '__stemsplit_in "watch"' -l update -d 'Redo stems that were made with other options or models'
complete -c stemsplit -n '__stemsplit_in "watch"' -l accept-truncated -d 'Split what is left of a truncated file'
complete -c stemsplit -n '__stemsplit_in "watch"' -l start -r -f -d 'Where to begin: 90, 90.5 or 1:30'
complete -c stemsplit -n '__stemsplit_in "watch"' -l end -r -f -d 'Where to end'
complete -c stemsplit -n '__stemsplit_in "watch"' -l duration -r -f -d 'How much to split, instead of --end'
complete -c stemsplit -n '__stemsplit_in "watch"' -l preview -r -f -d 'Split this much of the song\'s middle'
complete -c stemsplit -n '__stemsplit_in "watch"' -s d -l device -r -f -a 'auto cuda mps cpu' -d 'auto, cuda, cuda:N, mps or cpu; several share the songs: cuda:0,cuda:1'
complete -c stemsplit -n '__stemsplit_in "watch"' -l precision -r -f -a 'auto fp32 fp16 bf16' -d 'Arithmetic of the network; auto is fp16 on CUDA and fp32 elsewhere'
complete -c stemsplit -n '__stemsplit_in "watch"' -l overlap -r -f -d 'Share of a segment that overlaps the next (0.25 for most models)'
complete -c stemsplit -n '__stemsplit_in "watch"' -l segment -r -f -d 'Segment length in seconds'
complete -c stemsplit -n '__stemsplit_in "watch"' -l shifts -r -f -d 'Average N time-shifted passes'
complete -c stemsplit -n '__stemsplit_in "watch"' -l seed -r -f -d 'Random seed for --shifts'
complete -c stemsplit -n '__stemsplit_in "watch"' -l batch -r -f -d 'Segments in one run of the network, of one song or of several short ones (4 on CUDA); auto: as many as fit'
complete -c stemsplit -n '__stemsplit_in "watch"' -l threads -r -f -d 'Threads of the CPU that the network uses on each device; by default OMP_NUM_THREADS, or one for each core'
complete -c stemsplit -n '__stemsplit_in "watch"' -l offline -d 'Use no network: only checkpoints already here'
complete -c stemsplit -n '__stemsplit_in "watch"' -l allow-unverified -d 'Allow downloads that have no published SHA-256'
complete -c stemsplit -n '__stemsplit_in "watch"' -l commercial -d 'Refuse models whose licence is not known to allow commercial use'
complete -c stemsplit -n '__stemsplit_in "watch"' -l print-config -d 'Show the value and the origin of every option, and exit'
complete -c stemsplit -n '__stemsplit_in "watch"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "watch"' -l progress -r -f -a 'auto bar lines ndjson none' -d 'A bar (auto: on a terminal), lines, or JSON objects for programs, on stderr'
complete -c stemsplit -n '__stemsplit_in "watch"' -s q -l quiet -d 'No progress and remarks; -qq: no warnings either'
complete -c stemsplit -n '__stemsplit_in "watch"' -s v -l verbose -d 'Say what is done and how long it takes'
complete -c stemsplit -n '__stemsplit_in "watch"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "watch"' -s h -d 'Show the options that most people need, and exit'
complete -c stemsplit -n '__stemsplit_in "watch"' -l help -d 'Show all options and exit'
complete -c stemsplit -n '__stemsplit_in "watch"' -f -a '(__fish_complete_directories)'
complete -c stemsplit -n '__stemsplit_in "models"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models list"' -l stem -r -f -a '(__fish_complete_list , __stemsplit_stems)' -d 'Only models that give these stems'
complete -c stemsplit -n '__stemsplit_in "models list"' -l licence -r -f -d 'Only weights with these words in their licence, as mit'
complete -c stemsplit -n '__stemsplit_in "models list"' -l commercial -d 'Only weights whose licence is known to allow commercial use'
complete -c stemsplit -n '__stemsplit_in "models list"' -l architecture -r -f -d 'Only this kind of network, as scnet'
complete -c stemsplit -n '__stemsplit_in "models list"' -l downloaded -d 'Only weights that are on this machine'
complete -c stemsplit -n '__stemsplit_in "models list"' -l causal -d 'Only models that look ahead by no more than a frame, 0.1 s'
complete -c stemsplit -n '__stemsplit_in "models list"' -l sort -r -f -a 'sdr size speed' -d 'Best published score, smallest download, or fewest operations per second first'
complete -c stemsplit -n '__stemsplit_in "models list"' -l all -d 'Show members of ensembles and models for testing (tiny.*) too'
complete -c stemsplit -n '__stemsplit_in "models list"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "models list"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models show"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "models show"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models show"' -f -a '(__stemsplit_names)'
complete -c stemsplit -n '__stemsplit_in "models pull"' -l offline -d 'Use no network: only checkpoints already here'
complete -c stemsplit -n '__stemsplit_in "models pull"' -l allow-unverified -d 'Allow downloads that have no published SHA-256'
complete -c stemsplit -n '__stemsplit_in "models pull"' -s q -l quiet -d 'No progress and remarks; -qq: no warnings either'
complete -c stemsplit -n '__stemsplit_in "models pull"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "models pull"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models pull"' -f -a '(__stemsplit_names)'
complete -c stemsplit -n '__stemsplit_in "models verify"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "models verify"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models verify"' -f -a '(__stemsplit_names)'
complete -c stemsplit -n '__stemsplit_in "models rm"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "models rm"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models rm"' -f -a '(__stemsplit_names)'
complete -c stemsplit -n '__stemsplit_in "models path"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models path"' -f -a '(__stemsplit_names)'
complete -c stemsplit -n '__stemsplit_in "models convert"' -l architecture -r -f -a 'bs_roformer mel_band_roformer scnet mdx23c htdemucs' -d 'What network it is for, if it does not say so'
complete -c stemsplit -n '__stemsplit_in "models convert"' -l config -r -F -d 'The YAML file that came with it, if it needs one'
complete -c stemsplit -n '__stemsplit_in "models convert"' -l set -r -f -d 'A setting of the network that the file does not hold; may be repeated'
complete -c stemsplit -n '__stemsplit_in "models convert"' -s o -l out -r -F -d 'What to write; FILE.safetensors by default'
complete -c stemsplit -n '__stemsplit_in "models convert"' -s f -l force -d 'Replace a file that exists'
complete -c stemsplit -n '__stemsplit_in "models convert"' -s q -l quiet -d 'No progress and remarks; -qq: no warnings either'
complete -c stemsplit -n '__stemsplit_in "models convert"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "models convert"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models convert"' -F
complete -c stemsplit -n '__stemsplit_in "demo"' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'Where the song and its stems go'
complete -c stemsplit -n '__stemsplit_in "demo"' -s n -l model -r -F -a '(__stemsplit_names)' -d 'Model: a name of stemsplit models list, or a checkpoint file'
complete -c stemsplit -n '__stemsplit_in "demo"' -s d -l device -r -f -a 'auto cuda mps cpu' -d 'auto, cuda, cuda:N, mps or cpu; several share the songs: cuda:0,cuda:1'
complete -c stemsplit -n '__stemsplit_in "demo"' -l precision -r -f -a 'auto fp32 fp16 bf16' -d 'Arithmetic of the network; auto is fp16 on CUDA and fp32 elsewhere'
complete -c stemsplit -n '__stemsplit_in "demo"' -l threads -r -f -d 'Threads of the CPU that the network uses on each device; by default OMP_NUM_THREADS, or one for each core'
complete -c stemsplit -n '__stemsplit_in "demo"' -l offline -d 'Use no network: only checkpoints already here'
complete -c stemsplit -n '__stemsplit_in "demo"' -l allow-unverified -d 'Allow downloads that have no published SHA-256'
complete -c stemsplit -n '__stemsplit_in "demo"' -l seconds -r -f -d 'Length of the song'
complete -c stemsplit -n '__stemsplit_in "demo"' -l seed -r -f -d 'Another seed, another song'
complete -c stemsplit -n '__stemsplit_in "demo"' -s f -l force -d 'Replace an earlier demo'
complete -c stemsplit -n '__stemsplit_in "demo"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "demo"' -l progress -r -f -a 'auto bar lines ndjson none' -d 'A bar (auto: on a terminal), lines, or JSON objects for programs, on stderr'
complete -c stemsplit -n '__stemsplit_in "demo"' -s q -l quiet -d 'No progress and remarks; -qq: no warnings either'
complete -c stemsplit -n '__stemsplit_in "demo"' -s v -l verbose -d 'Say what is done and how long it takes'
complete -c stemsplit -n '__stemsplit_in "demo"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "demo"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l references -r -F -d 'The true stems; then all STEMS are sets to score, which are compared'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l mixture -r -F -d 'The song; by default one that is with the stems'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l map -r -f -d 'The reference of STEM is the file NAME, which may have * and ?. Repeatable'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l window -r -f -d 'Length of a frame of BSS Eval'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l hop -r -f -d 'From one frame to the next'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l bss-eval -r -f -a 'own museval' -d 'Compute SDR, ISR, SIR and SAR here, or with museval'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l dataset -r -f -a '(__fish_complete_directories)' -d 'Separate and score every song of this folder of songs'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -s n -l model -r -F -a '(__stemsplit_names)' -d 'Model: a name of stemsplit models list, or a checkpoint file'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l ensemble -r -f -a '(__fish_complete_list , __stemsplit_names)' -d 'The mean of these models, in place of --model'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'With --dataset: a JSON file for each song goes below it, by model'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l keep-stems -d 'With --dataset: keep the stems there as well'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -s d -l device -r -f -a 'auto cuda mps cpu' -d 'auto, cuda, cuda:N, mps or cpu; several share the songs: cuda:0,cuda:1'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l precision -r -f -a 'auto fp32 fp16 bf16' -d 'Arithmetic of the network; auto is fp16 on CUDA and fp32 elsewhere'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l overlap -r -f -d 'Share of a segment that overlaps the next (0.25 for most models)'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l segment -r -f -d 'Segment length in seconds'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l shifts -r -f -d 'Average N time-shifted passes'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l seed -r -f -d 'Random seed for --shifts'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l batch -r -f -d 'Segments in one run of the network, of one song or of several short ones (4 on CUDA); auto: as many as fit'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l threads -r -f -d 'Threads of the CPU that the network uses on each device; by default OMP_NUM_THREADS, or one for each core'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l offline -d 'Use no network: only checkpoints already here'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l allow-unverified -d 'Allow downloads that have no published SHA-256'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l csv -r -F -d 'Write a line for each stem of each song'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l museval -r -f -a '(__fish_complete_directories)' -d 'Write a file for museval for each song'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l html -r -F -d 'Write a page to look at and to hear'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l markdown -d 'Show a row of a Markdown table, not a table'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -s f -l force -d 'Replace reports that exist'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -s q -l quiet -d 'No progress and remarks; -qq: no warnings either'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -s v -l verbose -d 'Say what is done and how long it takes'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "evaluate"' -F
complete -c stemsplit -n '__stemsplit_in "config"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "config show"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "config show"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "config show"' -f
complete -c stemsplit -n '__stemsplit_in "config path"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "config path"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "doctor"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "doctor"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "doctor"' -s h -l help -d 'Show a summary of the options and exit'
