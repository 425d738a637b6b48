package maillog

import "bytes"

// An origin is what wrote lines: the host and the tag, with their keys.
type origin struct {
	turn      uint64 // of the source, at the last line of this origin
	host, tag []byte // copies, reused
	hostKey   key    // of the source and the host
	tagKey    key    // of these and the tag
	good      bool
}

// origin is that of ev, the last line of o, good until the next call.
func (o *sourceState) origin(ev *Event) *origin {
	x := &o.names[int(ev.texts[Tag].n)%len(o.names)]
	if x.turn != o.turn {
		x.set(o, ev)
	}
	return x
}

// set makes x the origin of ev.
func (x *origin) set(o *sourceState, ev *Event) {
	x.turn = o.turn
	host, tag := ev.Text(Host), ev.Text(Tag)
	if x.good && bytes.Equal(x.host, host) && bytes.Equal(x.tag, tag) {
		return
	}
	x.good = true
	x.host, x.tag = append(x.host[:0], host...), append(x.tag[:0], tag...)
	x.hostKey = key{uint64(o.id), 1}.mix(host)
	x.tagKey = x.hostKey.mix(tag)
}
