#!/bin/bash
# The part of test-packages.sh that runs inside the system that it boots: installs
# the package, sees it at work, and takes it away again.
set -euo pipefail

export DEBIAN_FRONTEND=noninteractive
log=/var/log/mail.log
steps=0

say() { steps=$((steps + 1)) && echo "inside: $*"; }
fail() {
	echo "inside: FAILED: $*"
	systemctl status --no-pager -l postmoat 2>&1 || true
	journalctl --no-pager -u postmoat -n 40 2>&1 || true
	exit 1
}
# until_ok SECONDS COMMAND...: tries until it succeeds.
until_ok() {
	local end=$((SECONDS + $1)) && shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.2
	done
}
# attack ADDRESS N: N recipients that are refused relaying, now.
attack() {
	local i
	for i in $(seq "$2"); do
		echo "$(date +%Y-%m-%dT%H:%M:%S.%6N%:z) mx1 postfix/smtpd[$((4000 + i))]: NOQUEUE: reject: RCPT from unknown[$1]: 554 5.7.1 <r$i@example.com>: Relay access denied; from=<s@example.org> to=<r$i@example.com> proto=ESMTP helo=<x.example>"
	done >>"$log"
}
banned() { postmoat list --format json | grep -qF "$1"; }
in_kernel() { postmoat list --firewall | grep -qF "$1"; }
again() { [ "$(systemctl show -p NRestarts --value postmoat)" -ge 1 ] && systemctl is-active -q postmoat; }
not() { ! "$@"; }
restart() { systemctl daemon-reload && systemctl restart postmoat; }

ip link set lo up
rm -f "$log"
echo "$(date +%Y-%m-%dT%H:%M:%S.%6N%:z) mx1 postfix/postfix-script[7]: starting the Postfix mail system" >"$log"
chown root:adm "$log" && chmod 640 "$log"

# A Postfix that was never set up here is no Postfix.
if command -v postconf >/dev/null && ! postconf mail_version >/dev/null 2>&1; then
	mkdir -p /etc/postfix
	echo 'compatibility_level = 3.6' >/etc/postfix/main.cf
fi

say "dpkg -i"
dpkg -i /mnt/postmoat.deb || fail "dpkg -i"
id postmoat || fail "no user"
[ "$(stat -c '%U %a' /var/lib/postmoat)" = "postmoat 750" ] || fail "state folder"
systemctl is-enabled postmoat || fail "not enabled"
man -w 5 postmoat.yaml >/dev/null || fail "no man page of the configuration"
man -w 8 postmoat-check >/dev/null || fail "no man page of check"
postmoat check || fail "check"

if ! postmoat --help | grep -q '^  run ' || ! postmoat --help | grep -q '^  status '; then
	say "this program has no run or no status yet: the service is not looked at"
