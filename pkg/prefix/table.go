package prefix

import (
	"iter"
	"net/netip"

	"github.com/gaissmai/bart"
)

// A Table gives values to prefixes, which may lie inside each other. The zero
// value is empty and ready to use; a Table must not be copied. It is safe for
// concurrent readers while nobody writes. Looking up allocates nothing.
type Table[V any] struct {
	rows bart.Table[row[V]]
}

// A row remembers its own length: with it the plain look-up of the trie can
// tell the prefix. Asking the trie for the prefix, or keeping all of it in the
// row, makes a miss more than twice as slow, and most look-ups are misses.
type row[V any] struct {
	value V
	bits  uint8
}

// Insert gives p the value v, in place of the one it had. An invalid p is left
// out.
func (t *Table[V]) Insert(p netip.Prefix, v V) {
	if p = Canonical(p); p.IsValid() {
		t.rows.Insert(p, row[V]{v, uint8(p.Bits())})
	}
}

// Delete removes exactly p; prefixes inside of p stay.
func (t *Table[V]) Delete(p netip.Prefix) {
	if p = Canonical(p); p.IsValid() {
		t.rows.Delete(p)
	}
}

// Get returns the value of exactly p.
func (t *Table[V]) Get(p netip.Prefix) (V, bool) {
	if p = Canonical(p); p.IsValid() {
		r, ok := t.rows.Get(p)
		return r.value, ok
	}
	var none V
	return none, false
}

// Lookup returns the longest prefix that holds a, and its value.
func (t *Table[V]) Lookup(a netip.Addr) (netip.Prefix, V, bool) {
	a = Addr(a)
	r, ok := t.rows.Lookup(a)
	if !ok {
		return netip.Prefix{}, r.value, false
	}
	p, _ := a.Prefix(int(r.bits))
	return p, r.value, true
}

// LookupPrefix returns the longest prefix that holds all of p, and its value.
func (t *Table[V]) LookupPrefix(p netip.Prefix) (netip.Prefix, V, bool) {
	if p = Canonical(p); !p.IsValid() {
		var none V
		return netip.Prefix{}, none, false
	}
	r, ok := t.rows.LookupPrefix(p)
	if !ok {
		return netip.Prefix{}, r.value, false
	}
	holder, _ := p.Addr().Prefix(int(r.bits))
	return holder, r.value, true
}

// Overlaps says whether p and some prefix of the table have an address in
// common.
func (t *Table[V]) Overlaps(p netip.Prefix) bool {
	p = Canonical(p)
	return p.IsValid() && t.rows.OverlapsPrefix(p)
}

// Subnets yields the prefixes that lie inside p, p itself too, sorted. The
// table must not change meanwhile.
func (t *Table[V]) Subnets(p netip.Prefix) iter.Seq2[netip.Prefix, V] {
	return values(t.rows.Subnets(Canonical(p)))
}

// Supernets yields the prefixes that hold all of p, p itself too, the longest
// first. The table must not change meanwhile.
func (t *Table[V]) Supernets(p netip.Prefix) iter.Seq2[netip.Prefix, V] {
	return values(t.rows.Supernets(Canonical(p)))
}

// All yields all prefixes, sorted by address and then by length, IPv4 first.
// The table must not change meanwhile.
func (t *Table[V]) All() iter.Seq2[netip.Prefix, V] {
	return values(t.rows.AllSorted())
}

// Len returns the number of prefixes.
func (t *Table[V]) Len() int { return t.rows.Size() }

func values[V any](rows iter.Seq2[netip.Prefix, row[V]]) iter.Seq2[netip.Prefix, V] {
	return func(yield func(netip.Prefix, V) bool) {
		for p, r := range rows {
			if !yield(p, r.value) {
				return
			}
		}
	}
}
