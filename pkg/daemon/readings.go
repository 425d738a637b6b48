package daemon

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
)

const (
	// readEvery is how often the firewall's counters of bans that may have to
	// be renewed are read: a packet in the last quarter of a term renews it.
	// The shortest term is divided by 16, so that a quarter has four readings.
	readEvery = 15 * time.Second
	// readSlice is how many of the other bans are read each time, so that all
	// of them are told what they kept out, in turn.
	readSlice = 500
)

// A reading is what the firewall had counted on a ban.
type reading struct {
	packets uint64
	at      int64
}

// A reader reads the firewall's counters.
type reader struct {
	last map[firewall.Key]reading
	turn int // where the next slice begins
}

// readCounters reads what the firewall counts until ctx ends, and tells the
// bans: a client that still knocks keeps its ban.
func (d *Daemon) readCounters(ctx context.Context) {
	r := reader{last: make(map[firewall.Key]reading)}
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		var due []ban.Entry
		var every time.Duration
		var asked int64
		if d.in.do(ctx, func() {
			every = min(readEvery, max(time.Second, time.Duration(d.settings.Engine.Ban.Time)*time.Second/16))
			due, asked = d.core.due(&r, every), d.core.engine.Now()
		}) != nil {
			return
		}
		timer.Reset(every)
		if len(due) == 0 {
			continue
		}
		counts, err := d.keeper.Counters(ctx, due)
		if err != nil {
			continue // the keeper says what is wrong with the firewall
		}
		if d.in.do(ctx, func() { d.core.counted(&r, asked, due, counts) }) != nil {
			return
		}
	}
}

// due are the bans to be read: those in the last quarter of their term or next
// to it, and a slice of the rest.
func (c *core) due(r *reader, every time.Duration) []ban.Entry {
	now := c.engine.Now()
	soon := now + 2*int64(every/time.Second)
	var due []ban.Entry
	i := 0
	for b := range c.engine.Bans() {
		turn := i >= r.turn && i < r.turn+readSlice
		if turn || !b.Pinned && c.engine.LastQuarter(b) <= soon {
			due = append(due, b.Entry())
		}
		i++
	}
	if r.turn += readSlice; r.turn >= i {
		r.turn = 0
	}
	for k := range r.last {
		if c.engine.Running(k.Prefix, k.Door) == nil {
			delete(r.last, k)
		}
	}
	return due
}

// maxKnocks is how many go into one record, so that it is well below the
// largest that the journal takes.
const maxKnocks = 4096

// counted tells the bans of the packets that were counted since the last
// reading. asked is the scoring clock before the firewall was asked.
func (c *core) counted(r *reader, asked int64, entries []ban.Entry, counts []firewall.Counter) {
	now := c.engine.Now()
	var knocks []knock
	for i, e := range entries {
		k := firewall.KeyOf(e)
		before, read := r.last[k]
		if !counts[i].Present {
			delete(r.last, k)
			continue
		}
		n := counts[i].Packets
		r.last[k] = reading{n, asked}
		b := c.engine.Running(e.Prefix, e.Door)
		switch {
		case b == nil:
			continue
		case !read && b.From < c.d.started.Unix():
			// The firewall has held it for longer than this process has been
			// there: the one before has told of the most of it.
			continue
		case n >= before.packets:
			n -= before.packets // else a refresh has begun at zero again
		}
		if n == 0 {
			continue
		}
		c.count.packets += n
		at := now
		if q := c.engine.LastQuarter(b); before.at < q {
			// Part of it came before the last quarter: when in doubt all of it.
			at = min(at, q-1)
		}
		knocks = append(knocks, knock{e.Prefix, e.Door, at, n})
	}
	slices.SortFunc(knocks, func(a, b knock) int { return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.Door, b.Door)) })
	for part := range slices.Chunk(knocks, maxKnocks) {
		c.note(record{Knocks: part}, false)
		for _, k := range part {
			c.engine.Knock(k.Prefix, k.Door, k.Time, k.N)
		}
	}
}
