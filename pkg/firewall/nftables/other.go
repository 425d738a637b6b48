//go:build !linux

// Package nftables holds bans in a table of its own, on Linux.
package nftables

import (
	"errors"

	"github.com/postmoat/postmoat/pkg/firewall"
)

// A Backend cannot be had here.
type Backend struct{ firewall.Backend }

// New says that there is no nftables here.
func New(firewall.Options) (*Backend, error) {
	return nil, &firewall.Error{Backend: "nftables", Op: "start", Kind: firewall.ErrMissingModule,
		Err: errors.ErrUnsupported, Hint: "nftables is a part of Linux: use another backend."}
}
