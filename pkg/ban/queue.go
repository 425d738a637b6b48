package ban

import (
	"cmp"
	"net/netip"
	"slices"
)

// A queue is a heap of things that are due. What is not due any more is not
// taken out, but passed over when its turn comes: live tells.
type queue[T any] struct {
	items []item[T]
	live  func(item[T]) bool
}

type item[T any] struct {
	at    int64
	key   netip.Prefix
	value T
}

func (a *item[T]) less(b *item[T]) bool {
	return cmp.Or(cmp.Compare(a.at, b.at), a.key.Compare(b.key)) < 0
}

// push adds an item. count is the number of live ones, from which it sees when
// to throw out the others.
func (q *queue[T]) push(at int64, key netip.Prefix, value T, count int) {
	if len(q.items) > 2*count+64 {
		q.items = slices.DeleteFunc(q.items, func(x item[T]) bool { return !q.live(x) })
		q.order()
	}
	q.items = append(q.items, item[T]{at, key, value})
	for i := len(q.items) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.items[i].less(&q.items[up]) {
			break
		}
		q.items[i], q.items[up] = q.items[up], q.items[i]
		i = up
	}
}

// order makes the items a heap.
func (q *queue[T]) order() {
	for i := len(q.items)/2 - 1; i >= 0; i-- {
		q.down(i)
	}
}

// first returns the live item that is due first.
func (q *queue[T]) first() (x item[T], ok bool) {
	for len(q.items) > 0 {
		if q.live(q.items[0]) {
			return q.items[0], true
		}
		q.pop()
	}
	return x, false
}

// pop takes out the item that is due first, which there must be.
func (q *queue[T]) pop() {
	n := len(q.items) - 1
	q.items[0] = q.items[n]
	q.items[n] = item[T]{}
	q.items = q.items[:n]
	q.down(0)
}

func (q *queue[T]) down(i int) {
	for {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(q.items) && q.items[c].less(&q.items[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		q.items[i], q.items[least] = q.items[least], q.items[i]
		i = least
	}
}
