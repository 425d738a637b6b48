package score

import (
	"net/netip"
	"slices"
)

// volumeBucket is the length in seconds of the buckets in which accepted
// messages are counted: bucket i holds the messages of [300i, 300i+300).
const volumeBucket = 300

// A volume is how many messages were accepted from one client, each once for
// each recipient, by bucket. The newest bucket lies in the record itself, as
// most messages are for it.
type volume struct {
	older  []bucket // by time
	newest bucket
	cut    uint32 // what is before this bucket has been forgotten
}

type bucket struct {
	at, n uint32 // n is 0 in what is no bucket
}

func (b *bucket) add(n int) { b.n = uint32(min(int64(b.n)+int64(n), 1<<31)) }

// cutAt is the first bucket of the hour that was keep seconds ago: what is a
// little older does no harm, and to look for it takes longer than to add.
func cutAt(now, keep int64) uint32 {
	return uint32(max(now-keep, 0) / 3600 * (3600 / volumeBucket))
}

// add counts n messages in bucket at and forgets what is before bucket cut.
func (v *volume) add(at uint32, n int, cut uint32) {
	if v.newest.at != at || v.cut != cut {
		v.addElsewhere(at, n, cut)
		return
	}
	v.newest.add(n)
}

func (v *volume) addElsewhere(at uint32, n int, cut uint32) {
	if v.cut != cut {
		v.forget(cut)
	}
	if at < cut {
		v.cut = 0 // the next time it goes
	}
	switch {
	case v.newest.n == 0 || at > v.newest.at:
		v.push(bucket{at: at})
	case at < v.newest.at:
		v.addLate(at, n)
		return
	}
	v.newest.add(n)
}

// addLate counts messages in an older bucket.
func (v *volume) addLate(at uint32, n int) {
	i := len(v.older)
	for i > 0 && v.older[i-1].at > at {
		i--
	}
	if i == 0 || v.older[i-1].at != at {
		v.older = slices.Insert(v.older, i, bucket{at: at})
		i++
	}
	v.older[i-1].add(n)
}

// forget drops the buckets before cut.
func (v *volume) forget(cut uint32) {
	v.cut = cut
	i := 0
	for i < len(v.older) && v.older[i].at < cut {
		i++
	}
	switch {
	case i == len(v.older):
		v.older = nil
		if v.newest.at < cut {
			v.newest = bucket{}
		}
	case i > 0:
		v.older = v.older[:copy(v.older, v.older[i:])]
	}
}

// push adds a bucket that is newer than all others.
func (v *volume) push(b bucket) {
	if v.newest.n != 0 {
		if v.older == nil { // one alone is rare
			v.older = make([]bucket, 0, 4)
		}
		v.older = append(v.older, v.newest)
	}
	v.newest = b
}

// len is the number of buckets.
func (v *volume) len() int { return len(v.older) + int(min(v.newest.n, 1)) }

// bucket is one of them, the oldest first.
func (v *volume) bucket(i int) bucket {
	if i < len(v.older) {
		return v.older[i]
	}
	return v.newest
}

// in counts the messages of all buckets that overlap (from, to], wholly: in
// doubt there was more mail, and a share is harder to reach.
func (v *volume) in(from, to int64) int {
	n := 0
	for i := v.len() - 1; i >= 0; i-- {
		b := v.bucket(i)
		start := int64(b.at) * volumeBucket
		if start+volumeBucket <= from+1 {
			break
		}
		if start <= to {
			n += int(b.n)
		}
	}
	return n
}

// Accepted is how many messages were accepted from the addresses in p during
// (from, to], each once for each recipient; Unix seconds, in buckets of five
// minutes that count wholly when they overlap it. It reaches back as far as the
// windows of the Tables do.
func (g *Good) Accepted(p netip.Prefix, from, to int64) int {
	if p.IsSingleIP() {
		if e := g.clients.get(p.Addr()); e != nil {
			return e.volume.in(from, to)
		}
		return 0
	}
	n := 0
	g.order.within(p, func(a netip.Addr) bool {
		n += g.clients.get(a).volume.in(from, to)
		return true
	})
	return n
}

// keepVolume makes accepted messages of the last so many seconds remembered.
func (g *Good) keepVolume(seconds int64) { g.keep = max(g.keep, seconds) }
