package loggen

// An item is a line to be written, or something to be done, at a time.
type item struct {
	at, seq int64
	text    string
	kind    string // what the line says about the client, "" when nothing
	client  client
	attack  bool
	do      func()
}

func (a *item) before(b *item) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// A queue is a heap of items, the earliest first, those of one time in the
// order in which they came.
type queue []item

func (q *queue) push(it item) {
	*q = append(*q, it)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (q *queue) pop() item {
	h := *q
	it := h[0]
	n := len(h) - 1
	h[0], h[n] = h[n], item{}
	*q = h[:n]
	h = h[:n]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if least == i {
			return it
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
