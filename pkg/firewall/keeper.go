package firewall

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
)

// A Keeper keeps a firewall as it is to be. It is told what changes, remembers
// what is wanted, makes it so, and puts back what somebody else takes away or
// alters, as soon as the kernel tells and at the latest at the next look. What
// the firewall refuses is tried again: the wanted bans are never given up.
//
// A daemon uses it like this:
//
//	k := firewall.NewKeeper(backend, firewall.KeeperOptions{Log: log, Made: made})
//	err := k.Want(ctx, allow, entries) // at the start: what the restored book says
//	go k.Run(ctx)                      // in a WaitGroup: it returns when ctx ends
//	...
//	err = k.Apply(ctx, change)         // the engine's goroutine, after each batch
//	err = k.SetAllow(ctx, allow)       // the allowlist's
//	...
//	err = k.Settle(ctx)                // at the end, with some seconds' time
//	err = backend.Close()
//
// An error of Want is to be shown to the operator; the daemon may go on, as Run
// tries again. From Want on nobody else calls the backend's methods that change
// anything, as the Keeper would take that for a foreign hand. All methods may be
// called by several goroutines; changes are made in the order of the calls.
//
// Apply and SetAllow never wait for a look: while somebody talks to the backend
// the change is put into a queue, which that one works off as soon as it is
// done, before it lets go. So they take as long as the change itself, or no time
// at all. A look asks the backend's cheap Check; it reads everything only at the
// beginning, after an error that leaves doubt, when Check found something, and
// every quarter of an hour. Where that has taken long it reads in slices instead,
// and works off the queue between them.
type Keeper struct {
	b Backend
	o KeeperOptions

	turn chan struct{} // held by who talks to the backend
	look chan struct{} // Run has to look now

	mu       sync.Mutex
	told     bool // Want has been
	allow    []netip.Prefix
	allowDue bool              // allow is not yet set
	want     map[Key]ban.Entry // what is to be true
	due      []ban.Change      // told and not yet made, in order
	doubt    bool              // only a reading of everything can tell what is there
	touched  bool              // somebody else was there, and that is not yet looked into
	missed   map[Key]ban.Entry // added or refreshed while there was doubt
	state    KeeperState

	// Of who has the turn.
	lastFull time.Time // when everything was read
	slow     bool      // and that it took long
	missing  []string  // what a look has found gone and is not yet repaired
}

// KeeperOptions are what a Keeper is told. All may be left out.
type KeeperOptions struct {
	// Made is called when bans have come into force that were not before (or
	// may not have been): added, refreshed or put back. It is the moment to
	// sever the connections of who is banned. It is called by whoever made the
	// change, one call at a time: it must not block for long, nor call Want or
	// Settle.
	Made  func([]ban.Entry)
	Every time.Duration // between looks of its own; 0: a minute
	Full  time.Duration // between readings of everything; 0: a quarter of an hour
	Log   *slog.Logger  // nil: nowhere
	Now   func() time.Time
}

// ErrPending says that a change is not yet in force, and will be as soon as the
// firewall takes it. Nothing is lost, nothing has to be told again.
var ErrPending = errors.New("not yet in force, will be made as soon as can be")

// NewKeeper returns a Keeper of a backend that need not be set up. It does
// nothing before Want has been called, which takes the place of all that was
// told before.
func NewKeeper(b Backend, o KeeperOptions) *Keeper {
	if o.Made == nil {
		o.Made = func([]ban.Entry) {}
	}
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	if o.Full <= 0 {
		o.Full = 15 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Keeper{
		b: b, o: o,
		turn: make(chan struct{}, 1), look: make(chan struct{}, 1),
		want: make(map[Key]ban.Entry), missed: make(map[Key]ban.Entry),
		state: KeeperState{Backend: b.Name()},
	}
}

// Want says what is to be true, the whole of it, and makes it so: the backend is
// set up, allowlist first, what is there is read, and the difference made. It
// waits for its turn. After an error Run (or Settle) tries again.
func (k *Keeper) Want(ctx context.Context, allow []netip.Prefix, entries []ban.Entry) error {
	if err := errors.Join(CheckChange(k.b.Name(), ban.Change{Add: entries}), CheckAllow(k.b.Name(), allow)); err != nil {
		return err
	}
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.release(ctx)
	k.mu.Lock()
	k.allow, k.allowDue = slices.Clone(allow), true
	k.due, k.doubt = nil, true
	k.want = make(map[Key]ban.Entry, len(entries))
	clear(k.missed)
	for _, e := range entries {
		k.want[KeyOf(e)] = e
	}
	k.told = true
	k.mu.Unlock()
	_, err := k.whole(ctx, true)
	return err
}

// Apply notes a change and makes it, unless the backend is busy or known to
// fail: then the error is an [ErrPending], and that of the backend if this call
// met one. A change that is not well formed is refused (ErrBadEntry).
func (k *Keeper) Apply(ctx context.Context, c ban.Change) error {
	if err := CheckChange(k.b.Name(), c); err != nil {
		return err
	}
	if c.Empty() {
		return nil
	}
	k.mu.Lock()
	k.note(c)
	k.mu.Unlock()
	return k.hurry(ctx)
}

// SetAllow notes an allowlist and sets it, as Apply does with a change.
func (k *Keeper) SetAllow(ctx context.Context, allow []netip.Prefix) error {
	if err := CheckAllow(k.b.Name(), allow); err != nil {
		return err
	}
	k.mu.Lock()
	k.allow, k.allowDue = slices.Clone(allow), true
	k.mu.Unlock()
	return k.hurry(ctx)
}

// Counters asks the backend, in turn with the changes. It waits for that as long
// as ctx allows: a look may take a second, a large firewall's longer.
func (k *Keeper) Counters(ctx context.Context, entries []ban.Entry) ([]Counter, error) {
	if err := k.take(ctx); err != nil {
		return nil, err
	}
	defer k.release(ctx)
	return k.b.Counters(ctx, entries)
}

// Settle waits for its turn, and makes all that has been told and is not yet in
// force; where there is doubt it reads and repairs. nil: everything is in force.
func (k *Keeper) Settle(ctx context.Context) error {
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.release(ctx)
	k.mu.Lock()
	doubt := k.doubt
	k.mu.Unlock()
	if doubt {
		if _, err := k.whole(ctx, true); err != nil {
			return err
		}
	}
	return k.work(ctx)
}
