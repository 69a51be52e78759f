# shellcheck shell=bash
# Shared by scripts/{setup,demo,test,bench}: sourced, never run. Every need_* function is
# idempotent: it looks first, and only changes the machine when something is missing.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${WAYBILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waybill}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
# Debian leaves the folders of dockerd and debootstrap out of its users' path.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root: directly, or through sudo, which drops what says how the network is reached.
as_root() {
  local kept=http_proxy,https_proxy,no_proxy,HTTP_PROXY,HTTPS_PROXY,NO_PROXY,SSL_CERT_FILE,DOCKER_HOST
  if [ "$(id -u)" = 0 ]; then "$@"
  elif have sudo; then sudo --preserve-env="$kept" "$@"
  else die "needs root for: $* (run as root, or install sudo)"; fi
}

# need_apt PACKAGE…  installs those that dpkg does not have.
need_apt() {
  local missing=() package
  for package; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  have apt-get || die "missing: ${missing[*]}; install them (this script knows apt only)"
  say "installing ${missing[*]}"
  # One release file of some third-party list may fail; Debian's own are what counts here.
  as_root apt-get update -qq || warn "apt-get update reported errors; trying to install all the same"
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install: ${missing[*]}"
}

# A Rust toolchain is the one thing that the user brings; rustup then follows rust-toolchain.toml.
need_rust() {
  [ -x "$HOME/.cargo/bin/cargo" ] && PATH="$HOME/.cargo/bin:$PATH"
  have cargo || die "cargo not found: install a Rust toolchain (https://rustup.rs) and run this again"
  need_apt gcc libc6-dev
  own_target
}

# Clones share the target directory for the sake of the dependencies. Cargo tells two clones of one
# workspace apart by time stamps only, so what another clone built of the workspace itself has to go.
own_target() {
  local stamp=$CARGO_TARGET_DIR/.built-for
  [ "$(cat "$stamp" 2>/dev/null)" = "$ROOT" ] && return
  [ ! -d "$CARGO_TARGET_DIR" ] || (cd "$ROOT" && cargo clean -q --locked --workspace) || return
  mkdir -p "$CARGO_TARGET_DIR"
  printf '%s\n' "$ROOT" >"$stamp"
}

# Docker Engine, with a running daemon: systemd's where there is one, else our own.
need_docker() {
  have dockerd || need_apt docker.io
  # Debian 13 has the command in a package of its own.
  have docker || need_apt docker-cli
  need_apt debootstrap ca-certificates iptables procps
  docker_answers && return
  if docker_refuses; then
    : # It runs already.
  elif [ -d /run/systemd/system ]; then
    say "starting Docker"
    as_root systemctl start docker
  else
    say "starting dockerd (no systemd here); log in /var/log/dockerd.log"
    # After a reboot that kept /var/run, another process may have the number in a stale pid file:
    # dockerd then takes itself, or its containerd, for running and ends.
    pgrep -x -r D,R,S dockerd >/dev/null || as_root rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid
    as_root sh -c 'setsid dockerd >>/var/log/dockerd.log 2>&1 </dev/null &'
  fi
  local i
  for ((i = 0; i < 60; i++)); do { docker_answers || docker_refuses; } && break; sleep 0.5; done
  docker_answers && return
  docker_refuses || die "dockerd did not come up; see /var/log/dockerd.log or: journalctl -u docker"
  say "adding $(id -un) to the group docker, whose members are as good as root"
  as_root usermod -aG docker "$(id -un)"
}
# in_docker_group ARGUMENTS…  starts the running script over with these as a member of the group docker, where the
# user has just become one: without that it takes a new login.
in_docker_group() {
  docker_answers || ! docker_refuses || [ -n "${WAYBILL_IN_DOCKER_GROUP:-}" ] && return
  say "starting over as a member of the group docker"
  WAYBILL_IN_DOCKER_GROUP=yes exec sg docker -c "$(printf '%q ' "$ROOT/scripts/$(basename "$0")" "$@")"
}
docker_answers() { docker info >/dev/null 2>&1; }
docker_refuses() { [[ $(docker info 2>&1) == *'permission denied'* ]]; }

# Prints a Python that MLflow takes (3.10 or newer). 3.11 first: Debian 12's, so that what the
# notebook pins has wheels for the base image's Python too.
find_python() {
  local candidate
  for candidate in /usr/bin/python3.11 python3.11 /usr/bin/python3 python3; do
    have "$candidate" || continue
    "$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || continue
    command -v "$candidate"
    return
  done
  return 1
}

# Sets PYTHON to the virtual environment with scripts/requirements.txt in it.
need_python() {
  need_venv requirements.txt
  PYTHON=$VENV/bin/python
  export PYTHON
}

