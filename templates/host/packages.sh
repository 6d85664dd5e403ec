# Which packages bring what a host lacks, and the commands that install them. Set before this: W_WANT (programs, `wg` and
# the like; `tunnel` stands for WireGuard in the kernel or beside it, `boot` for what starts interfaces at boot).
# w_prepare sets W_MISSING (program:package words), and W_COMMANDS (one a line: a word for its kind, a blank, the command).

w_release() { # /etc/os-release (os-release(5)): W_ID, W_LIKE, W_VERSION, W_PRETTY
	W_ID=; W_LIKE=; W_VERSION=; W_PRETTY=
	[ -r /etc/os-release ] || return 0
	while IFS= read -r w_v || [ -n "$w_v" ]; do
		w_x=${w_v#*=}; w_x=${w_x#[\"\']}; w_x=${w_x%[\"\']}
		case $w_v in
		ID=*) W_ID=$w_x ;;
		ID_LIKE=*) W_LIKE=$w_x ;;
		VERSION_ID=*) W_VERSION=$w_x ;;
		PRETTY_NAME=*) W_PRETTY=$w_x ;;
		esac
	done < /etc/os-release
}

w_family() { # W_FAMILY: whose package manager and names it has
	w_release
	W_FAMILY=unknown
	for w_v in $W_ID $W_LIKE; do
		case $w_v in
		debian | ubuntu) W_FAMILY=debian ;;
		alpine) W_FAMILY=alpine ;;
		rhel | centos | rocky | almalinux | ol) W_FAMILY=rhel ;;
		fedora) W_FAMILY=fedora ;;
		arch) W_FAMILY=arch ;;
		*) continue ;;
		esac
		break
	done
	case $W_FAMILY in
	debian) w_have apt-get || W_FAMILY=unknown ;;
	alpine) w_have apk || W_FAMILY=unknown ;;
	arch) w_have pacman || W_FAMILY=unknown ;;
	fedora | rhel)
		[ ! -e /run/ostree-booted ] || W_FAMILY=image # its /usr comes as a whole
		W_DNF=
		for w_v in dnf microdnf yum; do if [ -z "$W_DNF" ] && w_have $w_v; then W_DNF=$w_v; fi; done
		[ -n "$W_DNF" ] || W_FAMILY=unknown
		;;
	esac
}

w_package() { # the package that has program $1
	case $1,$W_FAMILY in
	wg,* | wg-quick,*) echo wireguard-tools ;;
	ip,fedora | ip,rhel) echo iproute ;;
	ip,*) echo iproute2 ;;
	nft,*) echo nftables ;;
	sysctl,debian | sysctl,alpine) echo procps ;;
	sysctl,*) echo procps-ng ;;
	awk,debian) echo mawk ;;
	awk,*) echo gawk ;;
	resolvconf,*) echo openresolv ;;
	tunnel,*) echo wireguard-go ;;
	sshd,alpine | sshd,arch) echo openssh ;;
	sshd,*) echo openssh-server ;;
	*) echo coreutils ;;
	esac
}

# W_TUNNEL: `kernel`, the name of a program that does it in userspace, or empty; without changing anything.
w_tunnel() {
	W_TUNNEL=
	if [ -d /sys/module/wireguard ] || modprobe -n -q wireguard 2>/dev/null; then W_TUNNEL=kernel; return 0; fi
	read -r w_v < /proc/sys/kernel/osrelease
	if grep -qs '/wireguard\.ko' "/lib/modules/$w_v/modules.dep" "/lib/modules/$w_v/modules.builtin"; then W_TUNNEL=kernel; return 0; fi
	for w_v in ${WG_QUICK_USERSPACE_IMPLEMENTATION:-} wireguard-go boringtun-cli boringtun; do
		if w_have "$w_v"; then W_TUNNEL=$w_v; return 0; fi
	done
	return 1
}

w_installed() { # the names of all packages, sorted
	case $W_FAMILY in
	debian) dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' 2>/dev/null | sed -n 's/^ii *//p' ;;
	alpine) apk info 2>/dev/null ;;
	fedora | rhel) rpm -qa --qf '%{NAME}\n' 2>/dev/null ;;
	arch) pacman -Qq 2>/dev/null ;;
	esac | sort -u
}

