# bash completion for stemsplit.
# Made by `python -m stemsplit.docgen write`; changes belong there.

_stemsplit() {
    local IFS=$' \t\n'
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    # "=" is a word of its own.
    if [[ $current == "=" ]]; then
        current=
    elif [[ $previous == "=" ]]; then
        previous=${COMP_WORDS[COMP_CWORD-2]}
    fi
    COMPREPLY=()
    compopt +o default 2>/dev/null

    local command= depth=1
    while ((depth < COMP_CWORD)); do
        case "$command ${COMP_WORDS[depth]}" in
            " split"|" watch"|" models"|"models list"|"models show"|"models pull"|"models verify"|"models rm"|"models path"|"models convert"|" demo"|" evaluate"|" config"|"config show"|"config path"|" doctor") ;;
            *) break ;;
        esac
        command="${command:+$command }${COMP_WORDS[depth]}"
        ((depth++))
    done

    local word only_arguments=
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -- ]] && only_arguments=yes
    done
    if [[ -z $only_arguments ]]; then
        case "${command:-split} $previous" in
            "split --files-from"|"split --input-name"|"split --filename"|"split --mix"|"split --sum-to-mix"|"split --bitrate"|"split --quality"|"split -j"|"split --jobs"|"split --start"|"split --end"|"split --duration"|"split --preview"|"split --overlap"|"split --segment"|"split --shifts"|"split --seed"|"split --batch"|"split --threads"|"watch --settle"|"watch --interval"|"watch --filename"|"watch --mix"|"watch --sum-to-mix"|"watch --bitrate"|"watch --quality"|"watch --start"|"watch --end"|"watch --duration"|"watch --preview"|"watch --overlap"|"watch --segment"|"watch --shifts"|"watch --seed"|"watch --batch"|"watch --threads"|"models list --licence"|"models list --architecture"|"models convert --set"|"demo --threads"|"demo --seconds"|"demo --seed"|"evaluate --map"|"evaluate --window"|"evaluate --hop"|"evaluate --overlap"|"evaluate --segment"|"evaluate --shifts"|"evaluate --seed"|"evaluate --batch"|"evaluate --threads") :; return ;;
            "split -o"|"split --out"|"split --reference"|"watch -o"|"watch --out"|"demo -o"|"demo --out"|"evaluate --dataset"|"evaluate -o"|"evaluate --out"|"evaluate --museval") _stemsplit_folders; return ;;
            "split -n"|"split --model"|"watch -n"|"watch --model"|"demo -n"|"demo --model"|"evaluate -n"|"evaluate --model") _stemsplit_words_or_files "htdemucs htdemucs_ft htdemucs_ft.drums htdemucs_ft.bass htdemucs_ft.other htdemucs_ft.vocals htdemucs_6s spleeter_2stems tiny.htdemucs tiny.htdemucs_b tiny.htdemucs_ft tiny.unet tiny.unet_conditioned tiny.mask_inference tiny.deep_clustering tiny.chimera bs_roformer.viperx_1297 bs_roformer.viperx_1296 bs_roformer.viperx_1053 bs_roformer.musdb18 bs_roformer.resurrection bs_roformer.resurrection_instrumental bs_roformer.revive bs_roformer.revive2 bs_roformer.karaoke bs_roformer.karaoke_frazer bs_roformer.sw mel_band_roformer.kim mel_band_roformer.viperx_1143 mel_band_roformer.kim_bleedless mel_band_roformer.big_beta5e mel_band_roformer.big_beta6x mel_band_roformer.instrumental mel_band_roformer.deux mel_band_roformer.guitar mel_band_roformer.karaoke mel_band_roformer.karaoke_becruily mel_band_roformer.denoise mel_band_roformer.denoise_aggressive mel_band_roformer.dereverb mel_band_roformer.dereverb_echo mel_band_roformer.crowd tiny.bs_roformer tiny.mel_band_roformer hpss repet_sim nmf ica conv_tasnet conv_tasnet_extra conv_tasnet_libri2mix tiny.tasnet tiny.conv_tasnet tiny.conv_tasnet_speech tiny.wave_unet hdemucs_mmi mdx mdx.0d19c1c6 mdx.7ecf8ec1 mdx.c511e2ab mdx.7d865c68 mdx_extra mdx_extra.e51eebcc mdx_extra.a1d90b5c mdx_extra.5d2d6c55 mdx_extra.cfa93e08 repro_mdx_a repro_mdx_a_time_only repro_mdx_a_hybrid_only repro_mdx_a.9a6b4851 repro_mdx_a.1ef250f1 repro_mdx_a.fa0cb7f9 repro_mdx_a.902315c2 hdemucs_high_musdb hdemucs_high_musdb_plus demucs_v1 demucs_v1_extra demucs_v1_light demucs_v1_light_extra demucs_v2 demucs_v2_extra demucs_v2_48_hq tiny.demucs tiny.demucs_v3 tiny.hdemucs scnet scnet.large scnet.large_zfturbo scnet.xl scnet.xl_ihf mdx23c.instvoc_hq mdx23c.musdb mdx23c.d1581 mdx23c.drumsep mdx23c.drumsep_5stems tiny.scnet tiny.mdx23c spleeter_4stems spleeter_5stems spleeter_2stems_16khz spleeter_2stems_full spleeter_4stems_16khz spleeter_4stems_full spleeter_5stems_16khz spleeter_5stems_full tiny.spleeter open_unmix.umxl open_unmix.umxhq open_unmix.umx open_unmix.umxse tiny.open_unmix tiny.mmdensenet tiny.mmdenselstm"; return ;;
            "split --ensemble"|"watch --ensemble"|"evaluate --ensemble") _stemsplit_list "htdemucs htdemucs_ft htdemucs_ft.drums htdemucs_ft.bass htdemucs_ft.other htdemucs_ft.vocals htdemucs_6s spleeter_2stems tiny.htdemucs tiny.htdemucs_b tiny.htdemucs_ft tiny.unet tiny.unet_conditioned tiny.mask_inference tiny.deep_clustering tiny.chimera bs_roformer.viperx_1297 bs_roformer.viperx_1296 bs_roformer.viperx_1053 bs_roformer.musdb18 bs_roformer.resurrection bs_roformer.resurrection_instrumental bs_roformer.revive bs_roformer.revive2 bs_roformer.karaoke bs_roformer.karaoke_frazer bs_roformer.sw mel_band_roformer.kim mel_band_roformer.viperx_1143 mel_band_roformer.kim_bleedless mel_band_roformer.big_beta5e mel_band_roformer.big_beta6x mel_band_roformer.instrumental mel_band_roformer.deux mel_band_roformer.guitar mel_band_roformer.karaoke mel_band_roformer.karaoke_becruily mel_band_roformer.denoise mel_band_roformer.denoise_aggressive mel_band_roformer.dereverb mel_band_roformer.dereverb_echo mel_band_roformer.crowd tiny.bs_roformer tiny.mel_band_roformer hpss repet_sim nmf ica conv_tasnet conv_tasnet_extra conv_tasnet_libri2mix tiny.tasnet tiny.conv_tasnet tiny.conv_tasnet_speech tiny.wave_unet hdemucs_mmi mdx mdx.0d19c1c6 mdx.7ecf8ec1 mdx.c511e2ab mdx.7d865c68 mdx_extra mdx_extra.e51eebcc mdx_extra.a1d90b5c mdx_extra.5d2d6c55 mdx_extra.cfa93e08 repro_mdx_a repro_mdx_a_time_only repro_mdx_a_hybrid_only repro_mdx_a.9a6b4851 repro_mdx_a.1ef250f1 repro_mdx_a.fa0cb7f9 repro_mdx_a.902315c2 hdemucs_high_musdb hdemucs_high_musdb_plus demucs_v1 demucs_v1_extra demucs_v1_light demucs_v1_light_extra demucs_v2 demucs_v2_extra demucs_v2_48_hq tiny.demucs tiny.demucs_v3 tiny.hdemucs scnet scnet.large scnet.large_zfturbo scnet.xl scnet.xl_ihf mdx23c.instvoc_hq mdx23c.musdb mdx23c.d1581 mdx23c.drumsep mdx23c.drumsep_5stems tiny.scnet tiny.mdx23c spleeter_4stems spleeter_5stems spleeter_2stems_16khz spleeter_2stems_full spleeter_4stems_16khz spleeter_4stems_full spleeter_5stems_16khz spleeter_5stems_full tiny.spleeter open_unmix.umxl open_unmix.umxhq open_unmix.umx open_unmix.umxse tiny.open_unmix tiny.mmdensenet tiny.mmdenselstm"; return ;;
            "split --stems"|"watch --stems"|"models list --stem") _stemsplit_list "drums bass other vocals guitar piano accompaniment rest instrumental lead_vocals dry noreverb crowd harmonic percussive source_1 source_2 speaker1 speaker2 kick snare toms hh ride crash cymbals speech noise"; return ;;
            "split --two-stems"|"watch --two-stems") _stemsplit_words "drums bass other vocals guitar piano accompaniment rest instrumental lead_vocals dry noreverb crowd harmonic percussive source_1 source_2 speaker1 speaker2 kick snare toms hh ride crash cymbals speech noise"; return ;;
            "split --format"|"watch --format") _stemsplit_words "wav flac aiff alac mp3 m4a opus ogg stem.mp4 raw"; return ;;
            "split --codec"|"watch --codec") _stemsplit_words "aac alac"; return ;;
            "split --depth"|"watch --depth") _stemsplit_words "16 24 32f"; return ;;
            "split --clip"|"watch --clip") _stemsplit_words "none clamp linked"; return ;;
            "split --daw"|"watch --daw") _stemsplit_list "reaper dawproject"; return ;;
            "split -d"|"split --device"|"watch -d"|"watch --device"|"demo -d"|"demo --device"|"evaluate -d"|"evaluate --device") _stemsplit_words "auto cuda mps cpu"; return ;;
            "split --precision"|"watch --precision"|"demo --precision"|"evaluate --precision") _stemsplit_words "auto fp32 fp16 bf16"; return ;;
            "split --report"|"models convert --config"|"models convert -o"|"models convert --out"|"evaluate --references"|"evaluate --mixture"|"evaluate --csv"|"evaluate --html") _stemsplit_files; return ;;
            "split --progress"|"watch --progress"|"demo --progress") _stemsplit_words "auto bar lines ndjson none"; return ;;
            "models list --sort") _stemsplit_words "sdr size speed"; return ;;
            "models convert --architecture") _stemsplit_words "bs_roformer mel_band_roformer scnet mdx23c htdemucs"; return ;;
            "evaluate --bss-eval") _stemsplit_words "own museval"; return ;;
        esac
        if [[ $current == -* ]]; then
            case "${command:-split}" in
                "split") _stemsplit_words "--files-from --input-name -o --out --filename -n --model --ensemble --stems --two-stems --mix --sum-to-mix --format --codec --depth --bitrate --quality --no-dither --clip --no-tags --daw -f --force --update --skip-existing --resume --fail-fast -j --jobs --accept-truncated --start --end --duration --preview -d --device --precision --overlap --segment --shifts --seed --batch --threads --offline --allow-unverified --commercial --reference --report --dry-run --print-config --json --progress -q --quiet -v --verbose --debug --version -h --help" ;;
                "watch") _stemsplit_words "--settle --interval --new-only -o --out --filename -n --model --ensemble --stems --two-stems --mix --sum-to-mix --format --codec --depth --bitrate --quality --no-dither --clip --no-tags --daw -f --force --update --accept-truncated --start --end --duration --preview -d --device --precision --overlap --segment --shifts --seed --batch --threads --offline --allow-unverified --commercial --print-config --json --progress -q --quiet -v --verbose --debug -h --help" ;;
                "models"|"models path"|"config") _stemsplit_words "-h --help" ;;
                "models list") _stemsplit_words "--stem --licence --commercial --architecture --downloaded --causal --sort --all --json -h --help" ;;
                "models show") _stemsplit_words "--json -h --help" ;;
                "models pull") _stemsplit_words "--offline --allow-unverified -q --quiet --debug -h --help" ;;
                "models verify"|"models rm"|"config show"|"config path") _stemsplit_words "--debug -h --help" ;;
                "models convert") _stemsplit_words "--architecture --config --set -o --out -f --force -q --quiet --debug -h --help" ;;
                "demo") _stemsplit_words "-o --out -n --model -d --device --precision --threads --offline --allow-unverified --seconds --seed -f --force --json --progress -q --quiet -v --verbose --debug -h --help" ;;
                "evaluate") _stemsplit_words "--references --mixture --map --window --hop --bss-eval --dataset -n --model --ensemble -o --out --keep-stems -d --device --precision --overlap --segment --shifts --seed --batch --threads --offline --allow-unverified --csv --museval --html --markdown -f --force --json -q --quiet -v --verbose --debug -h --help" ;;
                "doctor") _stemsplit_words "--json --debug -h --help" ;;
            esac
            return
        fi
    fi

    if ((depth == COMP_CWORD)); then
        case "$command" in
            "") _stemsplit_words "split watch models demo evaluate config doctor" ;;
            "models") _stemsplit_words "list show pull verify rm path convert" ;;
            "config") _stemsplit_words "show path" ;;
        esac
    fi
    # What starts like a command may be a file as well.
    if [[ -z $command && ${#COMPREPLY[@]} -gt 0 ]]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r word; do
            COMPREPLY+=("$word")
        done < <(compgen -f -- "$current")
        return
    fi
    case "${command:-split}" in
        "split"|"models convert"|"evaluate") _stemsplit_files ;;
        "watch") _stemsplit_folders ;;
        "models show"|"models pull"|"models verify"|"models rm"|"models path") _stemsplit_words "htdemucs htdemucs_ft htdemucs_ft.drums htdemucs_ft.bass htdemucs_ft.other htdemucs_ft.vocals htdemucs_6s spleeter_2stems tiny.htdemucs tiny.htdemucs_b tiny.htdemucs_ft tiny.unet tiny.unet_conditioned tiny.mask_inference tiny.deep_clustering tiny.chimera bs_roformer.viperx_1297 bs_roformer.viperx_1296 bs_roformer.viperx_1053 bs_roformer.musdb18 bs_roformer.resurrection bs_roformer.resurrection_instrumental bs_roformer.revive bs_roformer.revive2 bs_roformer.karaoke bs_roformer.karaoke_frazer bs_roformer.sw mel_band_roformer.kim mel_band_roformer.viperx_1143 mel_band_roformer.kim_bleedless mel_band_roformer.big_beta5e mel_band_roformer.big_beta6x mel_band_roformer.instrumental mel_band_roformer.deux mel_band_roformer.guitar mel_band_roformer.karaoke mel_band_roformer.karaoke_becruily mel_band_roformer.denoise mel_band_roformer.denoise_aggressive mel_band_roformer.dereverb mel_band_roformer.dereverb_echo mel_band_roformer.crowd tiny.bs_roformer tiny.mel_band_roformer hpss repet_sim nmf ica conv_tasnet conv_tasnet_extra conv_tasnet_libri2mix tiny.tasnet tiny.conv_tasnet tiny.conv_tasnet_speech tiny.wave_unet hdemucs_mmi mdx mdx.0d19c1c6 mdx.7ecf8ec1 mdx.c511e2ab mdx.7d865c68 mdx_extra mdx_extra.e51eebcc mdx_extra.a1d90b5c mdx_extra.5d2d6c55 mdx_extra.cfa93e08 repro_mdx_a repro_mdx_a_time_only repro_mdx_a_hybrid_only repro_mdx_a.9a6b4851 repro_mdx_a.1ef250f1 repro_mdx_a.fa0cb7f9 repro_mdx_a.902315c2 hdemucs_high_musdb hdemucs_high_musdb_plus demucs_v1 demucs_v1_extra demucs_v1_light demucs_v1_light_extra demucs_v2 demucs_v2_extra demucs_v2_48_hq tiny.demucs tiny.demucs_v3 tiny.hdemucs scnet scnet.large scnet.large_zfturbo scnet.xl scnet.xl_ihf mdx23c.instvoc_hq mdx23c.musdb mdx23c.d1581 mdx23c.drumsep mdx23c.drumsep_5stems tiny.scnet tiny.mdx23c spleeter_4stems spleeter_5stems spleeter_2stems_16khz spleeter_2stems_full spleeter_4stems_16khz spleeter_4stems_full spleeter_5stems_16khz spleeter_5stems_full tiny.spleeter open_unmix.umxl open_unmix.umxhq open_unmix.umx open_unmix.umxse tiny.open_unmix tiny.mmdensenet tiny.mmdenselstm" ;;
        "config show") : ;;
    esac
}

_stemsplit_words() {
    COMPREPLY=($(compgen -W "$1" -- "$current"))
}

_stemsplit_list() {
    local before=
    [[ $current == *,* ]] && before=${current%,*},
    compopt -o nospace 2>/dev/null
    COMPREPLY=($(compgen -P "$before" -W "$1" -- "${current##*,}"))
}

_stemsplit_files() {
    compopt -o default 2>/dev/null
}

_stemsplit_words_or_files() {
    _stemsplit_words "$1"
    [[ ${#COMPREPLY[@]} -gt 0 ]] || _stemsplit_files
}

_stemsplit_folders() {
    compopt -o dirnames 2>/dev/null
}

complete -o default -F _stemsplit stemsplit
