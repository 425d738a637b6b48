package sever

import (
	"context"
	"errors"
	"fmt"

	"github.com/postmoat/postmoat/pkg/firewall"
	"golang.org/x/sys/unix"
)

const name = "sever"

// explain makes an error that an operator can act on of what the kernel said.
func explain(op string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := &firewall.Error{Backend: name, Op: op, Err: err}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		e.Kind = firewall.ErrNotPermitted
		e.Hint = "Needs CAP_NET_ADMIN: run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN."
	case errors.Is(err, unix.EOPNOTSUPP):
		e.Kind = firewall.ErrMissingModule
		e.Hint = "The kernel was built without CONFIG_INET_DIAG_DESTROY: bans hold, but a session that is open when its ban comes keeps its smtpd until smtpd_timeout."
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EINVAL):
		e.Kind = firewall.ErrMissingModule
		e.Hint = "The kernel has no sock_diag for TCP: try modprobe tcp_diag."
	default:
		return fmt.Errorf("%s: %s: %w", name, op, err)
	}
	return e
}