w_has_package() { w_installed | grep -qx "$1"; }

# Whether names are resolved by systemd-resolved, whose own program stands in for resolvconf when it is called by that
# name (resolvectl(1)).
w_resolved() { [ -d /run/systemd/resolve ] && w_have resolvectl; }

w_command() { W_COMMANDS="$W_COMMANDS$1 $2
"; }

w_prepare() {
	w_family; w_init
	W_MISSING=; W_PACKAGES=; W_COMMANDS=; w_links=; w_ask=
	for w_p in $W_WANT; do
		case $w_p in
		tunnel) w_tunnel && continue ;;
		boot) continue ;;
		sshd) { w_have sshd || w_have dropbear; } && continue ;;
		*) w_have "$w_p" && continue ;;
		esac
		if [ "$w_p" = resolvconf ] && w_resolved; then
			W_MISSING="$W_MISSING $w_p:link"
			w_links="ln -s $(command -v resolvectl) /usr/local/bin/resolvconf"
			continue
		fi
		w_v=$(w_package "$w_p")
		W_MISSING="$W_MISSING $w_p:$w_v"
		case " $W_PACKAGES " in *" $w_v "*) ;; *) W_PACKAGES="${W_PACKAGES:+$W_PACKAGES }$w_v" ;; esac
	done
	case " $W_WANT " in *' boot '*)
		if [ "$W_INIT" = openrc ] && [ ! -e /etc/init.d/wg-quick ]; then
			if [ "$W_FAMILY" = alpine ]; then
				W_MISSING="$W_MISSING boot:wireguard-tools-openrc"
				W_PACKAGES="${W_PACKAGES:+$W_PACKAGES }wireguard-tools-openrc"
			else
				W_MISSING="$W_MISSING boot:service"
			fi
		fi ;;
	esac
	[ -z "$W_PACKAGES" ] || w_commands
	[ -z "$w_links" ] || { w_command link 'mkdir -p /usr/local/bin'; w_command link "$w_links"; }
	case $W_MISSING in *boot:service*) w_command service 'w_write_service' ;; esac
	# Debian starts it by itself.
	case $W_FAMILY,$W_INIT,$W_MISSING in
	debian,*) ;;
	*,systemd,*sshd:*) w_command start 'systemctl enable --now sshd' ;;
	*,openrc,*sshd:*) w_command start 'rc-update add sshd default'; w_command start 'rc-service sshd start' ;;
	esac
}

