package score

import (
	"net/netip"
	"slices"
)

// Known says whether a client is known good.
func (g *Good) Known(c netip.Addr) bool {
	r := g.clients.get(plain(c))
	return r != nil && r.known
}

// Messages is the decayed evidence of a client in tenths of a message.
func (g *Good) Messages(c netip.Addr) int {
	if r := g.clients.get(plain(c)); r != nil {
		return int((uint64(r.level())*10 + one/2) / one)
	}
	return 0
}

// Since is when a client became known good, Unix seconds; 0 when it is not.
func (g *Good) Since(c netip.Addr) int64 {
	if r := g.clients.get(plain(c)); r != nil {
		return int64(r.since)
	}
	return 0
}

// Factor is by what the limits of a client are multiplied, in 1/256:
// min(4, 1 + messages/3) for a known good one, else 1.
func (g *Good) Factor(c netip.Addr) int {
	r := g.clients.get(plain(c))
	if r == nil || !r.known {
		return 256
	}
	return int(min(256+uint64(r.level())*256/(3*one), 1024))
}

// KnownIn are the known good addresses in p, sorted.
func (g *Good) KnownIn(p netip.Prefix) []netip.Addr {
	var out []netip.Addr
	g.known.within(p, func(a netip.Addr) bool {
		out = append(out, a)
		return true
	})
	return out
}

// KnownLen is the number of known good addresses.
func (g *Good) KnownLen() int { return g.known.len() }

// AnyIn says whether there is a known good address in p.
func (g *Good) AnyIn(p netip.Prefix) bool {
	any := false
	g.known.within(p, func(netip.Addr) bool {
		any = true
		return false
	})
	return any
}

// Fresh are the addresses that have become known good since the last call and
// still are, sorted.
func (g *Good) Fresh() []netip.Addr {
	if len(g.fresh) == 0 {
		return nil
	}
	return g.takeFresh()
}

func (g *Good) takeFresh() []netip.Addr {
	out := g.fresh
	g.fresh = nil
	slices.SortFunc(out, netip.Addr.Compare)
	out = slices.Compact(out)
	return slices.DeleteFunc(out, func(a netip.Addr) bool { return !g.Known(a) })
}
