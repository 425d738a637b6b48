package report

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"github.com/postmoat/postmoat/pkg/fetch"
)

// A client is what the report counts of one address.
type client struct {
	hi, lo    uint64 // the address in its 16-byte form; IPv4 is mapped
	Offences  uint32
	Prevented uint32
	Good      uint32
	Collat    uint32 // good events inside a ban it is no member of
	rule      uint16 // 1 more than the index of the last rule it broke
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
	chunks []*[chunk]client // never moved: growing takes no memory twice
	n      int              // clients in them
	slots  []slot
}

const chunk = 512

// at is the counts of an index.
func (t *clientTable) at(i uint32) *client { return &t.chunks[i/chunk][i%chunk] }

// all are the counts of all clients, in the order in which they came.
func (t *clientTable) all(yield func(*client) bool) {
	for i := range t.n {
		if !yield(t.at(uint32(i))) {
			return
		}
	}
}

// A slot leads to a client.
type slot struct {
	hash uint32 // that of the address
	n    uint32 // 1 more than the index of the client; 0: free
}

// index returns the index of the counts of an address, made when it is new.
func (t *clientTable) index(a netip.Addr) uint32 {
	b := a.As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	if 4*t.n >= 3*len(t.slots) {
		t.grow()
	}
	h := (hi ^ lo*0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93
	hash := uint32(h>>32) ^ uint32(h)
	mask := uint32(len(t.slots) - 1)
	i := hash & mask
	for ; t.slots[i].n != 0; i = (i + 1) & mask {
		if s := t.slots[i]; s.hash == hash {
			if c := t.at(s.n - 1); c.hi == hi && c.lo == lo {
				return s.n - 1
			}
		}
	}
	if t.n == chunk*len(t.chunks) {
		t.chunks = append(t.chunks, new([chunk]client))
	}
	n := uint32(t.n)
	t.n++
	c := t.at(n)
	c.hi, c.lo = hi, lo
	t.slots[i] = slot{hash, n + 1}
	return n
}

// fetch has the counts of an index fetched.
func (t *clientTable) fetch(i uint32) { fetch.Line(unsafe.Pointer(t.at(i))) }

func (t *clientTable) grow() {
	old := t.slots
	t.slots = make([]slot, max(1024, 2*len(old)))
	mask := uint32(len(t.slots) - 1)
	for _, s := range old {
		if s.n == 0 {
			continue
		}
		i := s.hash & mask
		for t.slots[i].n != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = s
	}
}