w_commands() {
	case $W_FAMILY in
	debian)
		w_command packages 'apt-get -q update'
		w_command packages "apt-get -q -y --no-install-recommends install $W_PACKAGES"
		;;
	alpine) w_command packages "apk add --no-progress --update-cache $W_PACKAGES" ;;
	rhel)
		# Until version 8 WireGuard's tools are in EPEL, from 9 on in AppStream.
		case $W_VERSION,$W_PACKAGES in 7*,*wireguard* | 8*,*wireguard*)
			w_has_package epel-release || w_command packages "$W_DNF -y install epel-release" ;;
		esac
		w_command packages "$W_DNF -y install $W_PACKAGES"
		;;
	fedora) w_command packages "$W_DNF -y install $W_PACKAGES" ;;
	arch)
		# Newer lists than the packages that are installed would be half an upgrade, which Arch does not support: they are
		# fetched only where there are none yet.
		if ls /var/lib/pacman/sync/*.db >/dev/null 2>&1; then w_v=-S; else w_v=-Sy; fi
		w_command packages "pacman $w_v --noconfirm --needed $W_PACKAGES"
		;;
	esac
}

# The service of OpenRC that starts wg-quick.NAME, where no package brings it.
w_write_service() {
	cat > /etc/init.d/wg-quick <<'WG_FRIEND_SERVICE'
#!/sbin/openrc-run
# wg-friend: starts interface NAME as the service wg-quick.NAME
description="WireGuard interface by wg-quick"
depend() { need localmount; use net dns; after firewall; }
start() { ebegin "Starting ${SVCNAME#*.}"; wg-quick up "${SVCNAME#*.}"; eend $?; }
stop() { ebegin "Stopping ${SVCNAME#*.}"; wg-quick down "${SVCNAME#*.}"; eend $?; }
WG_FRIEND_SERVICE
	chmod 755 /etc/init.d/wg-quick
}

# Remembers line $1 in the list of what was brought here, which is what goes when wg-friend goes.
w_keep_in_mind() {
	mkdir -p /var/lib/wg-friend || return 1 # 0700, by the umask
	grep -qxF -e "$1" /var/lib/wg-friend/installed 2>/dev/null || printf '%s\n' "$1" >> /var/lib/wg-friend/installed
}

# Why a package manager failed, from what it said in $1.
w_reason() {
	case $1 in
	*'ould not get lock'* | *'nable to lock'* | *'database is locked'* | *'is another process using it'* | *'is holding'* | *'Existing lock'* | *'another copy is running'*) echo lock ;;
	*' 404'*) echo stale ;;
	*'esolving'* | *'esolve host'* | *'onnection timed out'* | *'onnection refused'* | *'etwork is unreachable'* | *'etwork unreachable'* | *'annot download'* | *'o more mirrors'* | *'failed retrieving'* | *'DNS lookup'* | *'temporary error'* | *'etwork error'* | *'network connection aborted'*) echo network ;;
	*'nable to locate package'* | *'o installation candidate'* | *'no such package'* | *'nable to find a match'* | *'o match for argument'* | *'o package'*'available'* | *'target not found'*) echo package ;;
	*'No space left'* | *'not enough free disk space'* | *"don't have enough free space"* | *'eeds'*'more space'* | *'too full'*) echo space ;;
	*) echo other ;;
	esac
}

# Carries W_COMMANDS out, one after the other. A package manager that another one keeps waiting is tried again for W_WAIT
# seconds. Sets W_WHY (a word) and W_SAID when one fails.
w_carry_out() {
	DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND
	W_WHY=; W_SAID=; w_number=0
	w_before=$(w_installed)
	while IFS=' ' read -r w_kind w_line; do
		[ -n "$w_kind" ] || continue
		w_number=$((w_number + 1))
		w_begin; w_uptime; w_until=$((w_up + ${W_WAIT:-60}))
		while :; do
			# Package managers expect the usual umask, and no directory for temporary files that only root may enter.
			if W_SAID=$(umask 022; unset TMPDIR; eval "$w_line" 2>&1 </dev/null); then W_WHY=; else W_WHY=$(w_reason "$W_SAID"); fi
			w_uptime
			if [ "$W_WHY" != lock ] || [ "$w_up" -ge "$w_until" ]; then break; fi
			sleep 3
		done
		# Old lists are better than none: whether they do, the installation says.
		case $w_line in 'apt-get -q update') w_update=$W_SAID; [ "$W_WHY" = lock ] || W_WHY= ;; esac
		if [ -n "$W_WHY" ]; then
			case $W_WHY,$W_FAMILY in package,debian | stale,debian) case $(w_reason "${w_update-}") in network) W_WHY=network; W_SAID=$w_update ;; esac ;; esac
			w_did "$w_number" no "$(printf '%s\n' "$W_SAID" | tail -n 20)"
			break
		fi
		w_did "$w_number" yes "$(printf '%s\n' "$W_SAID" | tail -n 5)"
		case $w_kind,$w_line in
		link,ln*) w_keep_in_mind "path ${w_line##* }" ;;
		service,*) w_keep_in_mind 'path /etc/init.d/wg-quick' ;;
		esac
	done <<WG_FRIEND_COMMANDS
$W_COMMANDS
WG_FRIEND_COMMANDS
	W_NEWLY=$(w_installed | while read -r w_v; do case "
$w_before
" in *"
$w_v
"*) ;; *) echo "$w_v" ;; esac; done)
	for w_v in $W_NEWLY; do w_keep_in_mind "package $w_v"; done
	[ -z "$W_WHY" ]
}
