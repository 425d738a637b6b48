#!/bin/bash
# Makes the packages for this machine, looks into them, and installs the Debian one
# in a system of its own: a copy-on-write view of this one, in which systemd is
# booted, without a network. Nothing of this machine is changed.
#
# Needs root, Debian or its kin, and namespaces, overlayfs and cgroup2. What it can
# not do it says; with CI=true that is an error.
set -euo pipefail

cd "$(dirname "$0")/.."
top=$PWD

missing() {
	echo "test-packages: $*: left out" >&2
	[ "${CI:-}" != true ] || exit 1
	exit 0
}

for tool in dpkg-deb go make; do
	command -v "$tool" >/dev/null || missing "no $tool"
done
arch=$(dpkg --print-architecture)
case $arch in amd64 | arm64) ;; *) missing "no package for $arch" ;; esac

echo "test-packages: make packages"
rm -f dist/*.deb dist/*.rpm
ARCHS=$arch make -s packages
deb=$(ls dist/*.deb)
rpm=$(ls dist/*.rpm)

echo "test-packages: contents"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
dpkg-deb -c "$deb" | awk '$1 !~ /^d/ { sub("^\\./", "/", $6); print $6 }' | grep -v /copyright | sort >"$work/deb"
if command -v rpm >/dev/null; then
	rpm -qlp --dump "$rpm" | awk '$5 !~ /^04/ { print $1 }' | sort >"$work/rpm"
	diff "$work/deb" "$work/rpm" || { echo "test-packages: the packages differ" >&2; exit 1; }
	[ "$(rpm -qcp "$rpm")" = /etc/postmoat/postmoat.yaml ]
else
	echo "test-packages: no rpm, so nobody looked into $rpm" >&2
	[ "${CI:-}" != true ] || exit 1
fi
for f in /usr/bin/postmoat /usr/lib/systemd/system/postmoat.service /usr/share/man/man8/postmoat.8.gz \
	/usr/share/man/man5/postmoat.yaml.5.gz /etc/postmoat/postmoat.yaml; do
	grep -qx "$f" "$work/deb" || { echo "test-packages: no $f" >&2; exit 1; }
done
mkdir "$work/x"
dpkg-deb -x "$deb" "$work/x"
"$work/x/usr/bin/postmoat" version
"$work/x/usr/bin/postmoat" check --config "$work/x/etc/postmoat/postmoat.yaml" --rules builtin
if ldd "$work/x/usr/bin/postmoat" >/dev/null 2>&1; then
	echo "test-packages: the program is not static" >&2
	exit 1
fi

# From here on: a system of its own.
[ "$(id -u)" -eq 0 ] || missing "not root, so nothing is installed"
systemd=$(ls /lib/systemd/systemd 2>/dev/null) || missing "no systemd"
cgroup=$(findmnt -nt cgroup2 -o TARGET | head -n 1)
[ -n "$cgroup" ] || missing "no cgroup2"
group=$cgroup/postmoat-test-$$
mkdir "$group" 2>/dev/null || missing "cgroup2 can't be written"
mkdir "$work/out" "$work/root"
cp "$deb" "$work/out/postmoat.deb"
cp "$top/contrib/test-inside.sh" "$work/out/inside"
trap 'rm -rf "$work"; find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true' EXIT

# In namespaces of its own; mounts go when it ends.
world() {
	local m=$work/root/m d
	mount -t tmpfs tmpfs "$work/root"
	mkdir "$work/root/u" "$work/root/w" "$m"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$work/root/u,workdir=$work/root/w" "$m"
	mount -t proc proc "$m/proc"
	# Nothing in there may turn a knob of this machine's kernel.
	mount -o bind,ro "$m/proc/sys" "$m/proc/sys" && mount -o remount,bind,ro "$m/proc/sys"
	mount -t sysfs -o ro sysfs "$m/sys"
	mount -t cgroup2 cgroup2 "$m/sys/fs/cgroup"
	mount -t tmpfs tmpfs "$m/run"
	mount -t tmpfs -o mode=755 tmpfs "$m/dev"
	for d in null zero full random urandom tty; do
		touch "$m/dev/$d"
		mount --bind "/dev/$d" "$m/dev/$d"
	done
	mkdir "$m/dev/pts" "$m/dev/shm"
	ln -s pts/ptmx "$m/dev/ptmx"
	ln -s /proc/self/fd "$m/dev/fd"
	mkdir -p "$m/mnt"
	mount --bind "$work/out" "$m/mnt"
	: >"$m/etc/fstab"
	rm -f "$m/usr/sbin/policy-rc.d" "$m/etc/machine-id"
	rm -rf "$m/var/lib/postmoat" "$m/etc/postmoat" "$m/var/log/journal"
	touch "$m/etc/machine-id"
	for d in systemd-sysctl systemd-modules-load systemd-udevd systemd-udev-trigger systemd-binfmt apparmor procps; do
		ln -sf /dev/null "$m/etc/systemd/system/$d.service"
	done
	cat >"$m/etc/systemd/system/test.service" <<-UNIT
		[Unit]
		Wants=dbus.socket
		After=dbus.socket
		[Service]
		Type=oneshot
		StandardOutput=append:/mnt/log
		StandardError=append:/mnt/log
		ExecStart=/bin/bash /mnt/inside
		ExecStopPost=/bin/systemctl --force --force poweroff
		TimeoutStartSec=8min
	UNIT
	printf '[Unit]\nRequires=basic.target test.service\nAfter=basic.target\n' >"$m/etc/systemd/system/test.target"
	# Not chroot: the service gets a root of its own, made of this one.
	cd "$m"
	pivot_root . tmp
	umount -l /tmp
	mount -t tmpfs tmpfs /tmp
	exec /usr/bin/env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
		"$systemd" --unit=test.target --show-status=no
}
export work systemd
export -f world

echo "test-packages: boot"
# systemd ends its namespace by powering it off, which is a signal out here.
(
	echo "$BASHPID" >"$group/cgroup.procs"
	exec timeout -s KILL 540 unshare --mount --pid --net --cgroup --uts --ipc --fork --propagation private bash -euo pipefail -c world
) >"$work/boot" 2>&1 </dev/null || true
if [ ! -e "$work/out/log" ]; then
	cat "$work/boot" >&2
	missing "systemd does not boot here"
fi
cat "$work/out/log"
[ -e "$work/out/good" ] || { echo "test-packages: failed" >&2; exit 1; }
echo "test-packages: all is well"
