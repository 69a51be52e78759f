# shellcheck shell=bash
# How the tour speaks, checks, measures and cleans up. Sourced by scripts/demo.

tour_open() {
  # Other tools (a notebook, curl) go to loopback directly, whatever proxy the machine uses.
  export no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost PYTHONWARNINGS=ignore
  export GIT_PYTHON_REFRESH=quiet MLFLOW_DISABLE_TELEMETRY=true
  WORK=$(mktemp -d "${TMPDIR:-/tmp}/waybill-demo.XXXXXX")
  DATA=${data:-$WORK/waybill-data}
  PATH=$(dirname "$WAYBILL_BIN"):$(dirname "$PYTHON"):$PATH
  FIGURES=()
  SERVER_PID='' OTHER_PID='' LOAD_PID=''
  trap tour_close EXIT
  trap 'exit 130' INT TERM
}

tour_close() {
  local status=$? pid
  trap - EXIT INT TERM
  # Ctrl-C reaches the servers too, and one that is ending when asked again ends with 1.
  for pid in $LOAD_PID $OTHER_PID $SERVER_PID; do { kill "$pid" && wait "$pid"; } 2>/dev/null || true; done
  remove_containers
  if [ $status != 0 ] && [ $status != 130 ]; then
    [ -s "$WORK/SERVER_PID.log" ] && { echo "--- last lines of the server's log ($WORK/SERVER_PID.log)"; tail -15 "$WORK/SERVER_PID.log"; }
    printf '\nthe tour FAILED in step %s\n' "${STEP:-0}" >&2
  elif [ -n "$WORK" ]; then
    remove_tree "$WORK"
  fi
  exit $status
}

step() { STEP=$1; printf '\n\033[1;34m── %s. %s\033[0m\n' "$1" "$2"; }
note() { printf '   %s\n' "$*"; }
figure() { FIGURES+=("$1|$2"); }

# Prints words as one would type them.
as_typed() {
  local word line=''
  for word; do
    case $word in
      *[!A-Za-z0-9_./:@=,+%-]* | '') word="'$word'" ;;
    esac
    line+=" ${word/#$ROOT\//}"
  done
  printf '\033[1m$%s\033[0m\n' "$line"
}

# run COMMAND…  prints the command and what came back, keeps the output in $WORK/out.
run() {
  as_typed "$@"
  "$@" 2>&1 | tee "$WORK/out" | sed 's/^/  /'
  return "${PIPESTATUS[0]}"
}

# As run, by root, whose search path is another.
run_with_sudo() {
  local program
  program=$(command -v "$1")
  shift
  as_typed sudo "$program" "$@"
  as_root "$program" "$@" 2>&1 | tee "$WORK/out" | sed 's/^/  /'
  return "${PIPESTATUS[0]}"
}

# refuse TEXT COMMAND…  as run, but the command must fail, and say TEXT.
refuse() {
  local text=$1
  shift
  if run "$@"; then fail "it should have been refused: $*"; fi
  grep -qF -- "$text" "$WORK/out" || fail "the refusal does not name '$text'"
  note "refused, as it must be"
}

fail() { printf '\n   \033[1;31mnot as claimed:\033[0m %s\n' "$*" >&2; exit 1; }

# expect WHAT ACTUAL WANTED
expect() {
  [ "$2" = "$3" ] || fail "$1 is '$2', expected '$3'"
  note "✓ $1: $2"
}

# Field of the last output as JSON, or of a command's: json 'PYTHON EXPRESSION OVER d' <FILE
json() { "$PYTHON" -c "import json, sys; d = json.load(sys.stdin); print($1)"; }

# serve VARIABLE FOLDER ARGUMENTS…  starts waybill serve in FOLDER and puts its process id into
# VARIABLE; its log goes to $WORK/VARIABLE.log.
serve() {
  local variable=$1 folder=$2
  shift 2
  mkdir -p "$folder"
  as_typed waybill serve "$@"
  (cd "$folder" && exec waybill serve "$@") >"$WORK/$variable.log" 2>&1 &
  printf -v "$variable" %s $!
}

# same_prediction URL FOLDER  asks the served model the notebook's question.
same_prediction() {
  as_typed curl -s "$1" -H 'Content-Type: application/json' -d @"$2/input.json"
  curl -sS --fail-with-body "$1" -H 'Content-Type: application/json' -d @"$2/input.json" >"$WORK/answer" ||
    fail "curl: $(cat "$WORK/answer")"
  cut -c1-150 "$WORK/answer" | sed 's/^/  /'
  "$PYTHON" "$ROOT/scripts/demo.d/same.py" "$WORK/answer" "$2/prediction.json" ||
    fail "the gateway's answer is not the notebook's prediction"
  note "✓ the gateway's prediction is the notebook's"
}

tour_summary() {
  local row
  printf '\n\033[1;34m── Measured\033[0m\n'
  for row in "${FIGURES[@]}"; do printf '   %-58s %s\n' "${row%%|*}" "${row#*|}"; done
  printf '   %-58s %s s\n' "setting up (packages, Python, build)" "$1"
  printf '   %-58s %s s\n' "the whole demo" "$2"
  printf '\n   MLflow tracking URI, registry, API   %s\n' "$URL"
  printf '   gateway                              %s\n' "$GATEWAY"
  printf '   every claim of the tour was checked, and held\n\n'
}

tour_hold() {
  note "data directory: $DATA"
  wait "$SERVER_PID"
}
