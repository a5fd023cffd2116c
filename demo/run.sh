#!/usr/bin/env bash
# Indexes demo/media and searches it in every direction, with the commands that a user would type.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export WAVE_SEARCH_INDEX=demo/index

if [[ -t 1 && -z "${NO_COLOR:-}" ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

say() { printf '\n%s\n' "$*"; }

run() {
    printf '\n%s$ %s%s\n' "$bold" "${*@Q}" "$plain" | sed -E "s/'([A-Za-z0-9_.,:=\/@-]+)'/\1/g"
    "$@"
}

rm -rf demo/index

say 'The demo library: 40 sounds, 12 videos, 8 pictures and 2 texts (demo/media/ATTRIBUTION.md says whose they are).
Shards are forced from 40 segments on, so that IVF-PQ is at work even here.'
run wave-search index demo/media --exclude ATTRIBUTION.md --model wave-tiny --segment 5 --ivf-from 40
run wave-search info

say 'The model in the package is tiny and NOT trained. The order of the hits below means nothing, except that a clip
finds itself first. With WAVE-7B on a GPU the same commands give results that mean something.'

[[ -t 1 ]] || say 'The columns: rank, z, score, kind, time, path. On a terminal the same is a table.'

say 'A sound finds itself ...'
run wave-search query --audio demo/media/sounds/dog-100032.flac --target audio -k 3
say '... and so does a range of a video, by what is seen, ...'
run wave-search query --video demo/media/videos/bbb_meadow.mp4@5-10 --target video -k 3
say '... and sound and picture together.'
run wave-search query --av demo/media/videos/bbb_stretch.mp4 --target av -k 3
say 'From sound to picture: which video looks like a barking dog sounds?'
run wave-search query --audio demo/media/sounds/dog-100032.flac --target video -k 3
say 'From picture to sound, with an instruction:'
run wave-search query --image demo/media/images/surfer.jpg --instruction 'What would be heard here?' --target audio -k 3
say 'From words to anything; the z column makes scores of different kinds comparable:'
run wave-search query --text 'a frog on a wooden table' -k 5
say 'For scripts: JSON Lines, or paths only.'
run wave-search query --text 'rain on a roof' --target audio -k 2 --json
run wave-search query --text 'rain on a roof' --target audio -k 2 --paths

say "Now it is your turn. The index is in demo/index:
  export PATH=\"$PWD/.venv/bin:\$PATH\" WAVE_SEARCH_INDEX=$PWD/demo/index
  wave-search query --text 'a rooster at dawn' --target audio
  wave-search query --help"
