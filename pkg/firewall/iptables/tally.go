//go:build linux

package iptables

import (
	"math"
	"net/netip"
	"time"

	"github.com/postmoat/postmoat/pkg/firewall"
)

// A tally is what a set has to hold if nobody else touches it: so a Check that
// only counts sees that entries came or went, and a change that was refused
// halfway can be taken back. It is some 40 bytes an entry.
type tally struct{ ends map[tallyKey]uint32 }

// tallyKey is a prefix without pointers: address and length.
type tallyKey [17]byte

// endless is the end of an entry without a timeout.
const endless = math.MaxUint32

func newTally() *tally { return &tally{make(map[tallyKey]uint32)} }

func keyOf(p netip.Prefix) (k tallyKey) {
	a := p.Addr().As16()
	copy(k[:], a[:])
	k[16] = byte(p.Bits())
	return k
}

// put notes an entry and when it ends, Unix seconds.
func (t *tally) put(p netip.Prefix, end int64) {
	t.ends[keyOf(p)] = uint32(min(max(end, 0), endless))
}

func (t *tally) drop(p netip.Prefix) { delete(t.ends, keyOf(p)) }

// left is how long an entry has to go, false when it is not there.
func (t *tally) left(p netip.Prefix, now time.Time) (time.Duration, bool) {
	end, ok := t.ends[keyOf(p)]
	d := time.Unix(int64(end), 0).Sub(now)
	return d, ok && d > 0
}

// fits says whether a set that counts so many entries can be untouched: those
// that end about now may be there or not.
func (t *tally) fits(entries int, now int64) bool {
	least, most := 0, 0
	for key, end := range t.ends {
		switch end := int64(end); {
		case end > now+firewall.Slack:
			least++
			most++
		case end >= now-firewall.Slack:
			most++
		default:
			delete(t.ends, key)
		}
	}
	return least <= entries && entries <= most
}
