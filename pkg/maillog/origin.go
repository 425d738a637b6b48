package maillog

// An origin is what wrote lines: the host and the tag with their keys, for
// lines in which the one stands right in front of the other.
type origin struct {
	src  uint32
	good bool
	by   *Parser // of the last line of this origin
	head uint32
	tags int    // length of the tag
	text []byte // from the host to the end of the tag, reused
	n    int    // text[:n] is the host
	host key    // of the source and the host
	tag  key    // of these and the tag
}

// origin is that of ev at source src, good until the next call.
func (o *sourceState) origin(src uint32, ev *Event) *origin {
	// The tags that a Parser reads by itself differ in length.
	x := &o.names[len(ev.Tag)&7]
	if ev.by != nil && x.by == ev.by && x.head == ev.head && x.tags == len(ev.Tag) && x.src == src {
		return x
	}
	n := behind(ev.Host, ev.Tag)
	if n < len(ev.Host) {
		// No names, or not of one line.
		x := &o.names[0]
		x.set(src, ev)
		x.by = nil
		x.good = false
		return x
	}
	both := ev.Host[:n+len(ev.Tag)]
	if !x.good || x.n != len(ev.Host) || x.src != src || !sameText(x.text, both) {
		x.set(src, ev)
		x.good, x.text, x.n = true, append(x.text[:0], both...), len(ev.Host)
	}
	x.by, x.head, x.tags = ev.by, ev.head, len(ev.Tag)
	return x
}

func (x *origin) set(src uint32, ev *Event) {
	x.src, x.host = src, key{uint64(src), 1}
	x.host.mix(ev.Host)
	x.tag = x.host
	x.tag.mix(ev.Tag)
}

// behind is how far b lies behind the start of a in one array, or -1. Slices
// of one line end their capacity at the same byte.
func behind(a, b []byte) int {
	n := cap(a) - cap(b)
	if n < 0 || n >= cap(a) || len(b) == 0 || &a[:n+1][n] != &b[0] {
		return -1
	}
	return n
}

// sameText is bytes.Equal for short texts.
func sameText(a, b []byte) bool {
	n := len(a)
	if n != len(b) {
		return false
	}
	if n < 8 {
		for i, c := range a {
			if b[i] != c {
				return false
			}
		}
		return true
	}
	for i := 0; i < n-8; i += 8 {
		if load(a, i) != load(b, i) {
			return false
		}
	}
	return load(a, n-8) == load(b, n-8)
}
