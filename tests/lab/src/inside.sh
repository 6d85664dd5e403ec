#!/bin/sh
# What happens inside the namespaces of a lab. Rust writes this file, one settings file per host and the
# addresses into the lab's directory, and starts the first of these roles; each starts the next:
#
#   warden DIR         on the machine itself: waits for the lab to end, then removes what it left on disk
#   keeper DIR         process 1 of the lab: its network namespace is the switch; everything ends when it ends
#   host   DIR NAME    one per host: makes the host's disk, then boots it again and again
#   boot   DIR NAME N  process 1 of a running host, in namespaces of this boot alone
#
# /proc stays the machine's up to the moment a boot mounts its own: process ids written for Rust are the
# machine's. Programs are started sparingly: a lab is made of many hosts, and there are many labs.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 022
role=$1 lab=$2
name=${3-}

# The id by which the machine knows this process, and its start time: together they name it for good.
identify() {
	read -r stat </proc/self/stat
	# shellcheck disable=SC2086 # a list of numbers
	set -- ${stat##*) }
	printf '%s %s\n' "${stat%% *}" "${20}"
}

warden() {
	trap '' INT HUP TERM
	identify >"$lab/warden.new"
	mv "$lab/warden.new" "$lab/warden"
	# A signal that is ignored here would be ignored in there for good.
	(
		trap - INT HUP TERM
		exec unshare --net --mount --pid --fork --kill-child --propagation private sh "$lab/inside.sh" keeper "$lab"
	) || :
	cd /
	if [ -s "$lab/cgroup" ]; then
		groups=$(cat "$lab/cgroup")
		tries=0
		while [ -d "$groups" ] && [ $tries -lt 100 ]; do
			find "$groups" -depth -type d -exec rmdir {} + 2>/dev/null || :
			tries=$((tries + 1))
			[ ! -d "$groups" ] || sleep 0.02
		done
	fi
	rm -rf "$lab"
}

keeper() {
	exec 3<&0
	trap 'exit 0' TERM
	identify >"$lab/run/keeper.new"
	mv "$lab/run/keeper.new" "$lab/run/keeper"
	read -r KEEPER _ <"$lab/run/keeper"
	export KEEPER
	# The owner holds the other end of this pipe: when it dies, however it dies, the lab ends.
	if [ -e "$lab/detached" ]; then
		sleep infinity &
	else
		{
			cat <&3 >/dev/null || :
			kill -TERM 1
		} &
	fi
	sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip -batch "$lab/switch.ip"
	for settings in "$lab"/hosts/*.env; do
		host=${settings##*/}
		host=${host%.env}
		unshare --mount --uts --ipc sh "$lab/inside.sh" host "$lab" "$host" 2>"$lab/log/$host" 3<&- </dev/null &
	done
	exec >/dev/null
	while :; do wait; done
}

# --- a host's disk ----------------------------------------------------------------------------------

