package firewall

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Between attempts to put right what can't be: twice as long each time.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 30 * time.Second
)

// Run watches, looks and repairs until ctx ends, and tries again what the
// firewall has refused, after pauses of up to half a minute.
func (k *Keeper) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()

	events := make(chan Event, 1)
	watching.Go(func() { k.watch(ctx, events) })
	tick := time.NewTicker(k.o.Every)
	defer tick.Stop()
	again := time.NewTimer(0) // the first look is at once
	defer again.Stop()
	pause := firstPause
	for {
		var ev Event
		select {
		case <-ctx.Done():
			return
		case ev = <-events:
		case <-k.look:
		case <-tick.C:
		case <-again.C:
		}
		err := k.glance(ctx, ev)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			pause = firstPause
			again.Stop()
			continue
		}
		k.o.Log.Error("firewall can't be put right, will be tried again", "backend", k.b.Name(), "in", pause, "err", err)
		select {
		case <-k.look: // that was this failure
		default:
		}
		again.Reset(pause)
		pause = min(2*pause, lastPause)
	}
}

// watch passes on what the backend sees, and starts over when it sees nothing
// any more.
func (k *Keeper) watch(ctx context.Context, events chan<- Event) {
	for {
		err := k.b.Watch(ctx, func(ev Event) {
			select {
			case events <- ev:
			default: // a look is due anyway, and sees all
			}
		})
		if ctx.Err() != nil || errors.Is(err, errors.ErrUnsupported) {
			return
		}
		k.o.Log.Warn("firewall is not watched for a while, only looked at", "backend", k.b.Name(), "for", k.o.Every, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(k.o.Every):
		}
	}
}
