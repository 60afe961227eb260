# bash completion for airbrush; written by `make completions`
_airbrush() {
  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" path="airbrush"
  local words="" choices="" takes="" index word groups=("airbrush" "airbrush gcode")
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="${COMP_WORDS[index]}"
    [[ $word == -* ]] && continue
    [[ " ${groups[*]} " == *" $path "* ]] || break
    path="$path $word"
  done
  case "$path $prev" in
    "airbrush --log-file") choices="" takes=1 ;;
    "airbrush preprocess --out"|"airbrush preprocess -o") choices="" takes=1 ;;
    "airbrush preprocess --fit") choices="contain cover stretch" takes=1 ;;
    "airbrush preprocess --rotate") choices="auto never" takes=1 ;;
    "airbrush preprocess --pen-mode") choices="auto threshold adaptive none" takes=1 ;;
    "airbrush preprocess --trace") choices="centerline potrace vtracer" takes=1 ;;
    "airbrush preprocess --fill") choices="hatch outline none" takes=1 ;;
    "airbrush preprocess --config") choices="" takes=1 ;;
    "airbrush preprocess --set") choices="" takes=1 ;;
    "airbrush preprocess --jobs"|"airbrush preprocess -j") choices="" takes=1 ;;
    "airbrush preprocess --log-file") choices="" takes=1 ;;
    "airbrush paint --strokes") choices="" takes=1 ;;
    "airbrush paint --effort") choices="draft standard best" takes=1 ;;
    "airbrush paint --time") choices="" takes=1 ;;
    "airbrush paint --seed") choices="" takes=1 ;;
    "airbrush paint --device") choices="auto cpu cuda" takes=1 ;;
    "airbrush paint --machine") choices="" takes=1 ;;
    "airbrush paint --frames") choices="" takes=1 ;;
    "airbrush paint --frames-every") choices="" takes=1 ;;
    "airbrush paint --config") choices="" takes=1 ;;
    "airbrush paint --set") choices="" takes=1 ;;
    "airbrush paint --jobs"|"airbrush paint -j") choices="" takes=1 ;;
    "airbrush paint --log-file") choices="" takes=1 ;;
    "airbrush gcode gen --machine") choices="" takes=1 ;;
    "airbrush gcode gen --out"|"airbrush gcode gen -o") choices="" takes=1 ;;
    "airbrush gcode gen --order") choices="keep travel" takes=1 ;;
    "airbrush gcode gen --physics") choices="" takes=1 ;;
    "airbrush gcode gen --from-stroke") choices="" takes=1 ;;
    "airbrush gcode gen --log-file") choices="" takes=1 ;;
    "airbrush gcode dryrun --machine") choices="" takes=1 ;;
    "airbrush gcode dryrun --settings") choices="" takes=1 ;;
    "airbrush gcode dryrun --render") choices="" takes=1 ;;
    "airbrush gcode dryrun --physics") choices="" takes=1 ;;
    "airbrush gcode dryrun --log-file") choices="" takes=1 ;;
  esac
  if [[ -n $choices ]]; then COMPREPLY=($(compgen -W "$choices" -- "$cur")); return; fi
  if [[ -n $takes ]]; then COMPREPLY=($(compgen -f -- "$cur")); return; fi
  case "$path" in
    "airbrush") words="preprocess paint gcode --help --version --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush preprocess") words="--help --out -o --fit --rotate --pen-mode --trace --fill --pen-only --preview --config --set --jobs -j --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush paint") words="--help --strokes --effort --time --seed --device --gcode --no-gcode --machine --preview --frames --frames-every --config --set --jobs -j --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush gcode") words="gen dryrun --help" ;;
    "airbrush gcode gen") words="--help --machine --out -o --order --physics --from-stroke --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush gcode dryrun") words="--help --machine --settings --render --physics --yaml --quiet -q --verbose -v --log-file --json-logs --debug" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [[ $cur != -* ]] && COMPREPLY+=($(compgen -f -- "$cur"))
}
complete -o filenames -F _airbrush airbrush
