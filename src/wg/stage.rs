//! A stage on which tests play with a loop that runs beside an interface: stand-ins answer it from files, and what it does is told
//! by what it calls.

use super::beside::Loop;
use super::namespace;

/// What every play begins with. A file that answers is put in one step, since the loop may read it at any moment.
const STAGE: &str = r#"
    S=/run/stage; mkdir $S /run/bin; : > $S/calls; : > $S/looked
    # `setsid sh` is the machine's own; the stand-in makes it the shell that is tried.
    printf '#!/bin/sh\nexec %s "$@"\n' "$SH" > /run/bin/sh; chmod 755 /run/bin/sh
    sed -i 's#^PATH=#PATH=/run/bin:#' /etc/wireguard/body

    put() { cat > "$S/put-$1" && mv "$S/put-$1" "$S/$1"; } # the file $1
    stand_in() { cat > "$S/$1"; chmod 755 "$S/$1"; mount --bind "$S/$1" "$(command -v "$1")"; } # for the command $1
    script() { # beside the interface $1, with a variable $2 that holds the lines of standard input
        IFACE=$1 SCRIPT=/etc/wireguard/wgf-$KIND-$1.sh
        { printf '#!/bin/sh\nKIND=%s\nIFACE=%s\nVERSION=one\n' "$KIND" "$IFACE"; echo "$2='"; cat; echo "'"; cat /etc/wireguard/body; } > "$SCRIPT"
    }
    loop() { $SH "$SCRIPT" "$1"; echo "$1 $?"; }
    pid() { cut -d ' ' -f 1 "/run/wg-friend/$KIND-$IFACE"; }
    version() { cut -d ' ' -f 2 "/run/wg-friend/$KIND-$IFACE"; }
    until_so() { # waits until a command succeeds
        n=0; until "$@"; do n=$((n + 1)); [ $n -lt 600 ] || { echo "never: $*" >&2; exit 3; }; sleep 0.05; done
    }
    at_least() { [ "$(wc -l < "$S/$1")" -ge "$2" ]; } # so many lines in the file $1
    called() { until_so at_least calls "$1"; } # that many calls were made
    # The loop has looked once more from its beginning; its `wg` says so by a line in `looked`.
    looks() { : > $S/looked; until_so at_least looked 2; }
    children() { cat "/proc/$(pid)/task/$(pid)/children"; }
    others() { [ "$(children)" != "$1" ]; }
    naps() { for nap in 1 2; do until_so others "$(children)"; done; } # from one look to the next, whatever it does in that
    told() { sort $S/calls | sed 's/ $//'; : > $S/calls; }
"#;

/// Plays with a loop in each of the shells that hosts have, and returns what each play printed. None where namespaces aren't
/// permitted, or one of the commands isn't there that the play needs.
pub(crate) fn play(with: Loop, needs: &[&str], script: &str) -> Vec<String> {
    let shells = ["dash", "busybox ash"];
    let print = |shell: &str| {
        let needs = [&[shell.split(' ').next()?, "wg", "setsid", "awk"], needs].concat();
        let script = format!("SH='{shell}' KIND={}\n{STAGE}\n{script}", with.as_str());
        let output = namespace::run(&script, &needs, &[("body", &with.code())])?;
        Some(namespace::printed(&output).trim_end().to_owned())
    };
    shells.into_iter().map_while(print).collect()
}
