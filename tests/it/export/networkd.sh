#!/bin/sh
# Lets systemd-networkd read the files in $1 and configure an interface by them, in namespaces of its own. Prints its log
# about the files, then what the kernel has. Not every kernel has WireGuard: the .netdev is only read, and the .network is
# tried on a virtual cable that is called test0 instead of wg0.
set -e
files=$1
mount -t tmpfs none /run
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp /etc/systemd/network
chown -R systemd-network:systemd-network /run/systemd/netif
mount -t tmpfs none /etc/systemd/network
mount -t sysfs -o ro none /sys # as in a container: nobody waits for udev
cp "$files"/wg0* /etc/systemd/network
sed -i 's/^Name=wg0$/Name=test0/' /etc/systemd/network/wg0.network
chown root:systemd-network /etc/systemd/network/*
chmod 0640 /etc/systemd/network/*
ip link set lo up
ip link add test0 type veth peer name other
ip link set other up
: >/run/log
SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console timeout 20 /usr/lib/systemd/systemd-networkd >/run/log 2>&1 &
networkd=$!
tries=0
until grep -q '^test0: Routes set' /run/log; do
	tries=$((tries + 1))
	[ "$tries" -lt 100 ] || break
	sleep 0.1
done
kill "$networkd" 2>/dev/null || true
wait "$networkd" || true
grep '/etc/systemd/network\|^wg0: \|^test0: State changed' /run/log || true
echo "== kernel"
ip -o address show dev test0
ip route show dev test0
ip -6 route show dev test0
for table in 120 51820; do
	ip route show table $table 2>/dev/null || true
	ip -6 route show table $table 2>/dev/null || true
done
ip rule show
ip -6 rule show
