# shellcheck shell=bash
# The eight steps of the tour. Sourced by scripts/demo, after tour.sh.

step_1() {
  step 1 "Waybill starts with no configuration"
  serve_main
  expect "mode of the signing key" "$(stat -c %a "$DATA/keys/registry.pem")" 600
  expect "database" "$(curl -s "$URL/api/v1/info" | json 'd["database"]')" sqlite
  expect "deployer" "$(curl -s "$URL/api/v1/info" | json 'd["deployer"]')" embedded
  run curl -s "$URL/health"
  echo
  base_image
}

# Default addresses and folder where they are free; said aloud where not.
serve_main() {
  local flags=() started
  port_is_free 5000 || flags+=(--listen "127.0.0.1:$(free_port)")
  port_is_free 8080 || flags+=(--gateway-listen "127.0.0.1:$(free_port)")
  if [ "$DATA" != "$WORK/waybill-data" ]; then flags+=(--data-dir "$DATA"); fi
  URL=http://$(flag_value --listen 127.0.0.1:5000 "${flags[@]}")
  GATEWAY=http://$(flag_value --gateway-listen 127.0.0.1:8080 "${flags[@]}")
  started=$(now_ms)
  serve SERVER_PID "$WORK" "${flags[@]}"
  wait_for 30 curl -sf "$URL/health" || fail "no answer from $URL/health"
  figure "waybill serve, fresh folder, to /health" "$(($(now_ms) - started)) ms"
  export WAYBILL_URL=$URL MLFLOW_TRACKING_URI=$URL
  note "serving on $URL, gateway on $GATEWAY"
  note "export MLFLOW_TRACKING_URI=$URL WAYBILL_URL=$URL"
}