else
	say "the service"
	systemctl is-active postmoat || fail "not active"
	pid=$(systemctl show -p MainPID --value postmoat)
	[ "$(ps -o user= -p "$pid")" = postmoat ] || fail "runs as $(ps -o user= -p "$pid")"
	grep -q '^CapEff:.*0000000000001000$' "/proc/$pid/status" || fail "capabilities: $(grep Cap "/proc/$pid/status")"
	grep -q '^Seccomp:.*2$' "/proc/$pid/status" || fail "no system-call filter"
	[ -n "$(systemctl show -p StatusText --value postmoat)" ] || fail "no status text"
	systemctl show -p StatusText --value postmoat
	until_ok 10 postmoat status || { postmoat status || fail "status"; }
	postmoat status

	say "an attack"
	attack 198.51.100.7 12
	until_ok 20 banned 198.51.100.7 || fail "198.51.100.7 is not banned"
	until_ok 5 in_kernel 198.51.100.7 || fail "198.51.100.7 is not in the kernel"
	postmoat explain 198.51.100.7

	say "kill -9"
	kill -9 "$pid"
	until_ok 60 again || fail "not started again"
	until_ok 20 banned 198.51.100.7 || fail "the ban is gone"

	say "reload"
	systemctl reload postmoat || fail "reload"
	cp /etc/postmoat/postmoat.yaml /tmp/good.yaml
	echo 'ban: {tmie: 1h}' >>/etc/postmoat/postmoat.yaml
	if systemctl reload postmoat; then fail "a broken configuration was taken"; fi
	systemctl is-active -q postmoat || fail "a broken configuration ended it"
	cp /tmp/good.yaml /etc/postmoat/postmoat.yaml
	banned 198.51.100.7 || fail "a broken configuration lifted bans"

	say "unban"
	postmoat unban 198.51.100.7
	until_ok 5 not banned 198.51.100.7 || fail "still banned"
	until_ok 5 not in_kernel 198.51.100.7 || fail "still in the kernel"

	say "who may ask"
	if runuser -u nobody -- postmoat status >/dev/null 2>&1; then fail "nobody may ask"; fi
	runuser -u nobody -g nogroup -G postmoat -- postmoat status >/dev/null || fail "a member of the group may not ask"

	say "drop-ins"
	mkdir -p /etc/systemd/system/postmoat.service.d
	cp /usr/share/doc/postmoat/contrib/systemd/read-log.conf /etc/systemd/system/postmoat.service.d/
	chown root:root "$log" && chmod 600 "$log"
	restart || fail "restart with read-log.conf"
	attack 203.0.113.9 12
	until_ok 20 banned 203.0.113.9 || fail "root's log is not read"
	rm /etc/systemd/system/postmoat.service.d/read-log.conf
	chown root:adm "$log" && chmod 640 "$log"
	postmoat unban --all
	cp /usr/share/doc/postmoat/contrib/systemd/dry-run.conf /etc/systemd/system/postmoat.service.d/
	restart || fail "restart with dry-run.conf"
	attack 192.0.2.77 12
	until_ok 20 banned 192.0.2.77 || fail "a dry run bans nobody"
	if in_kernel 192.0.2.77; then fail "a dry run touched the firewall"; fi
	rm /etc/systemd/system/postmoat.service.d/dry-run.conf
	if command -v ipset >/dev/null && command -v iptables >/dev/null; then
		cp /usr/share/doc/postmoat/contrib/systemd/iptables.conf /etc/systemd/system/postmoat.service.d/
		echo 'firewall: {backend: iptables}' >>/etc/postmoat/postmoat.yaml
		restart || fail "restart with iptables.conf"
		attack 203.0.113.44 12
		until_ok 20 banned 203.0.113.44 || fail "not banned with iptables"
		until_ok 5 bash -c 'ipset save | grep -qF 203.0.113.44' || fail "not in ipset"
		postmoat unban --all
		systemctl stop postmoat && postmoat flush
		rm /etc/systemd/system/postmoat.service.d/iptables.conf
		cp /tmp/good.yaml /etc/postmoat/postmoat.yaml
	fi
	echo 'metrics: {listen: "127.0.0.1:9155"}' >>/etc/postmoat/postmoat.yaml
	restart || fail "restart"
	attack 198.51.100.8 12
	until_ok 20 in_kernel 198.51.100.8 || fail "not banned at the end"

	say "metrics"
	exec 3<>/dev/tcp/127.0.0.1/9155
	printf 'GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
	sed '1,/^\r$/d' <&3 >/tmp/metrics
	exec 3>&-
	grep -q '^postmoat_bans{bits="32",door="smtp",family="ipv4"} 1$' /tmp/metrics || fail "no ban in the metrics: $(grep -c . /tmp/metrics) lines"
	if command -v promtool >/dev/null; then promtool check metrics </tmp/metrics || fail "promtool"; fi
fi

say "dpkg -i, the same again"
echo '# mine' >>/etc/postmoat/postmoat.yaml
dpkg -i /mnt/postmoat.deb || fail "dpkg -i over it"
grep -qx '# mine' /etc/postmoat/postmoat.yaml || fail "the configuration was overwritten"

say "dpkg -r"
dpkg -r postmoat || fail "dpkg -r"
[ ! -e /usr/bin/postmoat ] || fail "the program stayed"
[ -e /etc/postmoat/postmoat.yaml ] || fail "the configuration did not stay"
[ -d /var/lib/postmoat ] || fail "the state did not stay"
if systemctl is-active -q postmoat; then fail "still running"; fi
if nft list table inet postmoat >/dev/null 2>&1; then fail "the firewall still holds bans"; fi

say "dpkg -P"
dpkg -P postmoat || fail "dpkg -P"
for d in /var/lib/postmoat /etc/postmoat /run/postmoat; do
	[ ! -e "$d" ] || fail "left: $(find "$d")"
done

echo "inside: all $steps steps are well"
touch /mnt/good
