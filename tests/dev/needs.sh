#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# needs.sh: what ./dev does when something is missing. Every tool that it asks is a stand-in here,
# so that the test neither depends on this machine nor changes it. "./dev test nothing" ends with 2
# once the needs are met, because there is no such leg.

set -u
dev=$(cd "$(dirname "$0")/../.." && pwd)/dev
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
real_path=$PATH
failures=0

stand_in()                                     # stand_in TOOL: its script, from stdin
{
    { echo '#!/bin/sh'; cat; } >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}

fresh()                                        # a Debian machine where all is there, and I am root
{
    rm -rf "${work:?}"/*
    mkdir -p "$work/bin" "$work/store"
    : >"$work/log"
    for tool in sh awk sed cut tr sort paste cat dirname getconf uname date mkdir; do
        ln -s "$(PATH=$real_path command -v $tool)" "$work/bin/$tool"
    done
    for tool in gcc g++ clang; do
        echo 'case $* in *-dumpversion*) echo 14.0.6 ;; *) cat >/dev/null ;; esac' | stand_in $tool
    done
    echo 'echo cmake version 3.25.1'         | stand_in cmake
    for tool in pkg-config ninja clang-tidy cppcheck ccache spin; do
        echo 'exit 0'                        | stand_in $tool
    done
    echo 'exit 0'                            | stand_in sleep
    echo 'echo 0'                            | stand_in id
    stand_in apt-get <<END
echo "apt-get \$*" >>"$work/log"
case \$* in *install*) for tool in $work/store/*; do
    [ -e "\$tool" ] && PATH=$real_path mv "\$tool" $work/bin/; done ;; esac
exit 0
END
}

lose()                                         # lose TOOL: not installed; apt-get brings it
{
    PATH=$real_path mv "$work/bin/$1" "$work/store/"
}

# expect WHAT STATUS TEXT [NAME=VALUE...]: runs ./dev test nothing; its output has TEXT in it.
expect()
{
    what=$1 status=$2 text=$3
    shift 3
    output=$(env -i PATH="$work/bin" "$@" sh "$dev" test nothing 2>&1 </dev/null)
    got=$?
    case $output in
    *"$text"*) [ $got -eq "$status" ] && return ;;
    esac
    printf '%s\n' "$what: expected $status and '$text', got $got and:" "$output"
    failures=$((failures + 1))
}
expect_log()                                   # expect_log WHAT PATTERN: apt-get, sudo were told so
{
    grep -q -e "$2" "$work/log" && return
    printf '%s\n' "$1: expected '$2' in:" "$(cat "$work/log")"
    failures=$((failures + 1))
}
expect_quiet()                                 # apt-get and sudo were not called at all
{
    [ ! -s "$work/log" ] && return
    printf '%s\n' "$1: expected no call, got:" "$(cat "$work/log")"
    failures=$((failures + 1))
}

line='apt-get install -y --no-install-recommends'

fresh
expect "nothing missing" 2 'no such leg'
expect_quiet "nothing missing"

fresh; lose clang
expect "an optional part missing" 2 'no such leg'
expect_quiet "an optional part missing"

fresh; lose apt-get; lose ninja
expect "elsewhere than on Debian" 3 'Ninja 1.10'

fresh; echo 'echo cmake version 3.18.4' | stand_in cmake; lose apt-get
expect "too old" 3 'CMake 3.21'

fresh; echo 'case $* in *ck*) exit 1 ;; esac' | stand_in pkg-config; lose apt-get
expect "a module missing" 3 'Concurrency Kit 0.7.1'

if [ -r /etc/debian_version ]; then
    fresh; lose ninja
    expect "root on Debian" 2 "$line ninja-build"
    expect_log "root on Debian" '^apt-get .* update$'
    expect_log "root on Debian" '^apt-get .*Lock::Timeout=[0-9].* install .* ninja-build$'

    fresh; lose ninja; lose clang
    expect "optional parts come along" 2 "$line clang libclang-rt-dev ninja-build"

    fresh; lose clang-tidy
    expect "an optional part in CI" 2 "$line clang-tidy" CI=1

    fresh; lose ninja
    expect "forbidden to install" 3 "$line ninja-build" WEIR_NO_INSTALL=1
    expect_quiet "forbidden to install"

    fresh; lose ninja; echo 'echo 1000' | stand_in id
    expect "neither root nor sudo" 3 "$line ninja-build"
    expect_quiet "neither root nor sudo"

    fresh; lose ninja; echo 'echo 1000' | stand_in id
    stand_in sudo <<END
echo "sudo \$*" >>"$work/log"
shift
"\$@"
END
    expect "sudo without a terminal" 2 "$line ninja-build"
    expect_log "sudo without a terminal" '^sudo -n apt-get .* install'
    grep -v -e '^sudo -n apt-get' -e '^apt-get' "$work/log" &&
        { echo "sudo ran something else than apt-get"; failures=$((failures + 1)); }

    fresh; lose ninja; echo 'echo 1000' | stand_in id; echo 'exit 1' | stand_in sudo
    expect "sudo refuses" 3 "$line ninja-build"

    fresh; lose ninja
    stand_in apt-get <<END
echo "apt-get \$*" >>"$work/log"
case \$* in *install*) ;; *) exit 0 ;; esac
[ -e "$work/busy" ] && { PATH=$real_path mv $work/store/ninja $work/bin/; exit 0; }
: >"$work/busy"
exit 100
END
    expect "a lock that is held once" 2 'try 1 of 5'

    fresh; lose ninja; printf '%s\n' 'exit 100' | stand_in apt-get
    expect "apt-get fails" 3 'Ninja 1.10'
fi

[ $failures -eq 0 ] && echo "all as expected"
exit $failures
