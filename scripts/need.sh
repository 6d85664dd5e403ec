# What a script here needs of the machine. Read by ./test, ./demo and ./lab with `. scripts/need.sh`.
# On Debian what is missing is installed; elsewhere it is named. When nothing is missing the network isn't used.

# Runs a command as root.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -E "$@"
	else
		echo "this needs root, and there is no sudo: run it as root: $*" >&2
		return 1
	fi
}

# need PROGRAM=PACKAGE..: has the packages of all PROGRAMs that aren't there installed.
need() {
	missing=
	for pair in "$@"; do
		# System programs are found also by people who don't have them on their PATH.
		(PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin && command -v "${pair%%=*}" >/dev/null) || missing="$missing $pair"
	done
	[ -n "$missing" ] || return 0
	packages=
	for pair in $missing; do packages="$packages ${pair#*=}"; done
	if command -v apt-get >/dev/null; then
		echo "installing:$packages" >&2
		# shellcheck disable=SC2086 # a list of words
		DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null 2>&1 || {
			DEBIAN_FRONTEND=noninteractive as_root apt-get update -qq >&2 &&
				DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends $packages >&2
		}
	else
		echo "missing:" >&2
		for pair in $missing; do echo "  ${pair%%=*}  (the Debian package is ${pair#*=})" >&2; done
		echo "install them with this system's package manager, then run this again" >&2
		return 1
	fi
}

# Rust can't come from Debian: its version there is too old.
need_rust() {
	command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
	command -v cargo >/dev/null || {
		echo "Rust 1.95 or newer is missing: install it from https://rustup.rs" >&2
		return 1
	}
	need cc=gcc
}

# What the lab's hosts are made of.
need_lab() {
	need wg=wireguard-tools wireguard-go=wireguard-go ssh=openssh-client sshd=openssh-server nft=nftables \
		iptables=iptables ip=iproute2 ping=iputils-ping sysctl=procps socat=socat sudo=sudo unshare=util-linux \
		tcpdump=tcpdump iperf3=iperf3 zbarimg=zbar-tools busybox=busybox-static
}

# Other systems' own readers, which judge what is exported for them. NetworkManager's library only, not the service: that
# would take over the machine's network.
need_readers() {
	need shellcheck=shellcheck jq=jq unzip=unzip nix-instantiate=nix-bin pdfinfo=poppler-utils qpdf=qpdf
	/usr/bin/python3 -c "import gi; gi.require_version('NM', '1.0')" 2>/dev/null ||
		need gir1.2-nm-1.0=gir1.2-nm-1.0 python3-gi=python3-gi
}

# What the second tier of the lab is made of: a virtual machine, for ./test --long.
need_vm() {
	need qemu-system-x86_64=qemu-system-x86 debootstrap=debootstrap busybox=busybox-static cpio=cpio depmod=kmod mke2fs=e2fsprogs
}
