# fish completion for stemsplit.
# Made by `python -m stemsplit.cli.docgen write`; changes belong there.

function __stemsplit_command --description 'Print the words of the command, if there is one'
    set -l command
    for word in (commandline -opc)[2..-1]
        switch "$command $word"
            case ' split' ' models' 'models list' 'models show' 'models pull' 'models verify' 'models rm' 'models path' 'models convert' ' demo' ' config' 'config show' 'config path' ' doctor'
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

function __stemsplit_names --description 'Print the names of the models'
    printf '%s\n' htdemucs htdemucs_ft htdemucs_ft.drums htdemucs_ft.bass htdemucs_ft.other htdemucs_ft.vocals htdemucs_6s spleeter_2stems tiny.htdemucs tiny.htdemucs_b tiny.htdemucs_ft tiny.unet tiny.unet_conditioned tiny.mask_inference tiny.deep_clustering tiny.chimera bs_roformer.viperx_1297 bs_roformer.viperx_1296 bs_roformer.viperx_1053 bs_roformer.musdb18 bs_roformer.resurrection bs_roformer.resurrection_instrumental bs_roformer.revive bs_roformer.revive2 bs_roformer.karaoke bs_roformer.sw mel_band_roformer.kim mel_band_roformer.viperx_1143 mel_band_roformer.kim_bleedless mel_band_roformer.big_beta5e mel_band_roformer.big_beta6x mel_band_roformer.instrumental mel_band_roformer.deux mel_band_roformer.guitar mel_band_roformer.karaoke mel_band_roformer.denoise mel_band_roformer.crowd tiny.bs_roformer tiny.mel_band_roformer hpss repet_sim nmf ica conv_tasnet conv_tasnet_extra conv_tasnet_libri2mix tiny.tasnet tiny.conv_tasnet tiny.conv_tasnet_speech tiny.wave_unet hdemucs_mmi mdx mdx.0d19c1c6 mdx.7ecf8ec1 mdx.c511e2ab mdx.7d865c68 mdx_extra mdx_extra.e51eebcc mdx_extra.a1d90b5c mdx_extra.5d2d6c55 mdx_extra.cfa93e08 repro_mdx_a repro_mdx_a_time_only repro_mdx_a_hybrid_only repro_mdx_a.9a6b4851 repro_mdx_a.1ef250f1 repro_mdx_a.fa0cb7f9 repro_mdx_a.902315c2 hdemucs_high_musdb hdemucs_high_musdb_plus demucs_v1 demucs_v1_extra demucs_v1_light demucs_v1_light_extra demucs_v2 demucs_v2_extra demucs_v2_48_hq tiny.demucs tiny.demucs_v3 tiny.hdemucs scnet scnet.large scnet.large_zfturbo scnet.xl scnet.xl_ihf mdx23c.instvoc_hq mdx23c.musdb mdx23c.d1581 mdx23c.drumsep tiny.scnet tiny.mdx23c spleeter_4stems spleeter_5stems spleeter_2stems_16khz spleeter_2stems_full spleeter_4stems_16khz spleeter_4stems_full spleeter_5stems_16khz spleeter_5stems_full tiny.spleeter open_unmix.umxl open_unmix.umxhq open_unmix.umx open_unmix.umxse tiny.open_unmix tiny.mmdensenet tiny.mmdenselstm
end

function __stemsplit_stems --description 'Print the names of all stems'
    printf '%s\n' drums bass other vocals guitar piano accompaniment rest instrumental lead_vocals dry crowd harmonic percussive source_1 source_2 speaker1 speaker2 kick snare toms hh ride crash speech noise
end

complete -c stemsplit -f

