package health

import "net/netip"

// crowdWindow is how many connections are looked at together.
const crowdWindow = 1000

// A Crowd tells whether most clients share one address: then that is most
// likely a proxy or the gateway of a container network, and the addresses of the
// real clients do not reach the log. Its memory is bounded by the window of
// 1,000 connections.
type Crowd struct {
	Window []netip.Addr // of the window that is being filled
	Vote   netip.Addr   // the one that may have the majority there (Boyer and Moore),
	Lead   int          // and its lead over all others

	Addr  netip.Addr // the address with the majority in the last full window; not valid: none had
	Count int        // of its connections there
}

// Add notes a connection. An address that is not valid is left out, and so is
// loopback: mail that a content filter (amavis, say) gives back comes from
// there, and is no client's. An IPv4 address in IPv6 clothes is IPv4.
func (c *Crowd) Add(addr netip.Addr) {
	if !addr.IsValid() {
		return
	}
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() {
		return
	}
	switch {
	case c.Lead == 0:
		c.Vote, c.Lead = addr, 1
	case c.Vote == addr:
		c.Lead++
	default:
		c.Lead--
	}
	c.Window = append(c.Window, addr)
	if len(c.Window) < crowdWindow {
		return
	}
	c.Addr, c.Count = netip.Addr{}, 0
	n := 0
	for _, a := range c.Window {
		if a == c.Vote {
			n++
		}
	}
	if 2*n > len(c.Window) {
		c.Addr, c.Count = c.Vote, n
	}
	c.Window = c.Window[:0]
	c.Vote, c.Lead = netip.Addr{}, 0
}

// Alarm gives the address that made more than half of the connections in the
// last full window, and its share, from 0 to 1. There is none before 1,000
// connections were seen.
func (c *Crowd) Alarm() (addr netip.Addr, share float64, ok bool) {
	return c.Addr, float64(c.Count) / crowdWindow, c.Addr.IsValid()
}
