//go:build linux

package iptables

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// SetAllow fills new sets and swaps them in: at any time a packet meets the old
// list of its family or the new one.
func (b *Backend) SetAllow(ctx context.Context, allow []netip.Prefix) error {
	if err := errors.Join(ctx.Err(), firewall.CheckAllow(name, allow)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up {
		return notUp("set allowlist")
	}
	return explain("set allowlist", b.setAllow(allow))
}

func (b *Backend) setAllow(allow []netip.Prefix) error {
	list := allowSets(allow)
	var fill, put script
	for _, f := range families {
		s := set{family: f}
		aside := s.aside(b.o.Owner)
		fill.create(s, aside, len(list[f]), max(minMax, ceil2(len(list[f])+1)))
		for _, p := range list[f] {
			fill.add(aside, p, 0)
		}
		put.swap(s, b.o.Owner)
	}
	if err := b.feed(&fill); err != nil {
		return errors.Join(err, b.discard())
	}
	if err := b.feed(&put); err != nil {
		return err
	}
	b.allow = list
	return nil
}

// allowSets is the fewest prefixes of each family that hold the list. A set of
// type hash:net has no length 0: everything is two halves.
func allowSets(allow []netip.Prefix) (list [len(families)][]netip.Prefix) {
	for _, p := range prefix.Merge(slices.Clone(allow)) {
		f := familyOf(p)
		if p.Bits() > 0 {
			list[f] = append(list[f], p)
			continue
		}
		upper := p.Addr().AsSlice()
		upper[0] = 0x80
		a, _ := netip.AddrFromSlice(upper)
		list[f] = append(list[f], netip.PrefixFrom(p.Addr(), 1), netip.PrefixFrom(a, 1))
	}
	return list
}
