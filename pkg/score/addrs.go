package score

import (
	"net/netip"
	"slices"
)

// addrs is a sorted set of addresses, in chunks so that an insertion moves
// few of them. The zero value is empty.
type addrs struct {
	chunks [][]netip.Addr // none empty
}

const chunkAddrs = 256

// chunk is the index of the chunk where a is or belongs.
func (s *addrs) chunk(a netip.Addr) int {
	i, found := slices.BinarySearchFunc(s.chunks, a, func(c []netip.Addr, a netip.Addr) int { return c[0].Compare(a) })
	if !found && i > 0 {
		i--
	}
	return i
}

func (s *addrs) insert(a netip.Addr) {
	if len(s.chunks) == 0 {
		s.chunks = [][]netip.Addr{{a}}
		return
	}
	i := s.chunk(a)
	c := s.chunks[i]
	j, found := slices.BinarySearchFunc(c, a, netip.Addr.Compare)
	if found {
		return
	}
	if len(c) == chunkAddrs { // its upper half moves; both have room then
		cut := chunkAddrs / 2
		if j == len(c) && i == len(s.chunks)-1 { // they come in order: it stays full
			cut = len(c)
		}
		upper := append(make([]netip.Addr, 0, chunkAddrs), c[cut:]...)
		c = c[:cut]
		s.chunks[i] = c
		s.chunks = slices.Insert(s.chunks, i+1, upper)
		if j > cut || cut == chunkAddrs {
			i, j, c = i+1, j-cut, upper
		}
	}
	s.chunks[i] = slices.Insert(c, j, a)
}

func (s *addrs) remove(a netip.Addr) {
	if len(s.chunks) == 0 {
		return
	}
	i := s.chunk(a)
	j, found := slices.BinarySearchFunc(s.chunks[i], a, netip.Addr.Compare)
	if !found {
		return
	}
	s.chunks[i] = slices.Delete(s.chunks[i], j, j+1)
	if len(s.chunks[i]) == 0 {
		s.chunks = slices.Delete(s.chunks, i, i+1)
	}
}

// within calls f for the members of p, in order, until f says false.
func (s *addrs) within(p netip.Prefix, f func(netip.Addr) bool) {
	if len(s.chunks) == 0 || !p.IsValid() {
		return
	}
	p = p.Masked()
	first := p.Addr()
	i := s.chunk(first)
	j, _ := slices.BinarySearchFunc(s.chunks[i], first, netip.Addr.Compare)
	for ; i < len(s.chunks); i, j = i+1, 0 {
		for _, a := range s.chunks[i][j:] {
			if !p.Contains(a) || !f(a) {
				return
			}
		}
	}
}
