# bash completion for airbrush; written by `make completions`
_airbrush() {
  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" path="airbrush"
  local words="" choices="" takes="" index word groups=("airbrush" "airbrush gcode" "airbrush calibrate" "airbrush train")
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
    "airbrush paint --policy") choices="" takes=1 ;;
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
    "airbrush calibrate gen --out"|"airbrush calibrate gen -o") choices="" takes=1 ;;
    "airbrush calibrate gen --machine") choices="" takes=1 ;;
    "airbrush calibrate gen --layout") choices="" takes=1 ;;
    "airbrush calibrate gen --set") choices="" takes=1 ;;
    "airbrush calibrate gen --log-file") choices="" takes=1 ;;
    "airbrush calibrate build-luts --scan") choices="" takes=1 ;;
    "airbrush calibrate build-luts --out"|"airbrush calibrate build-luts -o") choices="" takes=1 ;;
    "airbrush calibrate build-luts --layering") choices="auto alpha_over multiply" takes=1 ;;
    "airbrush calibrate build-luts --scanner") choices="" takes=1 ;;
    "airbrush calibrate build-luts --log-file") choices="" takes=1 ;;
    "airbrush calibrate use --log-file") choices="" takes=1 ;;
    "airbrush train ppo --pictures") choices="" takes=1 ;;
    "airbrush train ppo --validation") choices="" takes=1 ;;
    "airbrush train ppo --plans") choices="" takes=1 ;;
    "airbrush train ppo --resume") choices="" takes=1 ;;
    "airbrush train ppo --out"|"airbrush train ppo -o") choices="" takes=1 ;;
    "airbrush train ppo --steps") choices="" takes=1 ;;
    "airbrush train ppo --seed") choices="" takes=1 ;;
    "airbrush train ppo --device") choices="" takes=1 ;;
    "airbrush train ppo --config") choices="" takes=1 ;;
    "airbrush train ppo --set") choices="" takes=1 ;;
    "airbrush train ppo --log-file") choices="" takes=1 ;;
    "airbrush hpo --pictures") choices="" takes=1 ;;
    "airbrush hpo --validation") choices="" takes=1 ;;
    "airbrush hpo --space") choices="" takes=1 ;;
    "airbrush hpo --config") choices="" takes=1 ;;
    "airbrush hpo --set") choices="" takes=1 ;;
    "airbrush hpo --out"|"airbrush hpo -o") choices="" takes=1 ;;
    "airbrush hpo --study") choices="" takes=1 ;;
    "airbrush hpo --storage") choices="" takes=1 ;;
    "airbrush hpo --workers"|"airbrush hpo -w") choices="" takes=1 ;;
    "airbrush hpo --trials") choices="" takes=1 ;;
    "airbrush hpo --minutes") choices="" takes=1 ;;
    "airbrush hpo --log-file") choices="" takes=1 ;;
    "airbrush monitor --interval") choices="" takes=1 ;;
    "airbrush monitor --play") choices="" takes=1 ;;
    "airbrush monitor --epoch") choices="" takes=1 ;;
    "airbrush monitor --from") choices="" takes=1 ;;
    "airbrush monitor --to") choices="" takes=1 ;;
    "airbrush monitor --speed") choices="" takes=1 ;;
    "airbrush monitor --save") choices="" takes=1 ;;
    "airbrush monitor --report") choices="" takes=1 ;;
    "airbrush monitor --log-file") choices="" takes=1 ;;
  esac
  if [[ -n $choices ]]; then COMPREPLY=($(compgen -W "$choices" -- "$cur")); return; fi
  if [[ -n $takes ]]; then local IFS=$'\n'; COMPREPLY=($(compgen -f -- "$cur")); return; fi
  case "$path" in
    "airbrush") words="preprocess paint gcode calibrate train hpo monitor --help --version --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush preprocess") words="--help --out -o --fit --rotate --pen-mode --trace --fill --pen-only --preview --config --set --jobs -j --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush paint") words="--help --strokes --effort --time --seed --policy --strategist --no-strategist --technician --no-technician --device --gcode --no-gcode --machine --preview --frames --frames-every --config --set --jobs -j --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush gcode") words="gen dryrun --help" ;;
    "airbrush gcode gen") words="--help --machine --out -o --order --physics --from-stroke --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush gcode dryrun") words="--help --machine --settings --render --physics --yaml --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush calibrate") words="gen build-luts use --help" ;;
    "airbrush calibrate gen") words="--help --out -o --machine --layout --set --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush calibrate build-luts") words="--help --scan --out -o --layering --skip-missing --scanner --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush calibrate use") words="--help --back --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush train") words="ppo --help" ;;
    "airbrush train ppo") words="--help --pictures --validation --plans --resume --out -o --steps --warm-start --no-warm-start --seed --device --config --set --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush hpo") words="--help --pictures --validation --space --config --set --out -o --study --storage --workers -w --trials --minutes --quiet -q --verbose -v --log-file --json-logs --debug" ;;
    "airbrush monitor") words="--help --once --yaml --check --interval --play --epoch --from --to --speed --save --report --quiet -q --verbose -v --log-file --json-logs --debug" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  local IFS=$'\n'
  [[ $cur != -* ]] && COMPREPLY+=($(compgen -f -- "$cur"))
}
complete -o filenames -F _airbrush airbrush
