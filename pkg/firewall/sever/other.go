//go:build !linux

package sever

import (
	"context"
	"errors"
	"net/netip"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// A Severer cannot be had here.
type Severer struct{}

// New says that sockets cannot be destroyed here (errors.ErrUnsupported).
func New(firewall.Options) (*Severer, error) { return nil, unsupported() }

// SetAllow does nothing.
func (*Severer) SetAllow([]netip.Prefix) {}

// Sever says the same.
func (*Severer) Sever(context.Context, []ban.Entry) (Result, error) { return Result{}, unsupported() }

func unsupported() error {
	return &firewall.Error{Backend: "sever", Op: "start", Kind: firewall.ErrUnsupported, Err: errors.ErrUnsupported,
		Hint: "Destroying sockets is a part of Linux; pf kills the states of banned clients by itself."}
}
