package sever

import (
	"errors"

	"github.com/postmoat/postmoat/pkg/firewall"
	"golang.org/x/sys/unix"
)

const name = "sever"

// explain makes an error that an operator can act on of what the kernel said.
func explain(op string, err error) error { return firewall.Explain(name, op, err, meaning) }

func meaning(err error) (hint string, kind error) {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return "Needs CAP_NET_ADMIN: run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN.", firewall.ErrNotPermitted
	case errors.Is(err, unix.EOPNOTSUPP):
		return "The kernel was built without CONFIG_INET_DIAG_DESTROY: bans hold, but a session that is open when its ban comes keeps its smtpd until smtpd_timeout.", firewall.ErrMissingModule
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EINVAL):
		return "The kernel has no sock_diag for TCP: try modprobe tcp_diag.", firewall.ErrMissingModule
	}
	return "", nil
}
