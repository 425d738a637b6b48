//go:build linux

// Package iptables holds bans in sets of ipset(8), which a handful of rules in
// a chain of its own look up: table raw, called from PREROUTING, before
// connection tracking, so that established sessions and published ports are cut
// too. Both variants of iptables will do, the one upon nf_tables and the legacy
// one.
//
// There are five sets a family: the allowlist, and for each door the hosts (cut
// at all ports) and the networks (cut at the ports of the door). They are of
// type hash:net: the entries have timeouts in whole seconds and counters, and
// may overlap.
//
// What cannot be done: the action reject (iptables refuses it in table raw);
// being told of what others do (Watch), so that Check has to be asked now and
// then; counters of single entries without reading whole sets; timeouts of more
// than 24 days (see Apply).
package iptables

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"github.com/postmoat/postmoat/pkg/firewall"
)

// Programs are the programs that are run, each a name to be looked for or a
// path. An empty one is "iptables", "ip6tables", "ipset": whichever variant of
// iptables the host has chosen.
type Programs struct {
	IPTables, IP6Tables, IPSet string
}

func (p Programs) withDefaults() Programs {
	for _, f := range []struct {
		name *string
		is   string
	}{{&p.IPTables, "iptables"}, {&p.IP6Tables, "ip6tables"}, {&p.IPSet, "ipset"}} {
		if *f.name == "" {
			*f.name = f.is
		}
	}
	return p
}

// A Backend is one chain of each family and its sets. It can be used by several
// goroutines.
type Backend struct {
	o        firewall.Options
	programs Programs

	mu     sync.Mutex
	up     bool
	rules  [len(families)]*rules         // as we made them; nil: that family has none
	made   [len(families)]bool           // table raw (iptables-nft) was not there before
	noIPv6 error                         // why IPv6 has none
	allow  [len(families)][]netip.Prefix // what the allow sets hold
	sets   map[set]*state                // of the ban sets; nil: not set up
	strays []stray                       // what Active found and is no ban
}

// A stray is something that others put into a ban set.
type stray struct {
	set    set
	prefix netip.Prefix
}

// A state is what we know of a set without asking.
type state struct {
	max   int    // its maxelem
	most  int    // it holds at most so many, if we are alone
	tally *tally // what exactly; nil: not known
}

var _ firewall.Backend = (*Backend)(nil)

// New returns a backend; nothing is run or touched yet.
func New(o firewall.Options, p Programs) (*Backend, error) {
	o, err := o.WithDefaults()
	if err != nil {
		return nil, err
	}
	if o.Action != firewall.Drop {
		return nil, &firewall.Error{Backend: name, Op: "start", Kind: firewall.ErrUnsupported,
			Err:  errors.New("action " + o.Action.String() + ": iptables refuses REJECT before connection tracking"),
			Hint: "Use action: drop, or backend: nftables."}
	}
	return &Backend{o: o, programs: p.withDefaults()}, nil
}

// Name is "iptables".
func (b *Backend) Name() string { return name }

// IPv6 says why clients with IPv6 addresses are not cut off, after a Setup on
// a host that has no ip6tables or no IPv6 table raw. Their bans are held all
// the same. nil: they are cut off.
func (b *Backend) IPv6() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.noIPv6
}

// Watch cannot be: the kernel tells nobody who changes a set. Ask Check.
func (b *Backend) Watch(ctx context.Context, f func(firewall.Event)) error {
	return errors.ErrUnsupported
}

// Close does nothing: there is nothing open.
func (b *Backend) Close() error { return nil }
