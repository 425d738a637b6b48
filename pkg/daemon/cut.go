package daemon

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/postmoat/postmoat/pkg/ban"
)

// maxCuts is for how many bans open connections are looked for in one go; what
// comes beyond while the cutter is busy is done with the next.
const maxCuts = 100_000

// A cutter ends the open connections of clients that have just been banned, in
// a goroutine of its own: looking for them takes as long as there are many.
type cutter struct {
	mu   sync.Mutex
	due  []ban.Entry
	wake chan struct{}
	cut  atomic.Uint64
}

// made is told by the firewall's keeper which bans have come into force.
func (k *cutter) made(entries []ban.Entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if room := maxCuts - len(k.due); len(entries) > room {
		entries = entries[:room]
	}
	k.due = append(k.due, entries...)
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run cuts until ctx ends.
func (d *Daemon) cutOff(ctx context.Context) {
	k := &d.cuts
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		}
		k.mu.Lock()
		due := k.due
		k.due = nil
		k.mu.Unlock()
		if d.o.Severer == nil || len(due) == 0 {
			continue
		}
		r, err := d.o.Severer.Sever(ctx, due)
		k.cut.Add(uint64(r.Destroyed))
		if r.Destroyed > 0 {
			d.log.Info("open connections of banned clients were cut", "connections", r.Destroyed)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Warn("open connections of banned clients could not all be cut", "err", err)
		}
	}
}
