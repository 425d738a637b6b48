package daemon

import (
	"context"
	"net/netip"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
)

// The methods of this file may be called by any goroutine while Run runs. They
// are carried out by the goroutine that owns the engine, between two lines.

// A BanRequest is a ban by hand.
type BanRequest struct {
	Prefix  netip.Prefix
	For     time.Duration // 0: until it is lifted
	Because string        // the operator's words, at most 200 bytes
	Force   bool          // wider than a /16 or an IPv6 /32
	// Peers are addresses that must not be cut off: the operator's own
	// session. A ban that holds one is refused, with Force too.
	Peers []netip.Addr
	By    string // who asked, for the log
}

// An UnbanRequest lifts bans.
type UnbanRequest struct {
	Prefix netip.Prefix  // what to free; the zero Prefix: everything
	For    time.Duration // how long it stays on the allowlist; 0: not at all
	By     string
}

// Unbanned is what an unban did.
type Unbanned struct {
	Lifted  []netip.Prefix `json:"lifted"`            // bans that ended or were carved
	Allowed *time.Time     `json:"allowed,omitempty"` // until when it is on the allowlist
}

// Status says how the daemon is doing.
func (d *Daemon) Status(ctx context.Context) (Status, error) { panic("being written") }

// Counters are the numbers behind the metrics.
func (d *Daemon) Counters(ctx context.Context) (Counters, error) { panic("being written") }

// Bans returns the running bans by door and prefix, those beneath a wider one
// included.
func (d *Daemon) Bans(ctx context.Context) ([]Held, error) { panic("being written") }

// Explain tells all that is known of an address.
func (d *Daemon) Explain(ctx context.Context, a netip.Addr) (*Explanation, error) {
	panic("being written")
}

// Ban bans by hand and returns when the firewall holds it. A *Refusal says why
// not.
func (d *Daemon) Ban(ctx context.Context, r BanRequest) ([]Held, error) { panic("being written") }

// Unban lifts bans and returns when the firewall has let go.
func (d *Daemon) Unban(ctx context.Context, r UnbanRequest) (Unbanned, error) { panic("being written") }

// Allowlist is the allowlist in force.
func (d *Daemon) Allowlist() *allow.List { panic("being written") }

// AllowAdd puts a prefix on the allowlist, which carves or lifts running bans
// before it returns.
func (d *Daemon) AllowAdd(ctx context.Context, a allow.Addition, by string) error {
	panic("being written")
}

// AllowRemove takes back what AllowAdd did.
func (d *Daemon) AllowRemove(ctx context.Context, p netip.Prefix, by string) error {
	panic("being written")
}

// Reload reads the configuration again and puts it in force; a broken one
// changes nothing and is the error. What changed comes back in words, lines
// that begin with + or -; and what needs a restart, with !.
func (d *Daemon) Reload(ctx context.Context, by string) ([]string, error) { panic("being written") }

// Pause goes on scoring but bans nobody new; what is banned stays so until its
// end.
func (d *Daemon) Pause(ctx context.Context, by string) error { panic("being written") }

// Resume bans again, and closes the breaker if it had tripped.
func (d *Daemon) Resume(ctx context.Context, by string) error { panic("being written") }

// Subscribe listens to events until the context ends, when the channel is
// closed. A listener that is too slow loses events and is told how many.
func (d *Daemon) Subscribe(ctx context.Context) <-chan Event { panic("being written") }

// A Refusal is a request that makes no sense or would do harm.
type Refusal struct {
	What string // "ban 192.0.2.0/8: wider than a /16"
	Hint string // what to do instead; may be empty
}

func (r *Refusal) Error() string { return r.What }
