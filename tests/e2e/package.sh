#!/bin/sh
# Installs, uses, upgrades, removes and purges the package in a copy of this machine's root that is thrown away.
# Arguments: an empty folder, the packages of two versions. What it finds it prints as "NAME: VALUE".
set -eu
folder=$1 first=$2 second=$3

mkdir "$folder/top" "$folder/root"
mount -t tmpfs tmpfs "$folder/top"
mkdir "$folder/top/upper" "$folder/top/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/top/upper,workdir=$folder/top/work" "$folder/root"
mount -t proc proc "$folder/root/proc"
mount --bind /dev "$folder/root/dev"
mount -t tmpfs tmpfs "$folder/root/run"
cp "$first" "$folder/root/first.deb"
cp "$second" "$folder/root/second.deb"
# Ends the daemon however this ends.
trap 'kill "$(cat "$folder/root/run/ntp-xdpd.pid")" 2>/dev/null || true' EXIT
inside() { chroot "$folder/root" "$@"; }
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

inside dpkg --install /first.deb >&2
echo "version: $(inside dpkg-query --show --showformat '${Version}' ntp-xdp)"
echo "differences: [$(inside dpkg --verify ntp-xdp)]"
echo "files: $(inside dpkg --listfiles ntp-xdp | tr '\n' ' ')"
echo "enabled: $(ls "$folder/root/etc/systemd/system/multi-user.target.wants" | tr '\n' ' ')"

# By hand, as the unit does it.
conf=/etc/ntp-xdp/ntp-xdp.conf
printf 'local stratum 7\nallow\npidfile /run/ntp-xdpd.pid\ncmdport 0\nbindcmdaddress /\n' >"$folder/root$conf"
ip link set lo up
setpriv --bounding-set=-sys_time --inh-caps=-sys_time -- chroot "$folder/root" ntp-xdpd -x >&2
found=$(setpriv --bounding-set=-sys_time --inh-caps=-sys_time -- chroot "$folder/root" \
    ntp-xdpd -Q 'server 127.0.0.1 iburst' 2>&1 | grep -c 'System clock wrong by' || true)
kill "$(cat "$folder/root/run/ntp-xdpd.pid")"
echo "served: $found"

mkdir -p "$folder/root/var/lib/ntp-xdp"
echo '12.5 0.1' >"$folder/root/var/lib/ntp-xdp/drift"
inside dpkg --install /second.deb >&2
echo "upgraded: $(inside dpkg-query --show --showformat '${Version}' ntp-xdp)"
echo "configuration: $(head -1 "$folder/root$conf")"
echo "drift: $(cat "$folder/root/var/lib/ntp-xdp/drift")"

inside dpkg --remove ntp-xdp >&2
echo "removed: $(ls "$folder/root/usr/sbin/ntp-xdpd" 2>/dev/null || echo gone), $(ls "$folder/root$conf")"
inside dpkg --purge ntp-xdp >&2
echo "purged: $(ls -d "$folder/root/etc/ntp-xdp" "$folder/root/var/lib/ntp-xdp" 2>/dev/null || echo gone)"
