package score

// A group holds a few clients, from its start on without gaps: of IPv4
// clients as many as fit into a cache line.
type group[K key] struct {
	keys [groupLen]K
	recs [groupLen]rec
}

const groupLen = 4

// used is 1 for a slot with a client, else 0.
func (r *rec) used() int {
	if r.n|r.class != 0 {
		return 1
	}
	return 0
}

// len is the number of clients.
func (b *group[K]) len() int {
	n := 0
	for i := range b.recs {
		n += b.recs[i].used()
	}
	return n
}

// find returns the slot of a client, as a bit, 0 when it is not there, and the
// number of clients. It has no branch that could be foretold wrong: while one
// group is on its way from memory, the processor goes on to the next offence.
func (b *group[K]) find(k K) (hit, n int) {
	u0, u1, u2, u3 := b.recs[0].used(), b.recs[1].used(), b.recs[2].used(), b.recs[3].used()
	hit = same(b.keys[0], k)&u0 | same(b.keys[1], k)&u1<<1 | same(b.keys[2], k)&u2<<2 | same(b.keys[3], k)&u3<<3
	return hit, u0 + u1 + u2 + u3
}

// same is 1 for equal keys, else 0.
func same[K key](a, b K) int {
	if a == b {
		return 1
	}
	return 0
}
