// Package prefix holds sets and tables of IP prefixes and the arithmetic on
// them: parsing, subtraction, lossless merging.
//
// Everywhere in this package an IPv4-mapped IPv6 address (RFC 4291 2.5.5.2) is
// the IPv4 address it stands for, zones are dropped, and host bits of a prefix
// are cleared. Invalid input is never in a set and never panics.
package prefix

import (
	"math"
	"net/netip"
)

// Host returns the prefix that holds only a: a /32 or a /128. An invalid
// address gives the zero Prefix.
func Host(a netip.Addr) netip.Prefix {
	a = Addr(a)
	return netip.PrefixFrom(a, a.BitLen())
}

// Unit returns what is scored of a client: the IPv4 address as a /32, or the
// /64 of an IPv6 address, which is the least that a site is given (RFC 6177,
// RIPE-690). An invalid address gives the zero Prefix.
func Unit(a netip.Addr) netip.Prefix {
	a = Addr(a)
	if a.Is6() {
		p, err := a.Prefix(64)
		if err != nil {
			return netip.Prefix{}
		}
		return p
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// Addr returns the address as this package knows it: unmapped, without a zone.
func Addr(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	return a.Unmap().WithZone("")
}

// Canonical returns the prefix as this package knows it: masked, without a
// zone, and as an IPv4 prefix where it lies in ::ffff:0:0/96. An invalid prefix
// gives the zero Prefix.
func Canonical(p netip.Prefix) netip.Prefix {
	if !p.IsValid() {
		return netip.Prefix{}
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// Last returns the highest address of p, the zero Addr for an invalid p.
func Last(p netip.Prefix) netip.Addr {
	p = Canonical(p)
	switch {
	case !p.IsValid():
		return netip.Addr{}
	case p.Addr().Is4():
		b := p.Addr().As4()
		setBits(b[:], p.Bits())
		return netip.AddrFrom4(b)
	default:
		b := p.Addr().As16()
		setBits(b[:], p.Bits())
		return netip.AddrFrom16(b)
	}
}

// setBits sets all bits of b from the given one on.
func setBits(b []byte, from int) {
	for i := range b {
		switch n := from - i*8; {
		case n <= 0:
			b[i] = 0xff
		case n < 8:
			b[i] |= 0xff >> n
		}
	}
}

// Size returns how many units of Unit p holds: IPv4 addresses, or /64 of IPv6,
// of which a longer prefix counts as one. ::/0 gives the largest uint64. An
// invalid p has none.
func Size(p netip.Prefix) uint64 {
	p = Canonical(p)
	switch {
	case !p.IsValid():
		return 0
	case p.Addr().Is4():
		return 1 << (32 - p.Bits())
	case p.Bits() >= 64:
		return 1
	case p.Bits() == 0:
		return math.MaxUint64
	default:
		return 1 << (64 - p.Bits())
	}
}

// Covers says whether outer holds every address of inner. Other than
// netip.Prefix.Overlaps it has a direction.
func Covers(outer, inner netip.Prefix) bool {
	outer, inner = Canonical(outer), Canonical(inner)
	return outer.IsValid() && inner.IsValid() && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}
