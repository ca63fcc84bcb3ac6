#!/bin/sh
# Installs codex-oauth for one user, without root, and registers its Claude Code plugin. Run it again to upgrade.
#
#   $PREFIX/bin/codex-oauth                  the command
#   $PREFIX/libexec/codex-oauth/             daemon and MCP shim, out of the way of tab completion
#   $PREFIX/share/codex-oauth/               plugin and marketplace, read in place by Claude Code
#
# Every file is replaced by a rename, so that a program that runs keeps its old one and nobody ever starts half a file.
# `codex-oauth uninstall` removes exactly this.

set -eu
umask 022

usage() {
    cat <<'END'
Usage: install.sh [--prefix DIR] [--from DIR] [--no-plugin] [--service]

Installs codex-oauth for you alone; needs no root. Run it again to upgrade.

  --prefix DIR   where to install (default: $PREFIX, else ~/.local)
  --from DIR     take codex-oauth, codex-oauthd and codex-oauth-mcp from DIR
                 (default: bin/ beside this script, else build them with cargo)
  --no-plugin    leave Claude Code alone
  --service      let systemd or launchd start the daemon (codex-oauth service install)
  --help         print this

`codex-oauth uninstall` removes what this puts in place.
END
}

fail() {
    printf 'error: %s\n' "$1" >&2
    exit "${2-1}"
}

