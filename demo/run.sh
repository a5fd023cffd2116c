#!/usr/bin/env bash
# Indexes demo/media and searches it in every direction, with the commands that a user would type.
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

# What is to be known of the model, the first command says.
query() {
    show wave-search query "$@"
    wave-search query "$@" 2> >(grep -v '^note: ' >&2)
}

rm -rf demo/index

say 'The demo library: 40 sounds, 18 drawn scenes with and without sound, 12 films, 8 photographs and 2 texts
(demo/media/ATTRIBUTION.md says whose they are). Shards are forced from 40 segments on, so that IVF-PQ is at work even here.'
run wave-search index demo/media --exclude ATTRIBUTION.md --model wave-nano --segment 5 --min-shard-rows 40
run wave-search info

say 'wave-nano is a small demonstration model, not WAVE-7B. It knows ten everyday sounds well and some more a little, and thirty
kinds of things as pictograms. The style of these drawings was kept from it, and so were the sounds of the scenes. It has never
seen a film or a photograph, so the order of those hits means little. With WAVE-7B on a GPU the same commands search everything.'

[[ -t 1 ]] || say 'The columns: rank, z, score, kind, time, path. On a terminal the same is a table.'

say '1. From words to sounds:'
query --text 'a dog barking' --target audio -k 4
say '2. From sound to picture: who could have made this sound? Among the drawings, as films are beyond this model:'
query --audio demo/media/sounds/dog-100032.flac --target video --where "path LIKE '%/scenes/%'" -k 3
query --audio demo/media/sounds/rooster-34119.flac --target video -k 3
say '3. From picture to sound: what would this sound like? The scene is silent to the search: only its picture counts.'
query --video demo/media/scenes/clock.mp4 --target audio -k 3
say '4. A film and a question. This scene shows a dog, and rain is heard; the instruction decides what is looked for.'
query --av demo/media/scenes/dog-in-the-rain.mp4 --instruction 'What is heard?' --target audio -k 3
query --av demo/media/scenes/dog-in-the-rain.mp4 --instruction 'What is seen?' --target video -k 3
say '5. From words to anything; the z column makes scores of different kinds comparable:'
query --text 'waves at the beach' -k 5
say '6. A range of a real film finds itself:'
query --video demo/media/videos/bbb_meadow.mp4@5-10 --target video -k 3
say '7. For scripts: JSON Lines, or paths only.'
query --text 'rain' --target audio -k 2 --json
query --text 'rain' --target audio -k 2 --paths

say 'The same as a picture, to look at:'
run .venv/bin/python demo/contact_sheet.py demo/index demo/contact-sheet.png
say "demo/contact-sheet.png"

say "Now it is your turn. The index is in demo/index:
  export PATH=\"$PWD/.venv/bin:\$PATH\" WAVE_SEARCH_INDEX=$PWD/demo/index
  wave-search query --text 'a crying baby' --target audio
  wave-search query --help"
