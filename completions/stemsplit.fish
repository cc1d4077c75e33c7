# fish completion for stemsplit.
# Made by `python -m stemsplit.cli.docgen write`; changes belong there.

function __stemsplit_command --description 'Print the words of the command, if there is one'
    set -l command
    for word in (commandline -opc)[2..-1]
        switch "$command $word"
            case ' split' ' models' 'models list' 'models show' 'models pull' 'models verify' 'models rm' 'models path' ' demo'
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
    printf '%s\n' htdemucs htdemucs_ft htdemucs_ft.drums htdemucs_ft.bass htdemucs_ft.other htdemucs_ft.vocals htdemucs_6s spleeter_2stems tiny.htdemucs tiny.htdemucs_b tiny.htdemucs_ft
end

function __stemsplit_stems --description 'Print the names of all stems'
    printf '%s\n' drums bass other vocals guitar piano accompaniment
end

complete -c stemsplit -f

complete -c stemsplit -n '__stemsplit_right_after' -a split -d 'Split songs into stems: files as long as the song, lined up with it to the sample'
complete -c stemsplit -n '__stemsplit_right_after' -a models -d 'The models, and their weights on this machine'
complete -c stemsplit -n '__stemsplit_right_after models' -a list -d 'List all models: stems, licence, published score, and whether the weights are here'
complete -c stemsplit -n '__stemsplit_right_after models' -a show -d 'Show all that is known of one model'
complete -c stemsplit -n '__stemsplit_right_after models' -a pull -d 'Fetch the weights of models, so that they are here when there is no network'
complete -c stemsplit -n '__stemsplit_right_after models' -a verify -d 'Check that the weights on this machine are what was fetched, bit for bit'
complete -c stemsplit -n '__stemsplit_right_after models' -a rm -d 'Remove the weights of models from this machine'
complete -c stemsplit -n '__stemsplit_right_after models' -a path -d 'Show where the weights of a model are, or where all weights are kept'
complete -c stemsplit -n '__stemsplit_right_after' -a demo -d 'Render a short song, split it, and score the stems against the true ones'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'Output folder'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l filename -r -f -d 'Names below the folder, of {track}, {trackext}, {stem}, {ext} and {model}'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s n -l model -r -F -a '(__stemsplit_names)' -d 'Model: a name of stemsplit models list, or a checkpoint file'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l stems -r -f -a '(__fish_complete_list , __stemsplit_stems)' -d 'Write only these stems'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l two-stems -r -f -a '(__stemsplit_stems)' -d 'Write this stem and the rest: the mix without it'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l format -r -f -a 'wav flac mp3' -d 'Format of the stems'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l depth -r -f -a '16 24 32f' -d 'Bits of a sample; 32f (floating point) is the default of wav, 24 of flac'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l bitrate -r -f -d 'Bit rate of mp3'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s f -l force -d 'Replace stems that exist'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l skip-existing -d 'Leave stems that exist, write what is missing'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l accept-truncated -d 'Split what is left of a truncated file'
complete -c stemsplit -n '__stemsplit_in "" "split"' -s d -l device -r -f -a 'auto cuda mps cpu' -d 'auto, cuda, cuda:N, mps or cpu'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l precision -r -f -a 'auto fp32 fp16 bf16' -d 'Arithmetic of the network; auto is fp16 on CUDA and fp32 elsewhere'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l overlap -r -f -d 'Share of a segment that overlaps the next'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l batch -r -f -d 'Segments in one run of the network (4 on CUDA)'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l offline -d 'Use no network: only checkpoints already here'
complete -c stemsplit -n '__stemsplit_in "" "split"' -l json -d 'Write JSON to stdout, one object a line'
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
complete -c stemsplit -n '__stemsplit_in "demo"' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'Where the song and its stems go'
complete -c stemsplit -n '__stemsplit_in "demo"' -s n -l model -r -F -a '(__stemsplit_names)' -d 'Model: a name of stemsplit models list, or a checkpoint file'
complete -c stemsplit -n '__stemsplit_in "demo"' -l seconds -r -f -d 'Length of the song'
complete -c stemsplit -n '__stemsplit_in "demo"' -l seed -r -f -d 'Another seed, another song'
complete -c stemsplit -n '__stemsplit_in "demo"' -s f -l force -d 'Replace an earlier demo'
complete -c stemsplit -n '__stemsplit_in "demo"' -s d -l device -r -f -a 'auto cuda mps cpu' -d 'auto, cuda, cuda:N, mps or cpu'
complete -c stemsplit -n '__stemsplit_in "demo"' -l precision -r -f -a 'auto fp32 fp16 bf16' -d 'Arithmetic of the network; auto is fp16 on CUDA and fp32 elsewhere'
complete -c stemsplit -n '__stemsplit_in "demo"' -l offline -d 'Use no network: only checkpoints already here'
complete -c stemsplit -n '__stemsplit_in "demo"' -l json -d 'Write JSON to stdout, one object a line'
complete -c stemsplit -n '__stemsplit_in "demo"' -s q -l quiet -d 'No progress and remarks; -qq: no warnings either'
complete -c stemsplit -n '__stemsplit_in "demo"' -s v -l verbose -d 'Say what is done and how long it takes'
complete -c stemsplit -n '__stemsplit_in "demo"' -l debug -d 'Show the traceback of an error'
complete -c stemsplit -n '__stemsplit_in "demo"' -s h -l help -d 'Show a summary of the options and exit'
