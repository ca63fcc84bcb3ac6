# What the benchmarks run beside and how it gets here. Sourced by the scripts beside it, in the root of the workspace.
#
# Everything lands in .cache/bench and target; the one system-wide change is Debian's musl-tools, when musl-gcc is missing.
# shellcheck shell=bash
# shellcheck disable=SC2034 # what the functions set is for who sources this

cache=$PWD/.cache/bench
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
gnu=x86_64-unknown-linux-gnu
musl=x86_64-unknown-linux-musl
fastmcp_version=4.1.2

say() {
    printf 'bench: %s\n' "$1" >&2
}

die() {
    say "$1"
    exit 1
}

# shipped FOLDER FLAG...: daemon and command line as ./dist builds them.
shipped() {
    local folder=$1 flags='"-Ctarget-feature=+crt-static"' flag
    shift
    for flag; do
        flags+=",\"$flag\""
    done
    (unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS &&
        cargo build --quiet --locked --release --config "target.$gnu.rustflags=[$flags]" --target "$gnu" \
            --target-dir "$folder" -p codex-oauthd -p codex-oauth)
}

# Ours, as it ships: the daemon static with glibc, the shim static with musl.
build_ours() {
    local profile
    build_driver
    say "building codex-oauthd (minutes the first time)"
    # By its content: cargo sees the flag and not the file.
    profile=$target/$(sha256sum "daemon/pgo/$gnu.profdata" | cut -c1-16).profdata
    mkdir -p "$target"
    cp "daemon/pgo/$gnu.profdata" "$profile"
    shipped "$target" "-Cprofile-use=$profile"
    ours=(--daemon "$target/$gnu/release/codex-oauthd" --shim "$shim")
}

# What measures, and the shim.
build_driver() {
    command -v cargo >/dev/null || die "cargo is missing: install Rust (rustup), then run it again"
    say "building codex-oauth-mcp and the driver (minutes the first time)"
    cargo build --quiet --locked --release -p codex-oauth-bench
    cargo build --quiet --locked --profile shim --target "$musl" -p codex-oauth-mcp
    shim=$target/$musl/shim/codex-oauth-mcp
    driver=$target/release/codex-oauth-bench
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# The floor: constants over stdio. It answers tools/list with the bytes that we answer.
build_limit() {
    if ! command -v musl-gcc >/dev/null; then
        say "installing musl-tools"
        as_root apt-get install -y -qq --no-install-recommends musl-tools >/dev/null ||
            die "musl-gcc is missing and could not be installed: apt-get install musl-tools"
    fi
    mkdir -p "$cache"
    python3 -c 'import json, sys; json.dump(json.load(sys.stdin), sys.stdout, separators=(",", ":"), ensure_ascii=False)' \
        < proto/src/tools.json > "$cache/tools.json"
    musl-gcc -static -no-pie -Os -s -Wall -Wextra -Werror -Wa,-I"$cache" -o "$cache/limit" bench/reference/limit.c
    limit=$cache/limit
}

# A server of the usual kind: FastMCP with the same five tools, in an environment of its own.
install_fastmcp() {
    local venv=$cache/fastmcp-$fastmcp_version
    if [ ! -e "$venv/ready" ]; then
        say "installing fastmcp $fastmcp_version from PyPI"
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "fastmcp==$fastmcp_version" \
            --constraint bench/reference/fastmcp.txt
        : > "$venv/ready"
    fi
    fastmcp=$venv/bin/python
}

# nginx from Debian, unpacked and not installed: installing it would start a web server.
unpack_nginx() {
    if command -v nginx >/dev/null; then
        nginx=$(command -v nginx)
        return
    fi
    nginx=$cache/nginx/usr/sbin/nginx
    if [ ! -x "$nginx" ]; then
        say "fetching nginx from Debian"
        rm -rf "$cache/nginx"
        mkdir -p "$cache/nginx"
        (cd "$cache/nginx" && apt-get download -qq nginx >/dev/null && dpkg -x nginx_*.deb .) ||
            die "nginx could not be fetched: apt-get update, then run it again"
    fi
    "$nginx" -v 2>/dev/null || die "nginx does not run: apt-get install libpcre2-8-0 libssl3 zlib1g"
}
