package firewall

import (
	"context"
	"fmt"
	"slices"

	"github.com/postmoat/postmoat/pkg/ban"
)

// note remembers a change (mu is held). While there is doubt it need not be
// queued: the reading that ends the doubt compares with all that is wanted.
func (k *Keeper) note(c ban.Change) {
	for _, list := range [][]ban.Entry{c.Add, c.Refresh} {
		for _, e := range list {
			k.want[KeyOf(e)] = e
			if k.doubt {
				k.missed[KeyOf(e)] = e
			}
		}
	}
	for _, e := range c.Remove {
		delete(k.want, KeyOf(e))
		delete(k.missed, KeyOf(e))
	}
	if !k.doubt {
		k.due = append(k.due, c)
	}
}

// hurry works off the queue if nobody else talks to the backend: else that one
// will. It says whether all is in force.
func (k *Keeper) hurry(ctx context.Context) error {
	k.mu.Lock()
	doubt := k.doubt || !k.told
	k.mu.Unlock()
	if doubt {
		return ErrPending // that is for Run, which waits between its attempts
	}
	select {
	case k.turn <- struct{}{}:
	default:
		return ErrPending
	}
	defer k.release(ctx)
	if err := k.work(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrPending, err)
	}
	return nil
}

// take waits for the turn.
func (k *Keeper) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives the turn back. Who found it taken has left work in the queue,
// and that may have come after the last glance at it: so it is looked at again
// when others can take the turn.
func (k *Keeper) release(ctx context.Context) {
	<-k.turn
	for k.waiting() {
		select {
		case k.turn <- struct{}{}:
		default:
			return
		}
		_ = k.work(ctx) // noted, and tried again by Run
		<-k.turn
	}
}

func (k *Keeper) waiting() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.told && !k.doubt && (k.allowDue || len(k.due) > 0)
}

// work makes what is in the queue, until it is empty. An error leaves doubt. It
// is for who has the turn.
func (k *Keeper) work(ctx context.Context) error {
	for {
		k.mu.Lock()
		if !k.told || k.doubt || !k.allowDue && len(k.due) == 0 {
			k.mu.Unlock()
			return nil
		}
		allow, allowDue := k.allow, k.allowDue
		c := merge(k.due)
		k.allowDue, k.due = false, nil
		k.mu.Unlock()

		var err error
		if allowDue {
			err = k.b.SetAllow(ctx, allow)
		}
		if err == nil && !c.Empty() {
			err = k.b.Apply(ctx, c)
		}
		if err != nil {
			k.failed(err, c, allowDue)
			return err
		}
		k.made(c)
	}
}

// failed notes that a change may or may not have been made.
func (k *Keeper) failed(err error, c ban.Change, allowDue bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.doubt = true
	k.allowDue = k.allowDue || allowDue
	for _, c := range append([]ban.Change{c}, k.due...) {
		for _, e := range slices.Concat(c.Add, c.Refresh) {
			if _, wanted := k.want[KeyOf(e)]; wanted {
				k.missed[KeyOf(e)] = k.want[KeyOf(e)]
			}
		}
	}
	k.due = nil
	k.bad(err)
	k.hint()
}

// hint lets Run look.
func (k *Keeper) hint() {
	select {
	case k.look <- struct{}{}:
	default:
	}
}

// made tells of what has come into force.
func (k *Keeper) made(c ban.Change) {
	all := c.Add
	if len(c.Refresh) > 0 {
		all = slices.Concat(c.Add, c.Refresh)
	}
	if len(all) > 0 {
		k.o.Made(all)
	}
}

// merge is one change that comes to the same as several, one after the other.
func merge(changes []ban.Change) ban.Change {
	if len(changes) == 1 {
		return changes[0]
	}
	const (
		add = iota
		refresh
		remove
	)
	type last struct {
		ban.Entry
		what int
	}
	all := make(map[Key]last)
	for _, c := range changes {
		for what, list := range [...][]ban.Entry{add: c.Add, refresh: c.Refresh, remove: c.Remove} {
			for _, e := range list {
				l := last{e, what}
				if before, ok := all[KeyOf(e)]; ok && what == refresh && before.what != refresh {
					l.what = add
				}
				all[KeyOf(e)] = l
			}
		}
	}
	var c ban.Change
	for _, l := range all {
		switch l.what {
		case add:
			c.Add = append(c.Add, l.Entry)
		case refresh:
			c.Refresh = append(c.Refresh, l.Entry)
		case remove:
			c.Remove = append(c.Remove, l.Entry)
		}
	}
	return c
}