# flag_value NAME DEFAULT ARGUMENTS…
flag_value() {
  local name=$1 value=$2
  shift 2
  while [ $# -gt 1 ]; do
    [ "$1" = "$name" ] && value=$2
    shift
  done
  echo "$value"
}

base_image() {
  local command=(waybill images base) started=$SECONDS
  ! ca_bundle >/dev/null || command+=(--ca-bundle "$(ca_bundle)")
  # Where no image registry is reachable the base is made by debootstrap, which needs root.
  run "${command[@]}" || { [ "$(id -u)" != 0 ] && run_with_sudo "${command[@]}"; } || fail "no base image"
  figure "base image" "$((SECONDS - started)) s"
}

step_2() {
  step 2 "A notebook with an unmodified MLflow client"
  run python "$ROOT/scripts/demo.d/notebook.py" 1.0 "$WORK/v1"
  run waybill models
  run waybill versions iris
}

step_3() {
  step 3 "The version is frozen and signed"
  run python "$ROOT/scripts/demo.d/overwrite.py" "$WORK/v1"
  run python "$ROOT/scripts/demo.d/predict.py" models:/iris/1 "$WORK/v1"
  run waybill verify iris@1
  run waybill pull iris@1 "$WORK/pulled"
  as_typed waybill keys export
  waybill keys export >"$WORK/registry.pub"
  sed 's/^/  /' "$WORK/registry.pub"
  run ls "$WORK/pulled"
  run waybill verify "$WORK/pulled" --key "$WORK/registry.pub"
  run model_signing verify key "$WORK/pulled" --signature "$WORK/pulled/model.sig" --public_key "$WORK/registry.pub"
  flip_byte "$WORK/pulled/conda.yaml"
  refuse conda.yaml waybill verify "$WORK/pulled" --key "$WORK/registry.pub"
  refuse conda.yaml model_signing verify key "$WORK/pulled" --signature "$WORK/pulled/model.sig" --public_key "$WORK/registry.pub"
}

# Flips the lowest bit of the tenth byte of a file.
flip_byte() {
  as_typed python -c "flip one bit of ${1##*/}"
  "$PYTHON" - "$1" <<'PY'
import pathlib, sys
path = pathlib.Path(sys.argv[1])
data = bytearray(path.read_bytes())
data[9] ^= 1
path.write_bytes(data)
PY
}

step_4() {
  step 4 "Promoted to staging, then to production"
  local started took made
  started=$(now_ms)
  run waybill promote iris@1 --to staging --reason "first candidate"
  took=$(seconds_since "$started")
  made=$(what_was_made staging)
  figure "promote to serving, $made" "$took"
  same_prediction "$GATEWAY/staging/iris/invocations" "$WORK/v1"
  started=$(now_ms)
  run waybill promote iris@1 --to production --reason "accepted in staging"
  figure "promote to serving, production after staging" "$(seconds_since "$started")"
  same_prediction "$GATEWAY/production/iris/invocations" "$WORK/v1"
  reused_everything production
  hardened production
}

seconds_since() { awk -v ms="$(($(now_ms) - $1))" 'BEGIN { printf "%.1f s", ms / 1000 }'; }

# what_was_made ENVIRONMENT  what the newest rollout's log says of its lockfile and its image: Docker keeps images of earlier tours.
what_was_made() {
  local lockfile image
  waybill logs iris --env "$1" --json >"$WORK/logs"
  if grep -qE '"resolved [0-9]+ packages in ' "$WORK/logs"; then lockfile=resolved
  elif grep -q ' nothing to resolve"' "$WORK/logs"; then lockfile='lockfile was there'
  else fail "the log of $1 does not say where the lockfile is from"; fi
  if grep -q '"built environment image ' "$WORK/logs"; then image=built
  elif grep -q ' nothing to build"' "$WORK/logs"; then image='image was there'
  else fail "the log of $1 does not say where the image is from"; fi
  echo "$lockfile, $image"
}

# reused_everything ENVIRONMENT  lockfile and image of the newest rollout were there already: nothing resolved, nothing built.
reused_everything() {
  waybill logs iris --env "$1" --json >"$WORK/logs"
  if grep -E '"stream": ?"(resolve|build)"' "$WORK/logs"; then fail "$1 resolved or built again"; fi
  note "✓ $1 found lockfile and image ready: no resolution, no build"
}

# Our containers that serve iris in an environment.
containers() {
  docker ps -q --filter label=io.waybill.instance="$(cat "$DATA/deployer/instance")" \
    --filter label=io.waybill.environment="$1" --filter label=io.waybill.model=iris
}

hardened() {
  local container
  container=$(containers "$1")
  [ -n "$container" ] || fail "no container for iris in $1"
  run docker inspect --format '{{.Config.User}} read-only={{.HostConfig.ReadonlyRootfs}} dropped={{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} memory={{.HostConfig.Memory}} pids={{.HostConfig.PidsLimit}}' "$container"
  expect "root file system read-only" "$(docker inspect --format '{{.HostConfig.ReadonlyRootfs}}' "$container")" true
  expect "capabilities dropped" "$(docker inspect --format '{{.HostConfig.CapDrop}}' "$container")" "[ALL]"
  [ "$(docker inspect --format '{{.HostConfig.Memory}}' "$container")" != 0 ] || fail "no memory limit"
}

step_5() {
  step 5 "A second version with the same requirements, switched under load"
  local started
  run python "$ROOT/scripts/demo.d/notebook.py" 0.1 "$WORK/v2"
  run python "$ROOT/scripts/demo.d/transition.py" iris 2 Staging
  wait_for 120 serves staging 2 || fail "staging does not serve version 2"
  reused_everything staging
  same_prediction "$GATEWAY/staging/iris/invocations" "$WORK/v2"
  load_start v1 v2
  started=$(now_ms)
  run waybill promote iris@2 --to production --reason "regularised more"
  figure "promote to serving, warm environment" "$(seconds_since "$started")"
  sleep 2
  load_stop "switch to version 2" v2
  reused_everything production
  same_prediction "$GATEWAY/production/iris/invocations" "$WORK/v2"
  wait_for 60 one_container production || fail "the old container did not go"
  note "✓ the old container drained and went"
}

one_container() { [ "$(containers "$1" | wc -l)" = 1 ]; }

# load_start FOLDER…  the folders whose predictions count as answers.
load_start() {
  local known=()
  for folder; do known+=("$WORK/$folder"); done
  python "$ROOT/scripts/demo.d/load.py" "$GATEWAY/production/iris/invocations" "$WORK/v1/input.json" \
    "$WORK/load.json" --known "${known[@]}" &
  LOAD_PID=$!
  sleep 1
}

# load_stop NAME FOLDER  ends the load; none may have failed, and FOLDER's version must have answered.
load_stop() {
  kill -TERM "$LOAD_PID"
  wait "$LOAD_PID" || fail "the load generator failed"
  LOAD_PID=''
  sed 's/^/  /' "$WORK/load.json"
  echo
  expect "failed requests during the $1" "$(json 'd["failed"]' <"$WORK/load.json")" 0
  [ "$(json "d['answers'].get('$2', 0)" <"$WORK/load.json")" -gt 0 ] || fail "$2 never answered"
  figure "$1 under load, failed of all requests" "0 of $(json 'd["requests"]' <"$WORK/load.json")"
}

step_6() {
  step 6 "Rollback, and what really served when"
  load_start v1 v2
  run waybill rollback iris --env production --reason "worse on the second class"
  sleep 1
  load_stop "rollback to version 1" v1
  same_prediction "$GATEWAY/production/iris/invocations" "$WORK/v1"
  run python "$ROOT/scripts/demo.d/predict.py" models:/iris/Production "$WORK/v1"
  run waybill history iris --env production
  grep -q "worse on the second class" "$WORK/out" || fail "the history does not say why"
  waybill history iris --env production --json >"$WORK/history.json"
  expect "versions that served, newest first" \
    "$(json '" ".join(str(s["version"]) for s in d["serving"])' <"$WORK/history.json")" "1 2 1"
  expect "intervals still open" \
    "$(json 'sum(s.get("to_ms") is None for s in d["serving"])' <"$WORK/history.json")" 1
}

step_7() {
  step 7 "A version that cannot start never takes traffic"
  run python "$ROOT/scripts/demo.d/broken.py" "$WORK/pulled/requirements.txt"
  load_start v1
  refuse "no weights for iris" waybill promote iris@3 --to production --reason "hotfix"
  load_stop "failed promotion" v1
  same_prediction "$GATEWAY/production/iris/invocations" "$WORK/v1"
  run waybill status
}

serves() {
  [ "$(curl -s "$URL/api/v1/environments/$1/deployments/iris" | json 'd.get("serving", {}).get("version")')" = "$2" ]
}

step_8() {
  step 8 "A plain directory, and all of it elsewhere"
  mkdir -p "$WORK/plain/weights"
  head -c 3000000 /dev/urandom >"$WORK/plain/weights/layer-0.bin"
  echo '{"layers": 1}' >"$WORK/plain/config.json"
  run waybill push "$WORK/plain" plain
  run waybill verify plain@1
  run waybill backup "$WORK/backup.tar" --data-dir "$DATA"
  run waybill restore "$WORK/backup.tar" --data-dir "$WORK/elsewhere"
  local port other
  port=$(free_port) other=http://127.0.0.1:$port
  serve OTHER_PID "$WORK" --data-dir "$WORK/elsewhere" --listen "127.0.0.1:$port" --no-deployer
  wait_for 30 curl -sf "$other/health" || fail "the restored server does not answer"
  run waybill --url "$other" verify plain@1
  run waybill --url "$other" verify iris@1
  run waybill --url "$other" pull plain@1 "$WORK/plain-again"
  as_typed diff -r "$WORK/plain" "$WORK/plain-again"
  diff -r -x model.sig -x provenance.sigstore.json "$WORK/plain" "$WORK/plain-again" || fail "the files differ"
  note "✓ every file came back, with its signature"
  MLFLOW_TRACKING_URI=$other run python "$ROOT/scripts/demo.d/predict.py" models:/iris/2 "$WORK/v2"
  kill "$OTHER_PID"
  wait "$OTHER_PID" || fail "the restored server did not end well on SIGTERM"
  OTHER_PID=''
}

# Containers outlive the server by design; the demo's own go with it.
remove_containers() {
  local ids
  [ -s "$DATA/deployer/instance" ] && docker_answers || return 0
  mapfile -t ids < <(docker ps -aq --filter label=io.waybill.instance="$(cat "$DATA/deployer/instance")")
  [ ${#ids[@]} = 0 ] || docker rm -f "${ids[@]}" >/dev/null
}
