package maillog

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A key is 128 bits of hash of what identifies a session, a queue ID or a
// host. Postfix and the kernel choose those, not the client, and two of them
// meet by chance once in 2^64 tables.
type key [2]uint64

// mix adds b to the key: a multiply-and-fold of eight bytes at a time with two
// seeds (the fractions of the square roots of 2 and 3). It must not change:
// keys are part of the saved state.
func (k *key) mix(b []byte) {
	k.mixUint(uint64(len(b)))
	for len(b) >= 8 {
		k.mixUint(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	var v uint64
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	k.mixUint(v)
}

func (k *key) mixUint(v uint64) {
	hi, lo := bits.Mul64(k[0]^v^0x6a09e667f3bcc908, 0x9e3779b97f4a7c15)
	k[0] = hi ^ lo
	hi, lo = bits.Mul64(k[1]+v^0xbb67ae8584caa73b, 0xd6e8feb86659fd93)
	k[1] = hi ^ lo ^ bits.RotateLeft64(v, 29)
}

// A table is a map with a bound that drops what was not used for longest. It
// grows by doubling and does not allocate once it has its size. Pointers into
// it are good until the next put.
type table[V any] struct {
	max     int
	index   []int32 // open addressing, entry + 1; a power of two, at most half full
	entries []entry[V]
	oldest  int32 // list by use; none is -1
	newest  int32
	free    int32
	slot    int // of the entry that was put last, unless it has moved
	len     int
	evicted uint64
}

type entry[V any] struct {
	key        key
	prev, next int32 // older, newer; next links the free list
	value      V
}

func newTable[V any](limit int) *table[V] {
	return &table[V]{max: limit, index: make([]int32, 16), oldest: -1, newest: -1, free: -1}
}

// find returns the slot of k in the index and its entry, -1 when it is not
// there.
func (t *table[V]) find(k key) (slot int, e int32) {
	mask := len(t.index) - 1
	slot = int(k[0]) & mask
	for t.index[slot] != 0 {
		e = t.index[slot] - 1
		if t.entries[e].key == k {
			return slot, e
		}
		slot = (slot + 1) & mask
	}
	return slot, -1
}

// get returns the value of k and marks it as used; nil when it is not there.
func (t *table[V]) get(k key) *V {
	_, e := t.find(k)
	if e < 0 {
		return nil
	}
	t.use(e)
	return &t.entries[e].value
}

func (t *table[V]) use(e int32) {
	if e != t.newest {
		t.unlink(e)
		t.link(e)
	}
}

// put returns the value of k, a zero one when it was not there.
func (t *table[V]) put(k key) *V {
	if e := t.newest; e >= 0 && t.entries[e].key == k {
		return &t.entries[e].value
	}
	slot, e := t.find(k)
	if e >= 0 {
		t.use(e)
		t.slot = slot
		return &t.entries[e].value
	}
	if t.len == t.max {
		t.evicted++
		t.remove(t.entries[t.oldest].key)
		slot, _ = t.find(k)
	}
	if 2*(t.len+1) > len(t.index) {
		t.grow()
		slot, _ = t.find(k)
	}
	e = t.free
	if e >= 0 {
		t.free = t.entries[e].next
		t.entries[e] = entry[V]{key: k}
	} else {
		e = int32(len(t.entries))
		t.entries = append(t.entries, entry[V]{key: k})
	}
	t.index[slot], t.slot = e+1, slot
	t.link(e)
	t.len++
	return &t.entries[e].value
}

// remove forgets k. Its value stays readable until the next put.
func (t *table[V]) remove(k key) {
	slot, e := t.slot, t.newest
	if e < 0 || t.entries[e].key != k || t.index[slot] != e+1 { // mostly it was put just now
		slot, e = t.find(k)
	}
	if e < 0 {
		return
	}
	t.unlink(e)
	t.entries[e].next, t.free = t.free, e
	t.len--
	// Close the gap: move back what probing would no longer reach.
	mask := len(t.index) - 1
	for next := (slot + 1) & mask; t.index[next] != 0; next = (next + 1) & mask {
		home := int(t.entries[t.index[next]-1].key[0]) & mask
		if (next-home)&mask >= (next-slot)&mask {
			t.index[slot] = t.index[next]
			slot = next
		}
	}
	t.index[slot] = 0
}

// grow doubles the index, and makes room for as many entries as it can take.
func (t *table[V]) grow() {
	t.index = make([]int32, 2*len(t.index))
	t.entries = slices.Grow(t.entries, min(len(t.index)/2, t.max)-len(t.entries))
	mask := len(t.index) - 1
	for e := t.oldest; e >= 0; e = t.entries[e].next { // nearly as they lie in memory
		slot := int(t.entries[e].key[0]) & mask
		for t.index[slot] != 0 {
			slot = (slot + 1) & mask
		}
		t.index[slot] = e + 1
	}
}

func (t *table[V]) link(e int32) {
	t.entries[e].prev, t.entries[e].next = t.newest, -1
	if t.newest >= 0 {
		t.entries[t.newest].next = e
	} else {
		t.oldest = e
	}
	t.newest = e
}

func (t *table[V]) unlink(e int32) {
	prev, next := t.entries[e].prev, t.entries[e].next
	if prev >= 0 {
		t.entries[prev].next = next
	} else {
		t.oldest = next
	}
	if next >= 0 {
		t.entries[next].prev = prev
	} else {
		t.newest = prev
	}
}

// each calls f for all entries, the longest unused first.
func (t *table[V]) each(f func(k key, v *V)) {
	for e := t.oldest; e >= 0; e = t.entries[e].next {
		f(t.entries[e].key, &t.entries[e].value)
	}
}
