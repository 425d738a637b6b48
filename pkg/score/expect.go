package score

import (
	"net/netip"
	"unsafe"

	"github.com/postmoat/postmoat/pkg/fetch"
)

// Expect says that an offence of this client may be added soon: what will be
// asked of it is fetched, see package fetch. It changes nothing. Clients of
// IPv6 are few.
func (t *Table) Expect(c netip.Addr) {
	s := &t.v4
	if s.segs == nil || !c.Is4() {
		return
	}
	k := addrKey4(c)
	net := mix(k.net(s.netBits))
	if g := &s.segs[net>>(64-segBits)]; len(g.groups) > 0 {
		fetch.Line(unsafe.Pointer(&g.groups[g.home(uint32(k.hash()))]))
	}
	for _, w := range t.wide {
		cells, shift := t.sketches[w].cells, t.sketches[w].shift
		if len(cells) == 0 || s.widths[w] == 0 {
			continue
		}
		hash := net
		if s.widths[w] != s.netBits {
			hash = mix(k.net(s.widths[w]))
		}
		fetch.Line(unsafe.Pointer(&cells[hash>>(shift&63)]))
	}
}

// Expect is that of a Table, for Offended.
func (g *Good) Expect(c netip.Addr) {
	if s := &g.bad[0].v4; len(s.slots) > 0 && c.Is4() {
		fetch.Line(unsafe.Pointer(&s.slots[s.home(addrKey4(c))]))
	}
}
