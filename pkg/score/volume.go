package score

import "net/netip"

// volumeBucket is the length in seconds of the buckets in which accepted
// messages are counted: bucket i holds the messages of [300i, 300i+300).
const volumeBucket = 300

// A volume is how many messages were accepted from one client, by bucket.
type volume []bucket

type bucket struct {
	at, n uint32
}

// add counts n messages at t and forgets what is older than keep seconds
// before now.
func (v *volume) add(t int64, n int, now, keep int64) {
	v.forget(now, keep)
	b := *v
	at := clampTime(t) / volumeBucket
	i := len(b)
	for i > 0 && b[i-1].at > at {
		i--
	}
	if i > 0 && b[i-1].at == at {
		b[i-1].n = uint32(min(int64(b[i-1].n)+int64(n), 1<<31))
		return
	}
	b = append(b, bucket{})
	copy(b[i+1:], b[i:])
	b[i] = bucket{at, uint32(min(n, 1<<31))}
	*v = b
}

func (v *volume) forget(now, keep int64) {
	b := *v
	i := 0
	for i < len(b) && (int64(b[i].at)+1)*volumeBucket <= now-keep {
		i++
	}
	if i == len(b) {
		*v = nil
	} else if i > 0 {
		*v = b[:copy(b, b[i:])]
	}
}

// in counts the messages of all buckets that overlap (from, to], wholly: in
// doubt there was more mail, and a share is harder to reach.
func (v volume) in(from, to int64) int {
	n := 0
	for i := len(v) - 1; i >= 0; i-- {
		start := int64(v[i].at) * volumeBucket
		if start+volumeBucket <= from+1 {
			break
		}
		if start <= to {
			n += int(v[i].n)
		}
	}
	return n
}

// Accepted is how many messages were accepted from the addresses in p during
// (from, to], Unix seconds, in buckets of five minutes that count wholly when
// they overlap it. It reaches back as far as the windows of the Tables do.
func (g *Good) Accepted(p netip.Prefix, from, to int64) int {
	if p.IsSingleIP() {
		if e := g.clients[p.Addr()]; e != nil {
			return e.volume.in(from, to)
		}
		return 0
	}
	n := 0
	g.order.within(p, func(a netip.Addr) bool {
		n += g.clients[a].volume.in(from, to)
		return true
	})
	return n
}

// keepVolume makes accepted messages of the last so many seconds remembered.
func (g *Good) keepVolume(seconds int64) { g.keep = max(g.keep, seconds) }