# need_venv FILE  makes a virtual environment with what scripts/FILE pins, once for the machine, and
# sets VENV to its folder.
need_venv() {
  local file=$ROOT/scripts/$1 base
  base=$(find_python) || { need_apt python3 python3-venv; base=$(find_python); } ||
    die "no Python 3.10 or newer with venv: install python3 and python3-venv"
  VENV=$CACHE/venv-$({ cat "$file"; "$base" -V; } | sha256sum | cut -c1-16)
  [ -e "$VENV/.complete" ] && return
  say "making a Python environment in $VENV"
  rm -rf "$VENV"
  mkdir -p "$CACHE"
  "$base" -m venv "$VENV"
  "$VENV/bin/pip" install -q --disable-pip-version-check -r "$file" || die "pip could not install scripts/$1"
  touch "$VENV/.complete"
}

# need_waybill debug|release  builds the binary and sets WAYBILL_BIN.
need_waybill() {
  local profile=$1 flags=()
  [ "$profile" = release ] && flags=(--release)
  need_rust
  say "building waybill ($profile)"
  (cd "$ROOT" && cargo build --locked -q -p waybill "${flags[@]}") || die "the build failed"
  WAYBILL_BIN=$CARGO_TARGET_DIR/$profile/waybill
  export WAYBILL_BIN
}

# cargo-deny, built once. A debug build: it takes 2 minutes instead of 8, and runs for seconds.
need_cargo_deny() {
  local version=0.20.2
  CARGO_DENY=$CACHE/bin/cargo-deny
  export CARGO_DENY
  [ "$("$CARGO_DENY" --version 2>/dev/null)" = "cargo-deny $version" ] && return
  need_rust
  say "building cargo-deny $version"
  CARGO_TARGET_DIR=$CACHE/cargo-deny-build \
    cargo install -q cargo-deny --version "$version" --locked --debug --force --root "$CACHE" ||
    die "cargo-deny could not be built"
  rm -rf "$CACHE/cargo-deny-build"
}

# need_base_image  the base image of deployments, made by $WAYBILL_BIN once for the machine.
need_base_image() {
  local command=("$WAYBILL_BIN" images base)
  ! ca_bundle >/dev/null || command+=(--ca-bundle "$(ca_bundle)")
  # Where no image registry is reachable the base is made by debootstrap, which needs root.
  "${command[@]}" || as_root env PATH="$PATH" "${command[@]}"
}

# Prints the bundle of the certificate authority of a proxy between here and the world, as the tools of
# this machine know it: containers need it to reach an index.
ca_bundle() {
  local file
  for file in "${SSL_CERT_FILE:-}" "${REQUESTS_CA_BUNDLE:-}" "${PIP_CERT:-}" "${CURL_CA_BUNDLE:-}"; do
    [ -z "$file" ] || { printf '%s\n' "$file"; return; }
  done
  return 1
}

# A TCP port that is free now, on loopback.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# wait_for SECONDS COMMAND…  until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.05
  done
}

# Removes a folder that may hold a cache of models, whose folders nobody may write to.
remove_tree() {
  chmod -R u+w "$1" 2>/dev/null || true
  rm -rf "$1"
}

now_ms() { date +%s%3N; }

# postgres_start DIR PORT  makes and starts a throw-away cluster; database and user "waybill".
# postgres_stop DIR        stops it. Neither touches a cluster of the machine's own.
postgres_start() {
  local dir=$1 port=$2 bin
  bin=$(postgres_bin) || die "PostgreSQL is not installed; run scripts/setup test"
  mkdir -p "$dir"
  postgres_user_owns "$dir"
  as_postgres "$bin/initdb" -D "$dir/data" -U waybill -A trust -E UTF8 --locale C.UTF-8 >"$dir/initdb.log" 2>&1 ||
    die "initdb failed: $(tail -1 "$dir/initdb.log")"
  as_postgres "$bin/pg_ctl" -D "$dir/data" -l "$dir/data/server.log" -w -o \
    "-p $port -k $dir -c listen_addresses=127.0.0.1 -c max_connections=200" start >/dev/null ||
    die "PostgreSQL did not start; see $dir/data/server.log"
  as_postgres "$bin/createdb" -h 127.0.0.1 -p "$port" -U waybill waybill
}
postgres_stop() {
  [ -d "$1/data" ] && as_postgres "$(postgres_bin)/pg_ctl" -D "$1/data" -m immediate stop >/dev/null 2>&1
  return 0
}
postgres_bin() { find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1 | grep .; }
# PostgreSQL refuses to run as root.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}
postgres_user_owns() { if [ "$(id -u)" = 0 ]; then chown postgres "$1"; fi; }
