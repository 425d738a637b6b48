package score

import "math/bits"

// A rec is one or more equal events of a client. In a slot, n == 0 means that
// the client has more than one: class then holds how many, value where they
// are in the slab, and t the time of the newest.
type rec struct {
	t, value uint32
	class, n uint16
}

// compare is the canonical order of a client's events.
func (r rec) compare(o rec) int {
	switch {
	case r.t != o.t:
		return less(r.t < o.t)
	case r.value != o.value:
		return less(r.value < o.value)
	case r.class != o.class:
		return less(r.class < o.class)
	}
	return 0
}

func less(b bool) int {
	if b {
		return -1
	}
	return 1
}

// A slab holds the events of the clients that have more than one, in chunks
// of 2 to maxRecs events. Its pages are never moved, so that it grows without
// a peak, and given back only when all chunks of a size are free: a free chunk is used again.
type slab struct {
	sizes [maxSizes]slabSize
}

const (
	maxSizes = 32
	maxRecs  = 1 << 15 // events a client can hold
	pageRecs = 4096    // events in a page, unless one chunk is larger
)

type slabSize struct {
	pages [][]rec
	used  uint32 // chunks handed out so far
	free  uint32 // 1 more than the first of the list of free chunks; 0: none
	live  uint32
}

// capacity of size class i: 2, 3, 4, 6, 8, 12, ...
func sizeCap(i int) int { return (2 + i&1) << (i / 2) }

// sizeFor is the smallest class that holds n.
func sizeFor(n int) int {
	i := 0
	for sizeCap(i) < n {
		i++
	}
	return i
}

// perPage is the binary logarithm of the chunks in a page.
func perPage(size int) int {
	return max(bits.Len(uint(pageRecs/sizeCap(size)))-1, 0)
}

// chunk is the memory of a reference.
func (s *slab) chunk(ref uint32) []rec {
	size := int(ref >> 27)
	i := ref & (1<<27 - 1)
	p := perPage(size)
	c := uint32(sizeCap(size))
	off := (i & (1<<p - 1)) * c
	return s.sizes[size].pages[i>>p][off : off+c : off+c]
}

func (s *slab) alloc(n int) uint32 {
	size := sizeFor(n)
	z := &s.sizes[size]
	z.live++
	if z.free != 0 {
		ref := uint32(size)<<27 | (z.free - 1)
		z.free = s.chunk(ref)[0].t
		return ref
	}
	i := z.used
	z.used++
	if p := perPage(size); int(i>>p) == len(z.pages) {
		z.pages = append(z.pages, make([]rec, sizeCap(size)<<p))
	}
	return uint32(size)<<27 | i
}

func (s *slab) release(ref uint32) {
	z := &s.sizes[ref>>27]
	s.chunk(ref)[0].t = z.free
	z.free = ref&(1<<27-1) + 1
	z.live--
	if z.live == 0 {
		*z = slabSize{pages: z.pages[:1:1]} // the others are free to go
	}
}
