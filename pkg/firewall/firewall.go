// Package firewall is the contract between postmoat and what cuts packets off:
// a backend is told what should be true, makes it so, and can say what is
// really there. The backends are in the packages below it; firewalltest is the
// suite that each of them passes.
package firewall

import (
	"context"
	"net/netip"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
)

// A Backend is one firewall that holds bans.
//
// Its methods may be called by several goroutines; changes are made one after
// the other. A context that ends stops a call between two transactions, never
// within one. Errors that an operator can act on are of type *[Error].
//
// Two backends with the same Options.Owner must not run at once: whoever calls
// Setup, Apply, SetAllow or Teardown holds the [Lock].
type Backend interface {
	// Name is the backend's word in the configuration: "nftables".
	Name() string

	// Setup puts everything but the bans in place: allowlist first, then the
	// rules that look bans up. It is idempotent, touches only its own names,
	// and takes over what a run before left: its bans stay in force and are
	// read with Active. What has our name but not our shape is replaced.
	Setup(ctx context.Context, allow []netip.Prefix) error

	// SetAllow replaces the allowlist in one transaction. Prefixes may
	// overlap; a client inside one is never cut, whatever is banned.
	SetAllow(ctx context.Context, allow []netip.Prefix) error

	// Apply makes the change true: first what is added and refreshed, then
	// what is removed, so that a client whose host ban gives way to a wider
	// one (or the other way) is cut at every instant. Each of the two is all
	// or nothing up to [MaxTransaction] entries where the firewall can (see
	// the backend), and several transactions beyond. Removing what is gone
	// and adding what is there are no errors; an entry whose deadline is not
	// [Ahead] is removed instead of added. A change with an entry that is not
	// well formed ([CheckChange]) is refused whole. ErrGone: what Setup makes
	// is not there; after that, and after an error that leaves doubt what
	// arrived (ErrUncertain), Setup and Plan of Active repair it.
	Apply(ctx context.Context, c ban.Change) error

	// Active is what the firewall really holds, sorted by prefix and door.
	// Of a large firewall it may take seconds: not for every day.
	Active(ctx context.Context) ([]Active, error)

	// Counters tells for each entry, in the order asked, whether the firewall
	// holds it and what it has cut. Its cost depends on how many are asked
	// for, not on how many there are (where the firewall can): so it also
	// serves to verify a large firewall slice by slice.
	Counters(ctx context.Context, entries []ban.Entry) ([]Counter, error)

	// Check compares cheaply whether all that Setup put in place still is,
	// and whether the bans may have been touched by somebody else.
	Check(ctx context.Context) (Drift, error)

	// Watch calls f whenever somebody else touches what is ours, until ctx
	// ends (then it returns nil) or nothing can be watched any more. Where
	// the firewall does not tell, it returns errors.ErrUnsupported at once.
	// f must not block for long.
	Watch(ctx context.Context, f func(Event)) error

	// Close lets go of connections. The bans stay, each until its deadline;
	// where the firewall has no deadlines (pf) they are removed.
	Close() error

	// Teardown removes every trace. That nothing is there is no error.
	Teardown(ctx context.Context) error
}

// MaxTransaction is how many entries Apply adds or removes all or nothing,
// where the firewall can.
const MaxTransaction = 20000

// An Active entry is one that the firewall holds. Until and Deadline are both
// the firewall's own deadline to the nearest second, 0 where it has none.
type Active struct {
	ban.Entry
	Remaining time.Duration // until the firewall drops the entry by itself; 0: never
	Counter
}

// A Counter is what one entry has cut since it was added or last refreshed (a
// refresh may set it back to zero).
type Counter struct {
	Present bool // the firewall holds the entry
	Packets uint64
	Bytes   uint64
}

// A Drift is what Check found.
type Drift struct {
	// Missing names what is gone or altered of what Setup put in place, in
	// the firewall's own words. Setup and then Plan repair it.
	Missing []string
	// Unproven: somebody else has changed the firewall since the bans were
	// last known to be whole; only Active (or Counters, in slices) can tell.
	Unproven bool
}

// OK says that everything is in place and nobody else was there.
func (d Drift) OK() bool { return len(d.Missing) == 0 && !d.Unproven }

// An Event is what Watch saw: somebody else touched what is ours.
type Event struct {
	// Started: from here on nothing is missed. The first event says it, and
	// one after each time that something was (Lost).
	Started bool
	Lost    bool     // messages were lost: anything may have happened
	What    []string // what happened, in the firewall's words: "delete table inet postmoat"
	Program string   // who did it, "" where the kernel does not tell
	PID     int      // of that program (or its thread), in the kernel's own numbering; 0: unknown
}