# Everything a host may write lies on one tmpfs of limited size; below it, copy-on-write, are the machine's programs.
make_disk() {
	mount -t tmpfs -o "mode=755,size=${DISK}m" disk "$root"
	cd "$root"
	mkdir -p boot dev home/deploy/.ssh media mnt opt proc root/.ssh run srv sys tmp .old .layers
	chmod 700 root root/.ssh .layers
	links=
	for part in bin sbin lib lib32 lib64 libx32 usr etc var; do
		if [ -L "/$part" ]; then
			links="$links /$part"
		elif [ -d "/$part" ]; then
			mkdir "$part" ".layers/$part" ".layers/$part.work"
			mount -t overlay "$part" -o "lowerdir=/$part,upperdir=.layers/$part,workdir=.layers/$part.work" "$part"
		fi
	done
	# shellcheck disable=SC2086 # a list of paths
	[ -z "$links" ] || cp -P $links .
	rm -rf etc/wireguard var/lib/wg-friend etc/rc.local etc/ssh/ssh_host_* etc/ssh/sshd_config.d/*
	mkdir -m 700 etc/wireguard
	mkdir -p etc/ssh/sshd_config.d etc/sudoers.d
	identity
	people
	# That way of agreeing on a session's key takes ten times what all the rest of a connection does.
	printf 'KexAlgorithms -sntrup761*\n' >etc/ssh/sshd_config.d/lab.conf
	printf 'Port %s\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\nUseDNS no\nMaxStartups 200\nUsePAM %s\n' \
		"$SSH_PORT" "$([ "$INIT" = systemd ] && echo yes || echo no)" >>etc/ssh/sshd_config.d/lab.conf
	ssh-keygen -q -t ed25519 -N '' -C "$name" -f etc/ssh/ssh_host_ed25519_key
	printf '%s\n' '#!/bin/sh' '# Answers any request with the address it came from.' \
		'while read -r line && [ ${#line} -gt 1 ]; do :; done' \
		'printf "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n%s\n" "$SOCAT_PEERADDR"' >usr/local/sbin/lab-web
	chmod 755 usr/local/sbin/lab-web
	case $INIT in
	systemd) only_what_a_server_needs ;;
	*) rm -f usr/bin/systemctl usr/bin/systemd-run usr/bin/systemd-cat usr/bin/journalctl ;;
	esac
	for command in $WITHOUT; do rm -f "usr/bin/$command" "usr/sbin/$command"; done
}

identity() {
	echo "$name" >etc/hostname
	: >etc/machine-id
	cat "$lab/names" >etc/hosts
	rm -f etc/resolv.conf
	echo 'nameserver 127.0.0.1' >etc/resolv.conf
}

people() {
	echo 'deploy:x:2000:2000::/home/deploy:/bin/bash' >>etc/passwd
	echo 'deploy:x:2000:' >>etc/group
	echo 'deploy:*:19000:0:99999:7:::' >>etc/shadow
	case $SUDO in
	free) echo 'deploy ALL=(ALL:ALL) NOPASSWD: ALL' >etc/sudoers.d/deploy ;;
	password) echo 'deploy ALL=(ALL:ALL) ALL' >etc/sudoers.d/deploy ;;
	none) rm -f usr/bin/sudo ;;
	esac
	cp "$lab/key.pub" root/.ssh/authorized_keys
	cp "$lab/key.pub" home/deploy/.ssh/authorized_keys
	chmod 700 home/deploy home/deploy/.ssh
	chown -R 2000:2000 home/deploy
}

only_what_a_server_needs() {
	units=etc/systemd/system
	rm -rf $units/*.wants $units/*.requires etc/rc?.d/S*
	mkdir -p $units/multi-user.target.wants etc/systemd/journald.conf.d
	ln -s /lib/systemd/system/ssh.service $units/multi-user.target.wants/ssh.service
	ln -sf /lib/systemd/system/multi-user.target $units/default.target
	printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=4M\nReadKMsg=no\n' >etc/systemd/journald.conf.d/lab.conf
	for unit in systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service \
		systemd-modules-load.service systemd-timesyncd.service systemd-hwdb-update.service systemd-logind.service \
		getty.target networking.service; do
		ln -sf /dev/null "$units/$unit"
	done
}

# The controller uses the machine's own files, so that the program under test, its data and the terminal are all there.
borrow_disk() {
	mount --rbind / "$root"
	mount --make-rprivate "$root"
	mkdir "$lab/run/etc"
	mount -t tmpfs -o mode=700 etc "$lab/run/etc"
	mkdir "$lab/run/etc/upper" "$lab/run/etc/work"
	chmod 755 "$lab/run/etc/upper"
	mount -t overlay etc -o "lowerdir=/etc,upperdir=$lab/run/etc/upper,workdir=$lab/run/etc/work" "$root/etc"
	rm -rf "$root/etc/wireguard" "$root/etc/ssh/ssh_config" "$root/etc/ssh/ssh_config.d"
	mkdir -m 700 "$root/etc/wireguard"
	cat "$lab/names" >"$root/etc/hosts"
	echo "$name" >"$root/etc/hostname"
	ln -s "$lab/ssh_config" "$root/etc/ssh/ssh_config"
	[ ! -d /root/.ssh ] || mount -t tmpfs -o mode=700 ssh "$root/root/.ssh"
}

host() {
	root=$lab/root/$name
	mkdir "$root"
	if [ "$CONTROLLER" = 1 ]; then borrow_disk; else make_disk; fi
	cd /
	round=0
	while :; do
		round=$((round + 1))
		unshare --net --mount --uts --ipc sh "$lab/inside.sh" start "$lab" "$name" $round || :
		last=
		read -r last 2>/dev/null <"$lab/run/$name.ready" || :
		if [ "$last" != $round ]; then
			echo "failed $name"
			exec sleep infinity
		fi
		exec >/dev/null
	done
}

# A boot gets a network namespace of its own: whatever the kernel knew before is forgotten, as by a reboot.
start() {
	[ "$round" = 1 ] || nsenter --target "$KEEPER" --net sh -c '
		while read -r _ _ port _; do ip link del "$port" 2>/dev/null || :; done <"$1"' sh "$lab/hosts/$name.ports"
	echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
	ip -batch "$lab/hosts/$name.plug"
	nsenter --target "$KEEPER" --net ip -batch "$lab/hosts/$name.ports"
	if [ "$INIT" = systemd ]; then
		group=$(cat "$lab/cgroup")/$name.$round
		mkdir -p "$group"
		echo 0 >"$group/cgroup.procs"
		exec unshare --cgroup --pid --fork --kill-child sh "$lab/inside.sh" boot "$lab" "$name" "$round"
	fi
	exec unshare --pid --fork --kill-child sh "$lab/inside.sh" boot "$lab" "$name" "$round"
}

# --- a boot -----------------------------------------------------------------------------------------

boot() {
	root=$lab/root/$name
	echo "$name" >/proc/sys/kernel/hostname
	identify >"$lab/run/$name.new"
	cd "$root"
	mount -t proc proc proc
	old=.old
	if [ "$CONTROLLER" = 1 ]; then
		mkdir -p "$lab/run/old"
		old=${lab#/}/run/old
		mount -t sysfs sysfs sys
		mount -t tmpfs -o mode=755 run run
	else
		devices
		mount -t tmpfs -o mode=755,size=48m run run # systemd wants 16 MiB of it free
	fi
	mkdir -p run/lock run/sshd run/user
	pivot_root . "$old"
	cd /
	# Nothing of the machine is left in sight, but the lab's directory is still needed to report.
	exec 4>"/$old$lab/run/$name.ready.new"
	ready="mv /$old$lab/run/$name.new /$old$lab/run/$name; mv /$old$lab/run/$name.ready.new /$old$lab/run/$name.ready"
	ip -batch "/$old$lab/hosts/$name.addresses"
	kernel_settings
	[ -z "$NAT" ] || printf 'table ip lab_nat { chain out { type nat hook postrouting priority srcnat; oifname "%s" masquerade; }; }
		table ip6 lab_nat { chain out { type nat hook postrouting priority srcnat; oifname "%s" masquerade; }; }\n' "$NAT" "$NAT" | nft -f -
	if [ "$INIT" = systemd ]; then
		report
		exec setpriv --bounding-set "$less" env -i PATH="$PATH" container=lab /lib/systemd/systemd
	fi
	less="$less,-sys_boot"
	[ "$SSH_PORT" = 0 ] || setpriv --bounding-set "$less" env -i PATH="$PATH" /usr/sbin/sshd
	if [ "$WEB" = 1 ]; then
		for family in 4 6,ipv6only=1; do
			setpriv --bounding-set "$less" socat "TCP${family%%,*}-LISTEN:80,fork,reuseaddr${family#[46]}" EXEC:/usr/local/sbin/lab-web </dev/null >/dev/null 2>&1 &
		done
	fi
	if [ "$CONTROLLER" = 0 ] && [ -x /etc/rc.local ]; then
		setpriv --bounding-set "$less" env -i PATH="$PATH" /etc/rc.local >/dev/null 2>&1 || :
	fi
	report
	# Process 1 of a host: adopts the orphans and lasts until someone ends it.
	exec setpriv --bounding-set "$less" env -i PATH="$PATH" sh -c 'while :; do sleep 1000000 & wait; done' init
}

devices() {
	mount --bind proc/sys proc/sys
	mount -o remount,bind,ro proc/sys
	mount --bind /proc/sys/net proc/sys/net
	[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
	mount -t sysfs -o ro sysfs sys
	[ "$INIT" != systemd ] || mount -t cgroup2 cgroup2 sys/fs/cgroup
	mount -t tmpfs -o mode=755 dev dev
	mkdir dev/net dev/pts dev/shm
	cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/fd /dev/stdin /dev/stdout /dev/stderr dev
	mknod -m 666 dev/net/tun c 10 200
	mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
	mount -t tmpfs -o mode=1777 shm dev/shm
	ln -s pts/ptmx dev/ptmx
	mount -t tmpfs -o mode=1777,size=16m tmp tmp
}

kernel_settings() {
	echo "$FORWARD" >/proc/sys/net/ipv4/ip_forward
	echo "$FORWARD" >/proc/sys/net/ipv6/conf/all/forwarding
	[ "$CONTROLLER" = 1 ] || [ "$INIT" = systemd ] ||
		grep -h '^ *net\.' /etc/sysctl.d/*.conf /etc/sysctl.conf 2>/dev/null | sysctl -qep - >/dev/null 2>&1 || :
}

report() {
	{
		echo "$round"
		cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub 2>/dev/null || :
	} >&4
	eval "$ready"
	[ "$round" != 1 ] || echo "ready $name"
	exec </dev/null >/dev/null 2>&1 4>&-
	umount -l "/$old"
}

less=-sys_time,-sys_module
case $role in
warden | keeper) ;;
*) . "$lab/hosts/$name.env" ;;
esac
case $role in
start | boot) round=$4 ;;
esac
$role
