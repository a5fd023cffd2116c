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
run wave-search index demo/media --exclude ATTRIBUTION.md --model wave-nano --segment 5 --ivf-from 40
run wave-search info

say 'wave-nano is a small demonstration model, not WAVE-7B. It knows ten everyday sounds well and some more a little; it has
never seen a film or a photograph, so the order of those hits means little. A clip finds itself in any case. With WAVE-7B on
a GPU the same commands search everything.'

[[ -t 1 ]] || say 'The columns: rank, z, score, kind, time, path. On a terminal the same is a table.'

say 'From words to sounds:'
run wave-search query --text 'a dog barking' --target audio -k 4
run wave-search query --text 'a rooster crowing' --target audio -k 4
run wave-search query --text 'a helicopter' --target audio -k 2
say 'A sound finds itself, then what sounds like it:'
run wave-search query --audio demo/media/sounds/rooster-34119.flac --target audio -k 4
say 'So does a range of a video, by what is seen, ...'
run wave-search query --video demo/media/videos/bbb_meadow.mp4@5-10 --target video -k 3
say '... and sound and picture together.'
run wave-search query --av demo/media/videos/bbb_stretch.mp4 --target av -k 3
say 'From sound to picture. (The films of this library are beyond wave-nano.)'
run wave-search query --audio demo/media/sounds/dog-100032.flac --target video -k 3
say 'From picture to sound, with an instruction. (So are its photographs.)'
run wave-search query --image demo/media/images/surfer.jpg --instruction 'What would be heard here?' --target audio -k 3
say 'From words to anything; the z column makes scores of different kinds comparable:'
run wave-search query --text 'waves at the beach' -k 5
say 'For scripts: JSON Lines, or paths only.'
run wave-search query --text 'thunder' --target audio -k 2 --json
run wave-search query --text 'thunder' --target audio -k 2 --paths

say "Now it is your turn. The index is in demo/index:
  export PATH=\"$PWD/.venv/bin:\$PATH\" WAVE_SEARCH_INDEX=$PWD/demo/index
  wave-search query --text 'a crying baby' --target audio
  wave-search query --help"
