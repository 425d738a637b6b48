package firewall

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
)

// A Keeper keeps a firewall as it is to be: what somebody else takes away or
// alters is put back as soon as the kernel tells, and at the latest at the next
// look. Errors are logged and tried again; the bans are never given up.
type Keeper struct {
	Backend Backend
	// Want is what is to be true: the allowlist, and the entries. It is called
	// by the goroutine of Run.
	Want  func() (allow []netip.Prefix, entries []ban.Entry)
	Every time.Duration // between looks of its own; 0: a minute
	Log   *slog.Logger  // nil: nowhere
	Now   func() time.Time

	repairs atomic.Uint64
}

// Repairs is how often something had to be put right.
func (k *Keeper) Repairs() uint64 { return k.repairs.Load() }

// Run watches and repairs until ctx ends. Its goroutine ends with it.
func (k *Keeper) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()

	events := make(chan Event, 1)
	ended := make(chan error, 1)
	watching.Go(func() {
		ended <- k.Backend.Watch(ctx, func(ev Event) {
			select {
			case events <- ev:
			default: // a look is due anyway, and sees all
			}
		})
	})
	every := k.Every
	if every <= 0 {
		every = time.Minute
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		var ev Event
		select {
		case <-ctx.Done():
			return
		case err := <-ended:
			if err != nil && !errors.Is(err, errors.ErrUnsupported) {
				k.log().Warn("firewall is not watched any more, only looked at", "backend", k.Backend.Name(), "every", every, "err", err)
			}
			continue
		case ev = <-events:
		case <-tick.C:
		}
		if err := k.look(ctx, ev); err != nil && ctx.Err() == nil {
			k.log().Error("firewall can't be put right, will be tried again", "backend", k.Backend.Name(), "err", err)
		}
	}
}

// look repairs what is not as it is to be. ev is who touched it, if known.
func (k *Keeper) look(ctx context.Context, ev Event) error {
	drift, err := k.Backend.Check(ctx)
	if err != nil || drift.OK() {
		return err
	}
	allow, want := k.Want()
	if len(drift.Missing) > 0 {
		if err := k.Backend.Setup(ctx, allow); err != nil {
			return err
		}
	}
	have, err := k.Backend.Active(ctx)
	if err != nil {
		return err
	}
	c := Plan(have, want, k.now().Unix())
	if err := k.Backend.Apply(ctx, c); err != nil {
		return err
	}
	if len(drift.Missing) == 0 && c.Empty() {
		return nil // somebody was there and did us no harm
	}
	k.repairs.Add(1)
	k.log().Warn("firewall repaired", "backend", k.Backend.Name(), "missing", drift.Missing,
		"added", len(c.Add), "refreshed", len(c.Refresh), "removed", len(c.Remove),
		"by", ev.Program, "pid", ev.PID, "did", ev.What)
	return nil
}

func (k *Keeper) now() time.Time {
	if k.Now == nil {
		return time.Now()
	}
	return k.Now()
}

func (k *Keeper) log() *slog.Logger {
	if k.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return k.Log
}
