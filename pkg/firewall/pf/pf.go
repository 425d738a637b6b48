// Package pf holds bans in tables of an anchor of its own, through pfctl: for
// OpenBSD, FreeBSD and macOS. It runs the program with an argument list, a
// clean environment and a time limit, never through a shell; what reaches it
// are fixed words and parsed prefixes.
//
// There are two anchors. The one that the operator's pf.conf calls,
//
//	anchor "postmoat"
//
// has the allowlist in a table and one rule, which enters the second anchor
// for clients that are not in it:
//
//	anchor "cut" in proto tcp from ! <postmoat_allow> to any
//
// postmoat/cut has two tables for each door, of hosts and of wider networks,
// and rules that drop: hosts at the ports of all doors, networks at those of
// their own. There is no pass rule: "pass quick" for the allowlist would end
// the evaluation of the operator's own rules too, open ports that they close
// and skip their redirections.
//
// What is different from other firewalls:
//
//   - pf has no deadlines. The backend keeps those of what it has put in, and
//     removes what is due whenever Apply, Active, Counters or Check is called
//     (every minute will do). Close removes the bans, and Setup after a crash
//     what is older than Options.MaxAge.
//   - A state passes by the rules, so that the states of newly banned clients
//     are killed. pfctl can only kill all states that a client has opened, also
//     those to other services of the host. States that the host opened to
//     banned clients (its own deliveries) live on.
//   - Nothing tells of changes by others. Check compares the numbers of
//     entries, and every ten minutes the entries.
//   - Where rdr changes the port before the rules see it (FreeBSD, macOS), the
//     doors must have the port that the packet is redirected to.
//
// All of this follows manuals, sources and measurements of pfctl built
// elsewhere; it has been tested against the fake in pftest, never on a BSD.
package pf

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// DefaultMaxAge is a day over the longest ban of the default configuration.
const DefaultMaxAge = 8 * 24 * time.Hour

// Options are those of every backend, and pf's own.
type Options struct {
	firewall.Options
	// Path is the pfctl program; "" looks for it where systems have it.
	Path string
	// MaxAge is how long ago an entry was first put in, at most, that the
	// first Setup of a process takes over from a run before (pf's own clock;
	// refreshing does not count). 0 is DefaultMaxAge.
	MaxAge time.Duration
}

// A Backend is one anchor. It can be used by several goroutines.
type Backend struct {
	o       Options
	names   names
	timeout time.Duration // of one run of pfctl

	mu    sync.Mutex
	up    bool                     // Setup has been, Teardown and Close not since
	shown [2]string                // rules of the outer and the inner anchor, as pfctl printed them after loading
	allow prefix.Set               // what the table of the allowlist holds
	held  []map[netip.Prefix]int64 // for each table its entries and their deadlines in Unix seconds, 0: unknown
	due   int64                    // no deadline is before this one
	read  time.Time                // when the tables were last read whole
	cut   Cut
}

var _ firewall.Backend = (*Backend)(nil)

// New returns a backend; nothing is run yet. The action reject is an
// ErrUnsupported.
func New(o Options) (*Backend, error) {
	var err error
	if o.Options, err = o.Options.WithDefaults(); err != nil {
		return nil, err
	}
	if o.Action == firewall.Reject {
		return nil, &firewall.Error{Backend: name, Op: "options", Kind: firewall.ErrUnsupported,
			Err:  errors.New("action reject: a session that is cut by killing its state can only fall silent"),
			Hint: "Use action: drop; reject is for nftables only."}
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.MaxAge < time.Second {
		return nil, fmt.Errorf("pf options: max age %v: must be at least a second", o.MaxAge)
	}
	b := &Backend{o: o, names: newNames(o.Options), timeout: runTime}
	b.forget()
	return b, nil
}

// Name is "pf".
func (b *Backend) Name() string { return name }

// Watch has nothing to tell: pf has no notices.
func (b *Backend) Watch(ctx context.Context, f func(firewall.Event)) error {
	return errors.ErrUnsupported
}

// SetAllow adds what is new and then deletes what is gone: whoever is in the
// old list and in the new one is in the table all the while.
func (b *Backend) SetAllow(ctx context.Context, allow []netip.Prefix) error {
	if err := errors.Join(ctx.Err(), firewall.CheckAllow(name, allow)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up {
		return &firewall.Error{Backend: name, Op: "set allowlist", Kind: firewall.ErrGone, Err: errors.New("not set up")}
	}
	return explain("set allowlist", b.fillAllow(allow))
}

// Close removes the bans, if this process has set up the firewall: pf would
// keep them for ever. The rules, which then cut nobody, and the allowlist stay.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up {
		return nil
	}
	b.forget()
	var errs []error
	for _, t := range b.names.bans {
		errs = append(errs, ignoreGone(b.table(b.names.inner, t, "flush")))
	}
	return explain("close", errors.Join(errs...))
}

// Teardown removes rules and tables; with them the anchors go, but for what
// pf.conf calls.
func (b *Backend) Teardown(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget()
	// The rules first: a table that a rule names cannot go altogether. Those
	// of the outer anchor before all, or clients of the allowlist would be
	// cut in between.
	for _, anchor := range []string{b.names.outer, b.names.inner} {
		if err := b.strip(anchor); err != nil {
			return explain("tear down", err)
		}
	}
	return nil
}

// strip takes the rules and then all tables from an anchor. In the outer one
// the table goes while the inner anchor still has its rules, which nothing
// calls any more.
func (b *Backend) strip(anchor string) error {
	rules, err := b.rules(anchor)
	if err != nil {
		return ignoreGone(err)
	}
	if rules != "" {
		if _, err := b.run(nil, nil, "-a", anchor, "-F", "rules"); err != nil {
			return ignoreGone(err)
		}
	}
	tables, err := b.tables(anchor)
	if err != nil {
		return ignoreGone(err)
	}
	return b.kill(anchor, tables, nil)
}

// forget is the mind of a backend that has not set up anything.
func (b *Backend) forget() {
	b.up, b.shown, b.due, b.read = false, [2]string{}, math.MaxInt64, time.Time{}
	b.allow = prefix.Set{}
	b.held = make([]map[netip.Prefix]int64, len(b.names.bans))
	for i := range b.held {
		b.held[i] = make(map[netip.Prefix]int64)
	}
}

// hold notes that the table of an entry has it.
func (b *Backend) hold(e ban.Entry, deadline int64) {
	b.held[slot(e)][e.Prefix] = deadline
	if deadline != 0 {
		b.due = min(b.due, deadline)
	}
}
