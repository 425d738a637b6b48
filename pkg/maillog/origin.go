package maillog

import "bytes"

// An origin is what wrote lines: the host and the tag, with their keys.
type origin struct {
	by        *Parser // of the last line of this origin, see Event
	head      uint32
	host, tag []byte // copies, reused
	hostKey   key    // of the source and the host
	tagKey    key    // of these and the tag
	good      bool
}

// origin is that of ev at source src, which is o, good until the next call.
func (o *sourceState) origin(src uint32, ev *Event) *origin {
	// The tags that a Parser reads by itself differ in length.
	x := &o.names[len(ev.Tag)&7]
	if ev.by == nil || x.by != ev.by || x.head != ev.head || len(x.tag) != len(ev.Tag) {
		x.set(src, ev)
	}
	return x
}

// set makes x the origin of ev.
func (x *origin) set(src uint32, ev *Event) {
	x.by, x.head = ev.by, ev.head
	if x.good && bytes.Equal(x.host, ev.Host) && bytes.Equal(x.tag, ev.Tag) {
		return
	}
	x.good = true
	x.host, x.tag = append(x.host[:0], ev.Host...), append(x.tag[:0], ev.Tag...)
	x.hostKey = key{uint64(src), 1}
	x.hostKey.mix(ev.Host)
	x.tagKey = x.hostKey
	x.tagKey.mix(ev.Tag)
}
