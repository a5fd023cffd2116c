#!/usr/bin/env bash
# Index demo/media and search it in every direction, with the commands that a user would type.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export WAVE_SEARCH_INDEX=demo/index

if [[ -t 1 && -z "${NO_COLOR:-}" ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

say() { printf '\n%s\n' "$*"; }

show() {
    local argument line=''
    for argument; do
        case $argument in
            *\'*) line+=" \"$argument\"" ;;
            *[!A-Za-z0-9_.,:=/@-]*) line+=" '$argument'" ;;
            *) line+=" $argument" ;;
        esac
    done
    printf '\n%s$%s%s\n' "$bold" "$line" "$plain"
}

run() {
    show "$@"
    "$@"
}

# The notice about the model is printed once, by the first command. Exit code 4 means that there is no result.
query() {
    show wave-search query "$@"
    { wave-search query "$@" 2>&1 >&3 | { grep -v '^note: ' >&2 || true; }; } 3>&1 || [[ $? == 4 ]]
}

rm -rf demo/index

say 'A small library of recordings, films, photographs, drawings and texts; whom they are by: demo/media/ATTRIBUTION.md.'
run wave-search index demo/media --exclude ATTRIBUTION.md --model wave-nano

say 'A server keeps the model in memory and has a page to search on. While it runs, queries are answered at once:'
run wave-search serve --background --port 0
trap 'wave-search serve --stop &> /dev/null' EXIT

say 'wave-nano is a small model that runs anywhere. It knows a thousand kinds of things on photographs, fifty kinds of
sounds, and drawings of thirty things. It knows little of what people do, and it is often wrong about films. The same
commands run WAVE-7B on a GPU.'

[[ -t 1 ]] || say 'Columns: rank, z, score, modality, time, path. On a terminal, results are shown as a table.'
say 'z tells how far a match stands out from everything unrelated: 5 is clear; between sounds and pictures, 3 is good.'

say '1. A sound finds films: who is barking?'
query --audio demo/media/sounds/dog-191687.flac --target video -k 4
say '2. Words find films:'
query --text 'the sea' --target video -k 4
say '3. A photograph finds sounds:'
query --image demo/media/images/cat.jpg --target audio -k 3
say '4. A sound finds photographs:'
query --audio demo/media/sounds/hen-232495.ogg --target image -k 3
say '5. Sound and words together: films with a train to hear and the sea to see.'
query --audio demo/media/sounds/train-168446.ogg --text 'the sea' --target av -k 3
say '6. A clip and a question. Its picture shows a coast, its sound is that of a train; the question decides which counts.'
query --av demo/media/videos/coast_by_train.mp4 --instruction 'What is heard?' --target audio -k 3
query --av demo/media/videos/coast_by_train.mp4 --instruction 'What is seen?' --target video -k 3
say '7. Words find everything, and scripts can read it:'
query --text 'church bells' -k 5
query --text 'church bells' --min-z 5 --paths
say '8. Nothing like that: --min-z leaves out what does not stand out.'
query --text 'a printer' --target audio --min-z 3

say 'The same searches as a picture:'
run .venv/bin/python demo/contact_sheet.py demo/index demo/contact-sheet.webp

say "To continue with this index:
  export PATH=\"$PWD/.venv/bin:\$PATH\" WAVE_SEARCH_INDEX=$PWD/demo/index
  wave-search query --text 'a cat' --target image
  wave-search ui    # the page"
