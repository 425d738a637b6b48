#!/bin/sh
# Puts in place what `make` has built, or takes it away again:
#
#   contrib/install.sh install|uninstall
#
# DESTDIR    in front of every path, for packages; no service is told of anything
# PREFIX     /usr/local
# SYSCONFDIR /etc; elsewhere the daemon has to be started with --config
# BINARY     bin/postmoat
# SHARE      bin/share: what make wrote with the help of the program
# INIT       systemd, openrc, freebsd, openbsd, none; default: what this system has
#
# Nothing of the operator's is ever overwritten or removed: the configuration,
# rules.d, allow.d and the state stay.
set -eu

DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/usr/local}
SYSCONFDIR=${SYSCONFDIR:-/etc}
BINARY=${BINARY:-bin/postmoat}
INIT=${INIT:-}

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
share=${SHARE:-bin/share}
case $BINARY in /*) ;; *) BINARY=$top/$BINARY ;; esac
case $share in /*) ;; *) share=$top/$share ;; esac

bindir=$PREFIX/bin
mandir=$PREFIX/share/man
docdir=$PREFIX/share/doc/postmoat
unitdir=$PREFIX/lib/systemd/system
bash_dir=$PREFIX/share/bash-completion/completions
zsh_dir=$PREFIX/share/zsh/site-functions
fish_dir=$PREFIX/share/fish/vendor_completions.d
confdir=$SYSCONFDIR/postmoat

# What starts services here. A package gets the units of systemd, which do no
# harm elsewhere.
find_init() {
	if [ -n "$INIT" ]; then
		echo "$INIT"
	elif [ -n "$DESTDIR" ] || [ -d /run/systemd/system ] || [ -d /usr/lib/systemd/system ] || [ -d /lib/systemd/system ]; then
		echo systemd
	else
		case $(uname -s) in
		FreeBSD) echo freebsd ;;
		OpenBSD) echo openbsd ;;
		*) if [ -x /sbin/openrc-run ]; then echo openrc; else echo none; fi ;;
		esac
	fi
}

# put MODE FROM TO: copies a file, with the paths of this installation in it.
put() {
	mkdir -p "$DESTDIR$(dirname "$3")"
	sed -e "s|/usr/local/bin/postmoat|$bindir/postmoat|g" -e "s|/etc/postmoat|$confdir|g" "$2" >"$DESTDIR$3.new"
	chmod "$1" "$DESTDIR$3.new"
	mv -f "$DESTDIR$3.new" "$DESTDIR$3"
}

# put_binary FROM TO: not through sed. The new file takes the old one's place, so
# that a daemon that is running goes on with the old one.
put_binary() {
	mkdir -p "$DESTDIR$(dirname "$2")"
	cp "$1" "$DESTDIR$2.new"
	chmod 755 "$DESTDIR$2.new"
	mv -f "$DESTDIR$2.new" "$DESTDIR$2"
}

each_file() { # each_file ACTION: every file but the binary and what is the operator's
	for page in "$share"/man8/*.8; do
		"$1" 644 "$page" "$mandir/man8/$(basename "$page")"
	done
	for page in "$here"/man/*.5; do
		"$1" 644 "$page" "$mandir/man5/$(basename "$page")"
	done
	"$1" 644 "$share/postmoat.bash" "$bash_dir/postmoat"
	"$1" 644 "$share/_postmoat" "$zsh_dir/_postmoat"
	"$1" 644 "$share/postmoat.fish" "$fish_dir/postmoat.fish"
	for f in README.md CHANGELOG.md LICENSE; do
		"$1" 644 "$top/$f" "$docdir/$f"
	done
	for f in "$top"/rules/*.yaml; do
		"$1" 644 "$f" "$docdir/rules/$(basename "$f")"
	done
	"$1" 644 "$here/README.md" "$docdir/contrib/README.md"
	"$1" 644 "$here/prometheus/alerts.yaml" "$docdir/contrib/prometheus/alerts.yaml"
	"$1" 644 "$here/grafana/postmoat.json" "$docdir/contrib/grafana/postmoat.json"
	"$1" 644 "$here/apparmor/postmoat" "$docdir/contrib/apparmor/postmoat"
	"$1" 644 "$here/logrotate/maillog" "$docdir/contrib/logrotate/maillog"
	case $(find_init) in
	systemd)
		"$1" 644 "$here/systemd/postmoat.service" "$unitdir/postmoat.service"
		"$1" 644 "$here/systemd/postmoat.sysusers" "$PREFIX/lib/sysusers.d/postmoat.conf"
		"$1" 644 "$here/systemd/postmoat.tmpfiles" "$PREFIX/lib/tmpfiles.d/postmoat.conf"
		"$1" 644 "$here/systemd/iptables.conf" "$docdir/contrib/systemd/iptables.conf"
		"$1" 644 "$here/systemd/read-log.conf" "$docdir/contrib/systemd/read-log.conf"
		"$1" 644 "$here/systemd/dry-run.conf" "$docdir/contrib/systemd/dry-run.conf"
		;;
	openrc)
		"$1" 755 "$here/openrc/postmoat" "$SYSCONFDIR/init.d/postmoat"
		;;
	freebsd) "$1" 755 "$here/rc.d/postmoat.freebsd" "$PREFIX/etc/rc.d/postmoat" ;;
	openbsd) "$1" 755 "$here/rc.d/postmoat.openbsd" "$SYSCONFDIR/rc.d/postmoat" ;;
	none) ;;
	*)
		echo "install.sh: INIT=$INIT: not known: write systemd, openrc, freebsd, openbsd or none" >&2
		exit 2
		;;
	esac
}

drop() { rm -f "$DESTDIR$3"; }

do_install() {
	for f in "$BINARY" "$share/postmoat.yaml" "$share/man8/postmoat.8"; do
		if [ ! -e "$f" ]; then
			echo "install.sh: $f is not there: run make first" >&2
			exit 1
		fi
	done
	put_binary "$BINARY" "$bindir/postmoat"
	each_file put
	mkdir -p "$DESTDIR$confdir/allow.d" "$DESTDIR$confdir/rules.d"
	if [ ! -e "$DESTDIR$confdir/postmoat.yaml" ]; then
		put 644 "$share/postmoat.yaml" "$confdir/postmoat.yaml"
		case $(find_init) in
		freebsd | openbsd)
			printf '\n# Here run is /var/run, and there is no group postmoat.\n%s\n%s\n' 'state: /var/db/postmoat' \
				'control: {socket: /var/run/postmoat/postmoat.sock, group: wheel}' >>"$DESTDIR$confdir/postmoat.yaml"
			;;
		esac
	fi
	if [ "$(find_init)" = openrc ] && [ ! -e "$DESTDIR$SYSCONFDIR/conf.d/postmoat" ]; then
		put 644 "$here/openrc/postmoat.confd" "$SYSCONFDIR/conf.d/postmoat"
	fi
	[ -z "$DESTDIR" ] || return 0
	announce
}

# announce tells the running system, and the operator what is left to do.
announce() {
	if [ "$(find_init)" = systemd ]; then
		if [ "$(id -u)" -eq 0 ]; then
			systemd-sysusers postmoat.conf || echo "install.sh: make the user and group postmoat by hand" >&2
			systemd-tmpfiles --create postmoat.conf || true
			if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
		fi
		echo "installed; start it with: systemctl enable --now postmoat"
	else
		echo "installed; contrib/README.md says how to start it here"
	fi
}

do_uninstall() {
	if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ] && [ "$(id -u)" -eq 0 ]; then
		systemctl disable --now postmoat || true
	fi
	if [ -z "$DESTDIR" ] && [ "$(id -u)" -eq 0 ] && [ -x "$bindir/postmoat" ]; then
		"$bindir/postmoat" flush || echo "install.sh: the firewall may still hold bans, which end by themselves" >&2
	fi
	rm -f "$DESTDIR$bindir/postmoat" "$DESTDIR$mandir/man8/postmoat.8" "$DESTDIR$mandir"/man8/postmoat-*.8
	each_file drop
	for d in "$docdir/rules" "$docdir/contrib/systemd" "$docdir/contrib/prometheus" "$docdir/contrib/grafana" \
		"$docdir/contrib/apparmor" "$docdir/contrib/logrotate" "$docdir/contrib" "$docdir"; do
		rmdir "$DESTDIR$d" 2>/dev/null || true
	done
	if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ] && [ "$(id -u)" -eq 0 ]; then systemctl daemon-reload; fi
	echo "what is yours stays: $confdir and /var/lib/postmoat"
}

case ${1:-} in
install) do_install ;;
uninstall) do_uninstall ;;
*)
	echo "usage: install.sh install|uninstall" >&2
	exit 2
	;;
esac
