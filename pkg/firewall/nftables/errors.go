//go:build linux

package nftables

import (
	"errors"
	"fmt"

	"github.com/postmoat/postmoat/pkg/firewall"
	"golang.org/x/sys/unix"
)

const (
	name    = "nftables"
	opSetup = "set up"
)

// explain makes an error that an operator can act on of what the kernel said.
func explain(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*firewall.Error](err); ok {
		return err
	}
	e := &firewall.Error{Backend: name, Op: op, Err: err}
	switch {
	case errors.Is(err, errLost):
		e.Kind, e.Hint = firewall.ErrUncertain, "Read back what is there and repair it; if it happens again, the machine is overloaded."
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		e.Kind, e.Hint = firewall.ErrNotPermitted, "Needs CAP_NET_ADMIN: run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN."
	case errors.Is(err, unix.ENOENT) && op != opSetup:
		e.Kind, e.Hint = firewall.ErrGone, "Somebody removed the table: set it up again."
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		e.Kind, e.Hint = firewall.ErrMissingModule, "The kernel has no nf_tables, or too old a one (Linux 5.7 and newer will do, reject needs 5.9): try modprobe nf_tables, or another backend."
	case errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM):
		e.Kind, e.Hint = firewall.ErrSetFull, "The kernel has no memory for more entries (about 150 bytes each): lower collapse.budget."
	case errors.Is(err, unix.EMSGSIZE):
		e.Kind, e.Hint = firewall.ErrSetFull, "The allowlist does not fit one transaction: shorten it, or raise net.core.wmem_max."
	default:
		return fmt.Errorf("%s: %s: %w", name, op, err)
	}
	return e
}
