package prefix

import (
	"net/netip"
	"slices"
)

// Merge returns the fewest prefixes that hold exactly the addresses of ps:
// sorted, disjoint, IPv4 first. Invalid prefixes are left out; ps is not
// changed. Nothing gives nil.
func Merge(ps []netip.Prefix) []netip.Prefix {
	sorted := make([]netip.Prefix, 0, len(ps))
	for _, p := range ps {
		if p = Canonical(p); p.IsValid() {
			sorted = append(sorted, p)
		}
	}
	slices.SortFunc(sorted, netip.Prefix.Compare)
	out := sorted[:0] // never overtakes what is still to be read
	for _, p := range sorted {
		if n := len(out); n > 0 && Covers(out[n-1], p) {
			continue
		}
		out = append(out, p)
		for n := len(out); n > 1 && siblings(out[n-2], out[n-1]); n = len(out) {
			out = append(out[:n-2], parent(out[n-2]))
		}
	}
	if len(out) == 0 {
		return nil
	}
	return slices.Clip(out)
}

// siblings says whether a and b are the two halves of one prefix, a the lower.
func siblings(a, b netip.Prefix) bool {
	return a != b && a.Bits() == b.Bits() && a.Bits() > 0 && a.Addr().BitLen() == b.Addr().BitLen() && parent(a) == parent(b)
}

func parent(p netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked()
}

// Subtract returns the fewest prefixes that hold exactly the addresses of p
// that no hole has: sorted and disjoint. Nothing left gives nil.
func Subtract(p netip.Prefix, holes []netip.Prefix) []netip.Prefix {
	p = Canonical(p)
	if !p.IsValid() {
		return nil
	}
	var inside []netip.Prefix
	for _, h := range holes {
		if h = Canonical(h); h.IsValid() && h.Overlaps(p) {
			inside = append(inside, h)
		}
	}
	return subtract(nil, p, Merge(inside))
}

// subtract appends p without the holes, which are sorted, disjoint and all
// overlap p. A hole that is shorter than p holds all of it and is then the only
// one.
func subtract(out []netip.Prefix, p netip.Prefix, holes []netip.Prefix) []netip.Prefix {
	if len(holes) == 0 {
		return append(out, p)
	}
	if holes[0].Bits() <= p.Bits() {
		return out
	}
	low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	cut, _ := slices.BinarySearchFunc(holes, low, func(h, low netip.Prefix) int {
		if low.Contains(h.Addr()) {
			return -1
		}
		return 1
	})
	out = subtract(out, low, holes[:cut])
	return subtract(out, upper(p), holes[cut:])
}

// upper returns the higher half of p, which has more than one address.
func upper(p netip.Prefix) netip.Prefix {
	half, _ := Last(p).Prefix(p.Bits() + 1)
	return half
}