main() {
    prefix=${PREFIX-} from='' plugin=1 service=''
    while [ $# -gt 0 ]; do
        case $1 in
            --prefix | --from)
                if [ -z "${2-}" ]; then fail "$1 needs a folder; see --help" 2; fi
                case $1 in
                    --prefix) prefix=$2 ;;
                    --from) from=$2 ;;
                esac
                shift
                ;;
            --prefix=?*) prefix=${1#*=} ;;
            --from=?*) from=${1#*=} ;;
            --no-plugin) plugin='' ;;
            --service) service=1 ;;
            --help | -h)
                usage
                exit 0
                ;;
            *) fail "unknown argument \`$1\`; see --help" 2 ;;
        esac
        shift
    done

    source=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
    if [ -z "$prefix" ]; then
        [ -n "${HOME-}" ] || fail 'could not tell where to install: HOME is not set; use --prefix'
        prefix=$HOME/.local
    fi
    case $prefix in
        /*) ;;
        *) prefix=$PWD/$prefix ;;
    esac
    bin=$prefix/bin
    libexec=$prefix/libexec/codex-oauth
    share=$prefix/share/codex-oauth

    find_programs
    mkdir -p "$bin" "$libexec"
    # A daemon is not started from a folder that others may write to.
    chmod go-w "$libexec"
    new=".new.$$"
    trap 'rm -rf "$bin/codex-oauth$new" "$libexec/codex-oauthd$new" "$libexec/codex-oauth-mcp$new" "$share$new"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP

    # All of them are in place under another name, and known to run here, before the first one is replaced.
    stage "$cli" "$bin/codex-oauth"
    stage "$daemon" "$libexec/codex-oauthd"
    stage "$shim" "$libexec/codex-oauth-mcp"
    version=$("$bin/codex-oauth$new" -V) || fail "could not run \`$cli\`: it was built for another machine"
    before=''
    if [ -f "$libexec/codex-oauthd" ]; then
        before=other
        if cmp -s "$libexec/codex-oauthd$new" "$libexec/codex-oauthd"; then before=same; fi
    fi
    mv -f "$libexec/codex-oauthd$new" "$libexec/codex-oauthd"
    mv -f "$libexec/codex-oauth-mcp$new" "$libexec/codex-oauth-mcp"
    mv -f "$bin/codex-oauth$new" "$bin/codex-oauth"
    # What tells `codex-oauth uninstall` that these files are its own and not a package manager's.
    echo 'Put in place by install.sh; removed by codex-oauth uninstall.' > "$libexec/installed"
    echo "installed  $version in $prefix"

    registered='not in Claude Code'
    if [ -n "$plugin" ]; then
        install_plugin
        register_plugin
    fi
    # A service that cannot be had is said, and is no reason why an install fails: the daemon is started without one.
    if [ -z "$service" ] || ! install_service; then
        # Behind a proxy, the shell knows it and the daemon would not; what is said on purpose stays. The service does it too.
        "$bin/codex-oauth" config import --keep || true
    fi
    report
}

# Sets cli, daemon and shim to the programs to install.
find_programs() {
    if [ -z "$from" ] && [ -f "$source/bin/codex-oauth" ]; then
        from=$source/bin
    fi
    if [ -n "$from" ]; then
        cli=$from/codex-oauth daemon=$from/codex-oauthd shim=$from/codex-oauth-mcp
    else
        build
    fi
    for program in "$cli" "$daemon" "$shim"; do
        [ -f "$program" ] || fail "could not find \`$program\`"
    done
}

# The target is always named, so that nobody's cargo configuration moves the results elsewhere.
build() {
    [ -f "$source/Cargo.toml" ] || fail "could not find programs to install: there is no bin/ beside \`$0\`; use --from"
    command -v cargo > /dev/null || fail 'could not build: cargo is not installed; see https://rustup.rs, or use --from'
    cd "$source"
    target=${CARGO_TARGET_DIR:-$source/target}
    host=$(rustc -vV | sed -n 's/^host: //p')
    [ -n "$host" ] || fail 'could not build: rustc does not name its host'
    # Static, the shim starts in a fraction of the time.
    musl=${host%-gnu}-musl
    shim_target=$host
    case $host in
        *-linux-gnu) if [ -d "$(rustc --print sysroot)/lib/rustlib/$musl" ]; then shim_target=$musl; fi ;;
    esac
    echo 'building   this takes a few minutes the first time'
    cargo build --locked --release --target "$host" --target-dir "$target" -p codex-oauthd -p codex-oauth
    cargo build --locked --profile shim --target "$shim_target" --target-dir "$target" -p codex-oauth-mcp
    cli=$target/$host/release/codex-oauth
    daemon=$target/$host/release/codex-oauthd
    shim=$target/$shim_target/shim/codex-oauth-mcp
}

stage() {
    cp -- "$1" "$2$new"
    chmod 755 "$2$new"
}

# A copy, because Claude Code reads a marketplace in place and this folder may go away.
install_plugin() {
    [ -f "$source/plugin/.claude-plugin/plugin.json" ] || fail "could not find the plugin in \`$source\`; use --no-plugin"
    rm -rf "$share$new"
    mkdir -p "$share$new"
    cp -R -- "$source/.claude-plugin" "$source/plugin" "$share$new/"
    printf '%s\n' "$prefix" > "$share$new/plugin/bin/prefix"
    # Two folders cannot be swapped; in between a new session finds no plugin.
    rm -rf "$share"
    mv "$share$new" "$share"
}

# Never the reason why an install fails: the programs work without Claude Code.
register_plugin() {
    # Each on a line of its own: whole, and below 80 columns in most homes.
    later="later:
           claude plugin marketplace add '$share'
           claude plugin install codex-oauth@codex-oauth"
    if ! command -v claude > /dev/null; then
        registered="claude is not on PATH; $later"
    elif said=$(claude plugin marketplace add "$share" < /dev/null 2>&1) &&
        said=$(claude plugin install codex-oauth@codex-oauth < /dev/null 2>&1); then
        registered='registered in Claude Code; new sessions have it'
    else
        registered="could not be registered: $said
           $later"
    fi
}

# The one next step is said at the end.
install_service() {
    said=$("$bin/codex-oauth" service install) || return 1
    printf '%s\n' "$said" | sed '/^next /d'
}

report() {
    echo "plugin     $registered"
    command=codex-oauth
    case ":$PATH:" in
        *":$bin:"*) echo "command    codex-oauth ($bin is on PATH)" ;;
        *)
            command=$bin/codex-oauth
            echo "command    $command"
            echo "           its folder is not on PATH; to your shell's profile:"
            echo "           export PATH=\"$bin:\$PATH\""
            ;;
    esac
    running=''
    if [ "$before" = other ]; then running=$(running_daemon); fi
    if [ -n "$running" ] && [ "$running" != "${version##* }" ]; then
        # A newer command has an older daemon hand over, and an older one does not: what comes of it is said below.
        "$bin/codex-oauth" config > /dev/null 2>&1 || true
        former=$running running=$(running_daemon)
        if [ "$running" = "${version##* }" ]; then
            echo "daemon     $former has handed over to $running, and finishes what it was asked"
            running=''
        fi
    fi
    if [ -z "$before" ] && grep -qsE '"openai_codex(_accounts)?"' "${CODEX_OAUTH_AUTH_FILE:-${HOME-}/.claude/auth.json}"; then
        echo "next       $command status    (a login is here already)"
    elif [ -z "$before" ]; then
        echo "next       $command login"
    elif [ -n "$running" ]; then
        echo "daemon     the one that runs is another build, of version $running"
        echo "next       $command daemon stop    (it finishes what it was asked; the next use starts this build)"
    elif [ "$before" = same ]; then
        echo 'next       nothing: this build was installed already'
    else
        echo 'next       nothing: the next use is of this build'
    fi
}

# The version of the daemon that runs; nothing when none does.
running_daemon() {
    "$bin/codex-oauth" --version 2> /dev/null | sed -n 's/^daemon  *\([^ ]*\) (process.*/\1/p'
}

main "$@"
