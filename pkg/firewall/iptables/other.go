//go:build !linux

// Package iptables holds bans in sets of ipset(8) that rules of iptables(8)
// look up, on Linux.
package iptables

import (
	"errors"

	"github.com/postmoat/postmoat/pkg/firewall"
)

// Programs are the programs that are run.
type Programs struct{ IPTables, IP6Tables, IPSet string }

// New says that there is no iptables here.
func New(firewall.Options, Programs) (firewall.Backend, error) {
	return nil, &firewall.Error{Backend: "iptables", Op: "start", Kind: firewall.ErrMissingModule,
		Err: errors.ErrUnsupported, Hint: "iptables is a part of Linux: use another backend."}
}
