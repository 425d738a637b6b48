package score

import (
	"net/netip"
	"slices"
)

// addrs is a sorted set of addresses as they are kept, see plain: those of IPv4 go
// first, as [netip.Addr.Compare] has it. The zero value is empty.
type addrs struct {
	v4 chunks[key4]
	v6 chunks[key16]
}

func (s *addrs) insert(a netip.Addr) {
	if a.Is4() {
		s.v4.insert(addrKey4(a))
	} else {
		s.v6.insert(addrKey16(a))
	}
}

func (s *addrs) remove(a netip.Addr) {
	if a.Is4() {
		s.v4.remove(addrKey4(a))
	} else {
		s.v6.remove(addrKey16(a))
	}
}

// len is the number of members.
func (s *addrs) len() int { return s.v4.len() + s.v6.len() }

// all yields the members, in order.
func (s *addrs) all(yield func(netip.Addr) bool) {
	if s.v4.from(0, func(k key4) bool { return yield(k.addr()) }) {
		s.v6.from(key16{}, func(k key16) bool { return yield(k.addr()) })
	}
}

// within calls f for the members of p, in order, until f says false.
func (s *addrs) within(p netip.Prefix, f func(netip.Addr) bool) {
	p = p.Masked() // not valid: there is nothing in it
	if first := p.Addr(); first.Is4() {
		s.v4.from(addrKey4(first), func(k key4) bool { a := k.addr(); return p.Contains(a) && f(a) })
	} else {
		s.v6.from(addrKey16(first), func(k key16) bool { a := k.addr(); return p.Contains(a) && f(a) })
	}
}

// chunks are sorted keys in runs of at most chunkKeys, so that an insertion moves few of
// them. No run is empty.
type chunks[K key] [][]K

const chunkKeys = 256

// search is the index of the first key that is not before k, and whether it is k.
func search[K key](keys []K, k K) (i int, found bool) {
	return slices.BinarySearchFunc(keys, k, compareKeys[K])
}

// chunk is the index of the chunk where k is or belongs.
func (s chunks[K]) chunk(k K) int {
	i, found := slices.BinarySearchFunc(s, k, func(c []K, k K) int { return compareKeys(c[0], k) })
	if !found && i > 0 {
		i--
	}
	return i
}

func (s *chunks[K]) insert(k K) {
	if len(*s) == 0 {
		*s = chunks[K]{{k}}
		return
	}
	i := s.chunk(k)
	c := (*s)[i]
	j, found := search(c, k)
	if found {
		return
	}
	if len(c) == chunkKeys { // its upper half moves; both have room then
		cut := chunkKeys / 2
		if j == len(c) && i == len(*s)-1 { // they come in order: it stays full
			cut = len(c)
		}
		upper := append(make([]K, 0, chunkKeys), c[cut:]...)
		c = c[:cut]
		(*s)[i] = c
		*s = slices.Insert(*s, i+1, upper)
		if j >= cut {
			i, j, c = i+1, j-cut, upper
		}
	}
	(*s)[i] = slices.Insert(c, j, k)
}

func (s *chunks[K]) remove(k K) {
	if len(*s) == 0 {
		return
	}
	i := s.chunk(k)
	j, found := search((*s)[i], k)
	if !found {
		return
	}
	(*s)[i] = slices.Delete((*s)[i], j, j+1)
	if len((*s)[i]) == 0 {
		*s = slices.Delete(*s, i, i+1)
	}
}

func (s chunks[K]) len() (n int) {
	for _, c := range s {
		n += len(c)
	}
	return n
}

// from calls f for the keys from k on, in order, until f says false, and says whether
// it never did.
func (s chunks[K]) from(k K, f func(K) bool) bool {
	if len(s) == 0 {
		return true
	}
	i := s.chunk(k)
	j, _ := search(s[i], k)
	for ; i < len(s); i, j = i+1, 0 {
		for _, x := range s[i][j:] {
			if !f(x) {
				return false
			}
		}
	}
	return true
}
