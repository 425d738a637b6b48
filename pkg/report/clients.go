package report

import (
	"encoding/binary"
	"net/netip"
)

// A client is what the report counts of one address.
type client struct {
	hi, lo    uint64 // the address in its 16-byte form; IPv4 is mapped
	Events    uint32
	Offences  uint32
	Prevented uint32
	Good      uint32
	Collat    uint32 // good events inside a ban it is no member of
	rule      uint16 // 1 more than the index of the last rule it broke
	used      bool
}

func (c *client) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], c.hi)
	binary.BigEndian.PutUint64(b[8:], c.lo)
	return netip.AddrFrom16(b).Unmap()
}

// A clientTable maps addresses to their counts: open addressing, since a Go
// map of addresses costs more than parsing the line.
type clientTable struct {
	slots []client
	n     int
}

// at returns the counts of an address, made when it is new. The pointer is
// valid until the next call.
func (t *clientTable) at(a netip.Addr) *client {
	b := a.As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	if 4*t.n >= 3*len(t.slots) {
		t.grow()
	}
	c := t.find(hi, lo)
	if !c.used {
		c.hi, c.lo, c.used = hi, lo, true
		t.n++
	}
	return c
}

func (t *clientTable) find(hi, lo uint64) *client {
	h := (hi ^ lo*0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93
	h ^= h >> 32
	mask := uint64(len(t.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		c := &t.slots[i]
		if !c.used || c.hi == hi && c.lo == lo {
			return c
		}
	}
}

func (t *clientTable) grow() {
	old := t.slots
	t.slots = make([]client, max(1024, 2*len(old)))
	for i := range old {
		if old[i].used {
			*t.find(old[i].hi, old[i].lo) = old[i]
		}
	}
}

// each calls fn for every client, in no useful order.
func (t *clientTable) each(fn func(*client)) {
	for i := range t.slots {
		if t.slots[i].used {
			fn(&t.slots[i])
		}
	}
}
