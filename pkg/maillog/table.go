package maillog

import (
	"math/bits"
	"slices"
)

// A key is 128 bits of hash of what identifies a session, a queue ID or a
// host. Postfix and the kernel choose those, not the client, and two of them
// meet by chance once in 2^64 tables.
type key struct{ a, b uint64 } // no array: those are not passed in registers

// mix is the key with b added: a multiply-and-fold of eight bytes at a time with
// two seeds (the fractions of the square roots of 2 and 3). It must not change:
// keys are part of the saved state.
func (k key) mix(b []byte) key {
	k = k.mixUint(uint64(len(b)))
	i := 0
	for ; i+8 <= len(b); i += 8 {
		k = k.mixUint(load(b, i))
	}
	var v uint64 // of what is left
	if i > 0 {
		v = load(b, len(b)-8) >> (8 * (i + 8 - len(b)))
	} else {
		for i, c := range b {
			v |= uint64(c) << (8 * i)
		}
	}
	return k.mixUint(v)
}

func (k key) mixUint(v uint64) key {
	hi, lo := bits.Mul64(k.a^v^0x6a09e667f3bcc908, 0x9e3779b97f4a7c15)
	a := hi ^ lo
	hi, lo = bits.Mul64(k.b+v^0xbb67ae8584caa73b, 0xd6e8feb86659fd93)
	return key{a, hi ^ lo ^ bits.RotateLeft64(v, 29)}
}

// A table is a map with a bound that drops what was put there first. It
// grows by doubling and does not allocate once it has its size. Pointers into
// it are good until the next put.
type table[V any] struct {
	max     int
	index   []int32    // open addressing; a power of two, at most half full; 0: free
	entries []entry[V] // the first is no entry but the head of the list by age
	free    int32      // 0: none
	len     int
	evicted uint64
}

type entry[V any] struct {
	key        key
	prev, next int32 // older, newer; next links the free list
	value      V
}

func newTable[V any](limit int) *table[V] {
	return &table[V]{max: limit, index: make([]int32, 16), entries: make([]entry[V], 1)}
}

// find returns the slot of k in the index and its entry, 0 when it is not
// there.
func (t *table[V]) find(k key) (slot int, e int32) {
	index := t.index
	slot = int(k.a)
	for {
		slot &= len(index) - 1
		e = index[slot]
		if e == 0 || t.entries[e].key == k {
			return slot, e
		}
		slot++
	}
}

// get returns the value of k, nil when it is not there.
func (t *table[V]) get(k key) *V {
	_, e := t.find(k)
	if e == 0 {
		return nil
	}
	return &t.entries[e].value
}

// put returns the value of k, a zero one when it was not there.
func (t *table[V]) put(k key) *V {
	slot, e := t.find(k)
	if e == 0 {
		v := t.add(k, slot)
		*v = *new(V)
		return v
	}
	return &t.entries[e].value
}

// add puts k, which is not there, and belongs into that slot of the index. The
// value is any old one, which the caller must overwrite.
func (t *table[V]) add(k key, slot int) *V {
	if t.len == t.max {
		t.evict()
		slot, _ = t.find(k)
	}
	if 2*(t.len+1) > len(t.index) {
		t.grow()
		slot, _ = t.find(k)
	}
	e := t.free
	if e != 0 {
		t.free = t.entries[e].next
	} else {
		e = int32(len(t.entries))
		t.entries = append(t.entries, entry[V]{})
	}
	x := &t.entries[e]
	x.key = k
	t.index[slot] = e
	t.link(x, e)
	t.len++
	return &x.value
}

// evict forgets what was put first.
func (t *table[V]) evict() {
	t.evicted++
	t.remove(t.entries[t.entries[0].next].key)
}

// remove forgets k. Its value stays readable until the next put.
func (t *table[V]) remove(k key) {
	if slot, e := t.find(k); e != 0 {
		t.removeAt(slot, e)
	}
}

// removeAt forgets what find has found.
func (t *table[V]) removeAt(slot int, e int32) {
	x := &t.entries[e]
	t.unlink(x)
	x.next, t.free = t.free, e
	t.len--
	// Close the gap: move back what probing would no longer reach.
	index := t.index
	mask := len(index) - 1
	for next := (slot + 1) & mask; index[next] != 0; next = (next + 1) & mask {
		home := int(t.entries[index[next]].key.a) & mask
		if (next-home)&mask >= (next-slot)&mask {
			index[slot] = index[next]
			slot = next
		}
	}
	index[slot] = 0
}

// grow doubles the index, and makes room for as many entries as it can take.
func (t *table[V]) grow() {
	t.index = make([]int32, 2*len(t.index))
	t.entries = slices.Grow(t.entries, 1+min(len(t.index)/2, t.max)-len(t.entries))
	mask := len(t.index) - 1
	for e := t.entries[0].next; e != 0; e = t.entries[e].next { // nearly as they lie in memory
		slot := int(t.entries[e].key.a) & mask
		for t.index[slot] != 0 {
			slot = (slot + 1) & mask
		}
		t.index[slot] = e
	}
}

// renew makes entry e the newest.
func (t *table[V]) renew(e int32) {
	x := &t.entries[e]
	t.unlink(x)
	t.link(x, e)
}

// link makes x, which is entry e, the newest.
func (t *table[V]) link(x *entry[V], e int32) {
	head := &t.entries[0]
	x.prev, x.next = head.prev, 0
	t.entries[head.prev].next = e
	head.prev = e
}

func (t *table[V]) unlink(x *entry[V]) {
	t.entries[x.prev].next = x.next
	t.entries[x.next].prev = x.prev
}

// each calls f for all entries, the oldest first.
func (t *table[V]) each(f func(k key, v *V)) {
	for e := t.entries[0].next; e != 0; e = t.entries[e].next {
		f(t.entries[e].key, &t.entries[e].value)
	}
}
