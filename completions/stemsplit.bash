# bash completion for stemsplit.
# Made by `python -m stemsplit.cli.docgen write`; changes belong there.

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
            " split"|" models"|"models list"|"models show"|"models pull"|"models verify"|"models rm"|"models path"|" demo") ;;
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
            "split -o"|"split --out"|"demo -o"|"demo --out") _stemsplit_folders; return ;;
            "split --filename"|"split --bitrate"|"split --overlap"|"split --batch"|"demo --seconds"|"demo --seed") :; return ;;
            "split -n"|"split --model"|"demo -n"|"demo --model") _stemsplit_words_or_files "htdemucs htdemucs_ft htdemucs_ft.drums htdemucs_ft.bass htdemucs_ft.other htdemucs_ft.vocals htdemucs_6s spleeter_2stems tiny.htdemucs tiny.htdemucs_b tiny.htdemucs_ft"; return ;;
            "split --stems") _stemsplit_list "drums bass other vocals guitar piano accompaniment"; return ;;
            "split --two-stems") _stemsplit_words "drums bass other vocals guitar piano accompaniment"; return ;;
            "split --format") _stemsplit_words "wav flac mp3"; return ;;
            "split --depth") _stemsplit_words "16 24 32f"; return ;;
            "split -d"|"split --device"|"demo -d"|"demo --device") _stemsplit_words "auto cuda mps cpu"; return ;;
            "split --precision"|"demo --precision") _stemsplit_words "auto fp32 fp16 bf16"; return ;;
        esac
        if [[ $current == -* ]]; then
            case "${command:-split}" in
                "split") _stemsplit_words "-o --out --filename -n --model --stems --two-stems --format --depth --bitrate -f --force --skip-existing --accept-truncated -d --device --precision --overlap --batch --offline --json -q --quiet -v --verbose --debug --version -h --help" ;;
                "models"|"models path") _stemsplit_words "-h --help" ;;
                "models list"|"models show") _stemsplit_words "--json -h --help" ;;
                "models pull") _stemsplit_words "--offline -q --quiet --debug -h --help" ;;
                "models verify"|"models rm") _stemsplit_words "--debug -h --help" ;;
                "demo") _stemsplit_words "-o --out -n --model --seconds --seed -f --force -d --device --precision --offline --json -q --quiet -v --verbose --debug -h --help" ;;
            esac
            return
        fi
    fi

    if ((depth == COMP_CWORD)); then
        case "$command" in
            "") _stemsplit_words "split models demo" ;;
            "models") _stemsplit_words "list show pull verify rm path" ;;
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
        "split") _stemsplit_files ;;
        "models show"|"models pull"|"models verify"|"models rm"|"models path") _stemsplit_words "htdemucs htdemucs_ft htdemucs_ft.drums htdemucs_ft.bass htdemucs_ft.other htdemucs_ft.vocals htdemucs_6s spleeter_2stems tiny.htdemucs tiny.htdemucs_b tiny.htdemucs_ft" ;;
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
