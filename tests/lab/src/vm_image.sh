#!/bin/sh
# Makes the disk, kernel and initial ramdisk of a virtual machine with systemd and the kernel's own WireGuard, in
# directory $1. Takes a minute or two and 500 MB of downloads and disk; needs root, a Debian mirror and debootstrap.
# What differs from machine to machine (its name, addresses, keys) comes in on the kernel's command line.
set -eu
out=$1
suite=bookworm
mirror=${LAB_MIRROR:-http://deb.debian.org/debian}
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

rm -rf "$out.new"
mkdir -p "$out.new"
work=$(mktemp -d "$out.work.XXXXXX")
trap 'rm -rf "$work" "$out.new"' EXIT
root=$work/root

debootstrap --variant=minbase \
	--include=systemd,systemd-sysv,dbus,udev,openssh-server,wireguard-tools,nftables,iptables,iproute2,iputils-ping,sudo,kmod,procps,systemd-resolved \
	$suite "$root" "$mirror" >&2

# The kernel is unpacked, not installed: the machine needs its image and a few modules, no boot loader.
mkdir "$work/kernel"
rm -f "$root/etc/resolv.conf"
cat /etc/resolv.conf >"$root/etc/resolv.conf"
package=$(chroot "$root" sh -c "apt-get update -qq >&2 && apt-cache depends linux-image-cloud-amd64" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
(cd "$root/tmp" && chroot "$root" sh -c "cd /tmp && apt-get download -qq $package" >&2)
dpkg -x "$root"/tmp/linux-image-*.deb "$work/kernel"
rm -rf "$root"/tmp/* "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/*
version=$(ls "$work/kernel/lib/modules")
mkdir -p "$root/lib/modules"
cp -a "$work/kernel/lib/modules/$version" "$root/lib/modules/"
depmod -b "$root" "$version"
cp "$work/kernel/boot/vmlinuz-$version" "$out.new/vmlinuz"

# A server like any other: ssh, and addresses that someone set up before wg-friend came.
rm -f "$root"/etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N '' -C vm -f "$root/etc/ssh/ssh_host_ed25519_key"
cp "$root/etc/ssh/ssh_host_ed25519_key.pub" "$out.new/host_key.pub"
printf 'PasswordAuthentication no\nUseDNS no\nMaxStartups 200\nPrintMotd no\n' >"$root/etc/ssh/sshd_config.d/lab.conf"
chroot "$root" useradd -m -s /bin/bash deploy
echo 'deploy ALL=(ALL:ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/deploy"
chroot "$root" systemctl enable -q ssh systemd-networkd
chroot "$root" systemctl disable -q apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer 2>/dev/null || :
for unit in systemd-timesyncd systemd-networkd-wait-online e2scrub_reap; do ln -sf /dev/null "$root/etc/systemd/system/$unit.service"; done
rm -f "$root/etc/resolv.conf"
: >"$root/etc/machine-id"

# The first program: mounts the disk, writes what the command line says, and hands over to systemd.
ramdisk=$work/ramdisk
mkdir -p "$ramdisk/bin" "$ramdisk/modules" "$ramdisk/proc" "$ramdisk/sys" "$ramdisk/dev" "$ramdisk/new"
cp /bin/busybox "$ramdisk/bin/busybox"
ln -s busybox "$ramdisk/bin/sh"
number=10
for module in virtio_pci virtio_blk virtio_net ext4; do
	modprobe -S "$version" -d "$root" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r path; do
	cp "$path" "$ramdisk/modules/$number-$(basename "$path")"
	number=$((number + 1))
done
cat >"$ramdisk/init" <<'END'
#!/bin/sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod "$module"; done
tries=0
until [ -b /dev/vda ] || [ $tries = 300 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
mount -t ext4 /dev/vda /new
for word in $(cat /proc/cmdline); do
	case $word in
	lab.name=*) echo "${word#*=}" >/new/etc/hostname ;;
	lab.key=*)
		for home in /new/root /new/home/deploy; do
			mkdir -p -m 700 "$home/.ssh"
			echo "ssh-ed25519 ${word#*=} lab" >"$home/.ssh/authorized_keys"
			chown -R "$(stat -c %u:%g "$home")" "$home/.ssh"
		done
		;;
	lab.network=*) # address/length[,address/length..];gateway[,gateway..]
		words=${word#*=}
		{
			printf '[Match]\nName=en* eth*\n[Network]\nIPv6AcceptRA=no\n'
			echo "${words%%;*}" | tr , '\n' | sed 's/^/Address=/'
			echo "${words#*;}" | tr , '\n' | sed 's/^/Gateway=/'
		} >/new/etc/systemd/network/10-lab.network
		chmod 644 /new/etc/systemd/network/10-lab.network
		;;
	esac
done
umount /proc /sys
mount --move /dev /new/dev
exec switch_root /new /sbin/init
END
chmod 755 "$ramdisk/init"
(cd "$ramdisk" && find . | cpio --quiet -o -H newc | gzip -1) >"$out.new/initrd.gz"

mke2fs -q -t ext4 -d "$root" "$out.new/disk.img" 1200M
rm -rf "$out"
mv "$out.new" "$out"
