package pf

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// Apply adds, then deletes, then kills the states of those newly banned. A call
// of pfctl is all or nothing; when one of several that add fails, in a change
// of up to firewall.MaxTransaction entries, what the others added is taken out
// again. When a table was gone the error is an ErrGone: Setup and Plan repair.
func (b *Backend) Apply(ctx context.Context, c ban.Change) error {
	if err := errors.Join(ctx.Err(), firewall.CheckChange(name, c)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up {
		return &firewall.Error{Backend: name, Op: "apply", Kind: firewall.ErrGone, Err: errors.New("not set up")}
	}
	return explain("apply", b.apply(ctx, c))
}

func (b *Backend) apply(ctx context.Context, c ban.Change) error {
	now := b.o.Now()
	puts := make([][]ban.Entry, len(b.names.bans))
	removes := make([][]netip.Prefix, len(b.names.bans))
	var fresh []ban.Entry // not held so far
	for _, list := range [][]ban.Entry{c.Add, c.Refresh} {
		for _, e := range list {
			s := slot(e)
			if _, ok := firewall.Ahead(e, now); !ok {
				removes[s] = append(removes[s], e.Prefix)
				continue
			}
			puts[s] = append(puts[s], e)
			if _, held := b.held[s][e.Prefix]; !held {
				fresh = append(fresh, e)
			}
		}
	}
	for _, e := range c.Remove {
		removes[slot(e)] = append(removes[slot(e)], e.Prefix)
	}
	whole := len(c.Add)+len(c.Refresh)+len(c.Remove) <= firewall.MaxTransaction
	if err := b.add(ctx, puts, whole); err != nil {
		return err
	}
	for s, list := range b.takeDue(now.Unix()) {
		removes[s] = append(removes[s], list...)
	}
	for s, list := range removes {
		if err := b.remove(s, list); err != nil {
			return err
		}
	}
	b.cutStates(fresh)
	return nil
}

var errRemade = errors.New("a table was gone, and its entries with it")

// add puts entries into their tables.
func (b *Backend) add(ctx context.Context, puts [][]ban.Entry, whole bool) error {
	var done []func() error // how to take out again what was added
	remade := false
	for s, list := range puts {
		for part := range slices.Chunk(list, perCall) {
			err := ctx.Err()
			created := false
			if err == nil {
				created, err = b.feed(b.names.inner, b.names.bans[s], "add", prefixes(part))
			}
			if err != nil {
				if whole {
					for _, undo := range done {
						err = errors.Join(err, undo())
					}
				}
				return err
			}
			remade = remade || created
			var fresh []netip.Prefix
			for _, e := range part {
				if _, held := b.held[s][e.Prefix]; !held {
					fresh = append(fresh, e.Prefix)
				}
			}
			done = append(done, func() error { return b.remove(s, fresh) })
			if !whole {
				b.holdAll(part)
			}
		}
	}
	for _, list := range puts {
		b.holdAll(list)
	}
	if remade {
		return &firewall.Error{Backend: name, Op: "apply", Kind: firewall.ErrGone, Err: errRemade,
			Hint: "Somebody removed it: set it up again."}
	}
	return nil
}

func (b *Backend) holdAll(list []ban.Entry) {
	for _, e := range list {
		b.hold(e, e.Deadline)
	}
}

// remove takes prefixes out of a table. What is gone is no error, nor is a
// table that is gone: Check finds that.
func (b *Backend) remove(s int, list []netip.Prefix) error {
	for part := range slices.Chunk(list, perCall) {
		if _, err := b.feed(b.names.inner, b.names.bans[s], "delete", part); ignoreGone(err) != nil {
			return err
		}
		for _, p := range part {
			delete(b.held[s], p)
		}
	}
	return nil
}

// takeDue lists what is due, for each table, and finds out what is next.
func (b *Backend) takeDue(now int64) [][]netip.Prefix {
	lists := make([][]netip.Prefix, len(b.held))
	if now < b.due {
		return lists
	}
	b.due = math.MaxInt64
	for s, held := range b.held {
		for p, deadline := range held {
			switch {
			case deadline == 0:
			case deadline <= now:
				lists[s] = append(lists[s], p)
				b.due = now // until it is removed
			default:
				b.due = min(b.due, deadline)
			}
		}
	}
	return lists
}

func prefixes(list []ban.Entry) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, e := range list {
		out[i] = e.Prefix
	}
	return out
}
