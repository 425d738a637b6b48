// Package memory is a firewall that cuts nothing: the slow and obvious twin of
// the others in tests, and what a dry run talks to.
package memory

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// A Backend holds bans in a map. It can be used by several goroutines.
type Backend struct {
	o firewall.Options

	mu    sync.Mutex
	up    bool // Setup has been, Teardown not since
	allow []netip.Prefix
	bans  map[firewall.Key]ban.Entry
}

var _ firewall.Backend = (*Backend)(nil)

// New returns an empty firewall.
func New(o firewall.Options) (*Backend, error) {
	o, err := o.WithDefaults()
	if err != nil {
		return nil, err
	}
	return &Backend{o: o, bans: make(map[firewall.Key]ban.Entry)}, nil
}

// Name is "memory".
func (b *Backend) Name() string { return "memory" }

// Setup stores the allowlist.
func (b *Backend) Setup(ctx context.Context, allow []netip.Prefix) error {
	if err := firewall.CheckAllow("memory", allow); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up, b.allow = true, slices.Clone(allow)
	return nil
}

// SetAllow replaces the allowlist.
func (b *Backend) SetAllow(ctx context.Context, allow []netip.Prefix) error {
	return b.Setup(ctx, allow)
}

// Apply makes the change, all or nothing.
func (b *Backend) Apply(ctx context.Context, c ban.Change) error {
	if err := errors.Join(ctx.Err(), firewall.CheckChange("memory", c)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up {
		return &firewall.Error{Backend: "memory", Op: "apply", Kind: firewall.ErrGone, Err: errors.New("not set up")}
	}
	now := b.o.Now()
	for _, e := range c.Remove {
		delete(b.bans, firewall.KeyOf(e))
	}
	for _, list := range [][]ban.Entry{c.Add, c.Refresh} {
		for _, e := range list {
			if d, ok := firewall.Ahead(e, now); ok {
				e.Deadline = min(e.Deadline, now.Add(d).Unix())
				b.bans[firewall.KeyOf(e)] = e
			} else {
				delete(b.bans, firewall.KeyOf(e))
			}
		}
	}
	return nil
}

// Active is what has not ended.
func (b *Backend) Active(ctx context.Context) ([]firewall.Active, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.o.Now()
	var all []firewall.Active
	for key, e := range b.bans {
		d := time.Unix(e.Deadline, 0).Sub(now)
		if d <= 0 {
			delete(b.bans, key)
			continue
		}
		e.Until = e.Deadline
		all = append(all, firewall.Active{Entry: e, Remaining: d, Counter: firewall.Counter{Present: true}})
	}
	firewall.Sort(all)
	return all, nil
}

// Counters says which of the entries are held; nothing is ever cut.
func (b *Backend) Counters(ctx context.Context, entries []ban.Entry) ([]firewall.Counter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.o.Now().Unix()
	counters := make([]firewall.Counter, len(entries))
	for i, e := range entries {
		held, ok := b.bans[firewall.KeyOf(e)]
		counters[i].Present = ok && held.Deadline > now
	}
	return counters, nil
}

// Check finds a firewall that was never set up, or was torn down.
func (b *Backend) Check(ctx context.Context) (firewall.Drift, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up {
		return firewall.Drift{Missing: []string{"memory"}}, nil
	}
	return firewall.Drift{}, nil
}

// Watch has nothing to tell: nobody else can touch the memory.
func (b *Backend) Watch(ctx context.Context, f func(firewall.Event)) error {
	return errors.ErrUnsupported
}

// Close does nothing.
func (b *Backend) Close() error { return nil }

// Teardown forgets everything.
func (b *Backend) Teardown(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up, b.allow = false, nil
	clear(b.bans)
	return nil
}

// Cuts says whether a packet from a client to a port would be cut off: the
// whole meaning of a backend, written as plainly as can be.
func (b *Backend) Cuts(client netip.Addr, port uint16) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	client = client.Unmap()
	if !slices.Contains(b.o.AllPorts(), port) {
		return false
	}
	for _, p := range b.allow {
		if p.Contains(client) {
			return false
		}
	}
	now := b.o.Now().Unix()
	for _, e := range b.bans {
		if e.Deadline > now && e.Prefix.Contains(client) && (e.Everywhere() || slices.Contains(b.o.Ports[e.Door], port)) {
			return true
		}
	}
	return false
}
