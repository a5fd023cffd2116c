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

# The notice about the model is printed once, by the first command.
query() {
    show wave-search query "$@"
    wave-search query "$@" 2> >(grep -v '^note: ' >&2)
}

rm -rf demo/index

say 'The demo library: 40 sounds, 18 drawn scenes with and without sound, 12 films, 8 photographs and 2 texts (credits:
demo/media/ATTRIBUTION.md). --min-shard-rows 40 builds IVF-PQ shards even for a library of this size.'
run wave-search index demo/media --exclude ATTRIBUTION.md --model wave-nano --segment 5 --min-shard-rows 40
run wave-search info

say 'wave-nano is a small demonstration model, not WAVE-7B. It knows ten everyday sounds well and some others a little, and
thirty classes as pictograms. The style of these drawings and the sounds of the scenes were held out from its training. It was
not trained on films or photographs, so the order of such results means little. WAVE-7B on a GPU runs the same commands.'

[[ -t 1 ]] || say 'Columns: rank, z, score, modality, time, path. On a terminal, results are shown as a table.'

say '1. Text to audio:'
query --text 'a dog barking' --target audio -k 4
say '2. Audio to video: what could have made this sound? Restricted to drawings, since the model does not know films:'
query --audio demo/media/sounds/dog-100032.flac --target video --where "path LIKE '%/scenes/%'" -k 3
query --audio demo/media/sounds/rooster-34119.flac --target video -k 3
say '3. Video to audio: what would this scene sound like? Only its visual track is embedded.'
query --video demo/media/scenes/clock.mp4 --target audio -k 3
say '4. A clip and an instruction. The scene shows a dog, with the sound of rain; the instruction decides which of them counts.'
query --av demo/media/scenes/dog-in-the-rain.mp4 --instruction 'What is heard?' --target audio -k 3
query --av demo/media/scenes/dog-in-the-rain.mp4 --instruction 'What is seen?' --target video -k 3
say '5. Text to any modality; z makes scores of different modalities comparable:'
query --text 'waves at the beach' -k 5
say '6. A range of a film finds the segment that contains it:'
query --video demo/media/videos/bbb_meadow.mp4@5-10 --target video -k 3
say '7. Output for scripts: JSON Lines, or paths only.'
query --text 'rain' --target audio -k 2 --json
query --text 'rain' --target audio -k 2 --paths

say 'A contact sheet of the results:'
run .venv/bin/python demo/contact_sheet.py demo/index demo/contact-sheet.png
say "demo/contact-sheet.png"

say "To continue with this index:
  export PATH=\"$PWD/.venv/bin:\$PATH\" WAVE_SEARCH_INDEX=$PWD/demo/index
  wave-search query --text 'a crying baby' --target audio
  wave-search query --help"
