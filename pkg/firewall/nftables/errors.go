//go:build linux

package nftables

import (
	"errors"

	"github.com/postmoat/postmoat/pkg/firewall"
	"golang.org/x/sys/unix"
)

const (
	name    = "nftables"
	opSetup = "set up"
)

// explain makes an error that an operator can act on of what the kernel said.
func explain(op string, err error) error {
	return firewall.Explain(name, op, err, func(err error) (string, error) { return meaning(op, err) })
}

func meaning(op string, err error) (hint string, kind error) {
	switch {
	case errors.Is(err, errLost):
		return "Read back what is there and repair it; if it happens again, the machine is overloaded.", firewall.ErrUncertain
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return "Needs CAP_NET_ADMIN: run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN.", firewall.ErrNotPermitted
	case errors.Is(err, unix.ENOENT) && op != opSetup:
		return "Somebody removed the table: set it up again.", firewall.ErrGone
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return "The kernel has no nf_tables, or too old a one (Linux 5.7 and newer will do, reject needs 5.9): try modprobe nf_tables, or another backend.", firewall.ErrMissingModule
	case errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM):
		return "The kernel has no memory for more entries (about 150 bytes each): lower collapse.budget.", firewall.ErrSetFull
	case errors.Is(err, unix.EMSGSIZE):
		return "The allowlist does not fit one transaction: shorten it, or raise net.core.wmem_max.", firewall.ErrSetFull
	}
	return "", nil
}