complete -c stemsplit -n '__stemsplit_right_after' -a split -d 'Split songs into stems: files as long as the song, lined up with it to the sample'
complete -c stemsplit -n '__stemsplit_right_after' -a models -d 'The models, and their weights on this machine'
complete -c stemsplit -n '__stemsplit_right_after models' -a list -d 'List all models: stems, published score, size, licence, and whether the weights are here'
complete -c stemsplit -n '__stemsplit_right_after models' -a show -d 'Show all that is known of one model'
complete -c stemsplit -n '__stemsplit_right_after models' -a pull -d 'Fetch the weights of models, so that they are here when there is no network'
complete -c stemsplit -n '__stemsplit_right_after models' -a verify -d 'Check that the weights on this machine are what was fetched, bit for bit'
complete -c stemsplit -n '__stemsplit_right_after models' -a rm -d 'Remove the weights of models from this machine'
complete -c stemsplit -n '__stemsplit_right_after models' -a path -d 'Show where the weights of a model are, or where all weights are kept'
complete -c stemsplit -n '__stemsplit_right_after models' -a convert -d 'Make a checkpoint of another program one of this, for -n FILE.safetensors'
complete -c stemsplit -n '__stemsplit_right_after' -a demo -d 'Render a short song, split it, and score the stems against the true ones'
complete -c stemsplit -n '__stemsplit_right_after' -a config -d 'The configuration file, and what holds in the end'
complete -c stemsplit -n '__stemsplit_right_after config' -a show -d 'Show the value of every option and where it comes from, as TOML for a configuration file'
complete -c stemsplit -n '__stemsplit_right_after config' -a path -d 'Print the path of the configuration file, whether it is there or not'
complete -c stemsplit -n '__stemsplit_right_after' -a doctor -d 'Look at everything that splitting needs and say what is there: paste it into a bug report'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l files-from -r -f -d 'File with names of songs or folders, one a line; - is standard input'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'Output folder'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l filename -r -f -d 'Names below the folder, of {track}, {trackext}, {stem}, {ext} and {model}'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s n -l model -r -F -a '(__stemsplit_names)' -d 'Model: a name of stemsplit models list, or a checkpoint file'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l ensemble -r -f -d 'The mean of these models, in place of --model'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l stems -r -f -a '(__fish_complete_list , __stemsplit_stems)' -d 'Write only these stems; none: only --mix'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l two-stems -r -f -a '(__stemsplit_stems)' -d 'Write this stem and the rest: the mix without it'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l mix -r -f -d 'Write a mix too: karaoke=mix-0.9*vocals, or instrumental=drums+bass+other'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l sum-to-mix -r -f -d 'Give what the stems lack to be the song to one of them, or spread it'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l format -r -f -a 'wav flac aiff alac mp3 m4a opus ogg' -d 'Format of the stems'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l depth -r -f -a '16 24 32f' -d 'Bits of a sample; 32f (floating point) is the default of wav, 24 of the others'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l bitrate -r -f -d 'Bit rate: 320 for mp3, 256 for m4a, 192 for opus by default'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l quality -r -f -d 'Quality instead of a bit rate: mp3 0 (best) to 9, as LAME\'s V; ogg -1 to 10 (best), 8 by default'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l no-dither -d 'Round to 16 bits without adding noise'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l clip -r -f -a 'none clamp linked' -d 'Above full scale: none keeps it (default of 32f and lossy formats), clamp cuts it off (default of 16 and 24 bits), linked turns all stems of the song down together'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l no-tags -d 'Leave the song\'s tags and cover behind'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s f -l force -d 'Replace stems that exist'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l skip-existing -d 'Leave stems that exist, write what is missing'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l accept-truncated -d 'Split what is left of a truncated file'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l start -r -f -d 'Where to begin: 90, 90.5 or 1:30'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l end -r -f -d 'Where to end'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l duration -r -f -d 'How much to split, in place of --end'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l preview -r -f -d 'Split so much of the song\'s middle'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s d -l device -r -f -a 'auto cuda mps cpu' -d 'auto, cuda, cuda:N, mps or cpu'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l precision -r -f -a 'auto fp32 fp16 bf16' -d 'Arithmetic of the network; auto is fp16 on CUDA and fp32 elsewhere'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l overlap -r -f -d 'Share of a segment that overlaps the next (0.25 for most models)'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l segment -r -f -d 'How much the network hears at a time'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l shifts -r -f -d 'Hear the song N times, shifted, and take the mean'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l seed -r -f -d 'Another seed, other shifts'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l batch -r -f -d 'Segments in one run of the network (4 on CUDA); auto: as many as fit'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l offline -d 'Use no network: only checkpoints already here'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l allow-unverified -d 'Fetch weights also where nobody has published what they should be'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l print-config -d 'Show the value and the origin of every option, and exit'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l progress -r -f -a 'auto bar lines ndjson none' -d 'A bar (auto: on a terminal), lines, or JSON objects for programs, on stderr'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s q -l quiet -d 'No progress and remarks; -qq: no warnings either'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s v -l verbose -d 'Say what is done and how long it takes'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l version -d 'Show the version and exit'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "" "split"' -F
complete -c stemsplit -n '__stemsplit_in "models"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models list"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "models list"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models show"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "models show"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models show"' -f -a '(__stemsplit_names)'
complete -c stemsplit -n '__stemsplit_in "models pull"' -l offline -d 'Use no network: only checkpoints already here'
complete -c stemsplit -n '__stemsplit_in "models pull"' -l allow-unverified -d 'Fetch weights also where nobody has published what they should be'
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
complete -c stemsplit -n '__stemsplit_in "models convert"' -s o -l out -r -F -d 'What to write; FILE.safetensors by default'
complete -c stemsplit -n '__stemsplit_in "models convert"' -s f -l force -d 'Replace a file that exists'
complete -c stemsplit -n '__stemsplit_in "models convert"' -s q -l quiet -d 'No progress and remarks; -qq: no warnings either'
complete -c stemsplit -n '__stemsplit_in "models convert"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "models convert"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "models convert"' -F
complete -c stemsplit -n '__stemsplit_in "demo"' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'Where the song and its stems go'
complete -c stemsplit -n '__stemsplit_in "demo"' -s n -l model -r -F -a '(__stemsplit_names)' -d 'Model: a name of stemsplit models list, or a checkpoint file'
complete -c stemsplit -n '__stemsplit_in "demo"' -l seconds -r -f -d 'Length of the song'
complete -c stemsplit -n '__stemsplit_in "demo"' -l seed -r -f -d 'Another seed, another song'
complete -c stemsplit -n '__stemsplit_in "demo"' -s f -l force -d 'Replace an earlier demo'
complete -c stemsplit -n '__stemsplit_in "demo"' -s d -l device -r -f -a 'auto cuda mps cpu' -d 'auto, cuda, cuda:N, mps or cpu'
complete -c stemsplit -n '__stemsplit_in "demo"' -l precision -r -f -a 'auto fp32 fp16 bf16' -d 'Arithmetic of the network; auto is fp16 on CUDA and fp32 elsewhere'
complete -c stemsplit -n '__stemsplit_in "demo"' -l offline -d 'Use no network: only checkpoints already here'
complete -c stemsplit -n '__stemsplit_in "demo"' -l allow-unverified -d 'Fetch weights also where nobody has published what they should be'
complete -c stemsplit -n '__stemsplit_in "demo"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "demo"' -l progress -r -f -a 'auto bar lines ndjson none' -d 'A bar (auto: on a terminal), lines, or JSON objects for programs, on stderr'
complete -c stemsplit -n '__stemsplit_in "demo"' -s q -l quiet -d 'No progress and remarks; -qq: no warnings either'
complete -c stemsplit -n '__stemsplit_in "demo"' -s v -l verbose -d 'Say what is done and how long it takes'
complete -c stemsplit -n '__stemsplit_in "demo"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "demo"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "config"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "config show"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "config show"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "config show"' -f
complete -c stemsplit -n '__stemsplit_in "config path"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "config path"' -s h -l help -d 'Show a summary of the options and exit'
complete -c stemsplit -n '__stemsplit_in "doctor"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "doctor"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "doctor"' -s h -l help -d 'Show a summary of the options and exit'
