//go:build linux

package nftables

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// A span is an interval of addresses of one family, both ends included.
type span struct{ first, last netip.Addr }

// spans are the addresses of prefixes, sorted, none touching another: an
// interval set refuses overlaps.
func spans(prefixes []netip.Prefix) []span {
	sorted := slices.SortedFunc(slices.Values(prefixes), netip.Prefix.Compare)
	var all []span
	for _, p := range sorted {
		first, last := p.Addr(), lastOf(p)
		if n := len(all); n > 0 && touches(all[n-1].last, first) {
			if all[n-1].last.Less(last) {
				all[n-1].last = last
			}
			continue
		}
		all = append(all, span{first, last})
	}
	return all
}

// touches says whether an address is at most one after the last of a span that
// starts no later.
func touches(last, first netip.Addr) bool {
	return last.BitLen() == first.BitLen() && (first.Compare(last) <= 0 || last.Next() == first)
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// elements of an interval set: where a span starts, and the first address
// after it. One that reaches the last address of all has no end: an end that
// wrapped around to 0 would be a start of nonsense.
func (s span) elements() []element {
	width := s.first.BitLen()
	list := []element{{key: key(netip.PrefixFrom(s.first, width))}}
	if next := s.last.Next(); next.IsValid() {
		list = append(list, element{key: key(netip.PrefixFrom(next, width)), end: true})
	}
	return list
}

// setAllow replaces the allow sets in one transaction.
func (b *Backend) setAllow(allow []netip.Prefix) error {
	all := spans(allow)
	t := &b.batch
	t.begin()
	table := b.layout.table.Name
	for _, set := range []struct {
		name string
		v6   bool
	}{{setAllow + "4", false}, {setAllow + "6", true}} {
		t.elements(unix.NFT_MSG_DELSETELEM, 0, table, set.name, 0, nil) // all of them
		var list []element
		for _, s := range all {
			if s.first.Is6() == set.v6 {
				list = append(list, s.elements()...)
			}
		}
		for part := range slices.Chunk(list, perMessage) {
			t.elements(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, table, set.name, slot{v6: set.v6}.width(), part)
		}
	}
	if err := b.send(t); err != nil {
		return err
	}
	b.allow = all
	return nil
}

// send commits a transaction.
func (b *Backend) send(t *batch) error {
	err := b.exchange(func(s *socket) error {
		if len(t.b) > s.send-64 {
			return &kernelError{errno: unix.EMSGSIZE}
		}
		return s.commit(t)
	})
	if err != nil {
		return err
	}
	return b.advance()
}
