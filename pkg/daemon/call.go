package daemon

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
)

const (
	// The widest bans by hand without force.
	widest4, widest6 = 16, 32
	maxBecause       = 200 // bytes
	maxPastShown     = 5
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
	Pending string         `json:"pending,omitempty"` // why the firewall has not yet let go
}

// Status says how the daemon is doing.
func (d *Daemon) Status(ctx context.Context) (s Status, err error) {
	err = d.in.do(ctx, func() { s = d.core.status(true) })
	return s, err
}

// Counters are the numbers behind the metrics.
func (d *Daemon) Counters(ctx context.Context) (n Counters, err error) {
	err = d.in.do(ctx, func() { n = d.core.counters() })
	return n, err
}

// Bans returns the running bans by door and prefix, then those beneath a wider
// one.
func (d *Daemon) Bans(ctx context.Context) (all []Held, err error) {
	err = d.in.do(ctx, func() { all = d.core.bans() })
	return all, err
}

// Explain tells all that is known of an address.
func (d *Daemon) Explain(ctx context.Context, a netip.Addr) (x *Explanation, err error) {
	err = d.in.do(ctx, func() { x = d.core.explain(a.Unmap().WithZone("")) })
	return x, err
}

func (c *core) explain(a netip.Addr) *Explanation {
	s := c.engine.Sender(a)
	x := &Explanation{
		Addr: a, Now: c.now(), Allowed: c.list.Lookup(a),
		KnownGood: since(s.Known), Messages: float64(s.Messages) / 10,
	}
	for _, b := range c.engine.Lookup(a) {
		x.Bans = append(x.Bans, c.held(b, false))
	}
	for _, b := range c.engine.Hidden() {
		if b.Prefix.Contains(a) {
			x.Bans = append(x.Bans, c.held(b, true))
		}
	}
	for door := range maillog.NumDoors {
		for _, st := range c.engine.Standing(a, door) {
			w := c.engine.Windows()[st.Window]
			x.Standing = append(x.Standing, DoorStanding{Door: door, Window: w.Name, Span: time.Duration(w.Span) * time.Second, Standing: st})
		}
	}
	for i := len(c.past) - 1; i >= 0 && len(x.Past) < maxPastShown; i-- {
		if c.past[i].Prefix.Contains(a) {
			x.Past = append(x.Past, c.past[i])
		}
	}
	return x
}

// Ban bans by hand and returns when the firewall holds it. A *Refusal says why
// not.
func (d *Daemon) Ban(ctx context.Context, r BanRequest) (made []Held, err error) {
	p := prefix.Canonical(r.Prefix)
	if err := r.check(p); err != nil {
		return nil, err
	}
	doErr := d.in.do(ctx, func() { made, err = d.core.ban(ctx, p, r) })
	return made, cmp.Or(doErr, err)
}

// check says why a ban makes no sense, or would cut off who asks for it.
func (r *BanRequest) check(p netip.Prefix) error {
	widest := widest6
	if p.Addr().Is4() {
		widest = widest4
	}
	switch {
	case !p.IsValid():
		return &Refusal{What: "ban: that is no prefix", Hint: "write an address or a prefix like 192.0.2.0/24"}
	case p.Bits() == 0:
		return &Refusal{What: fmt.Sprintf("ban %s: that is everybody", p)}
	case p.Bits() < widest && !r.Force:
		return &Refusal{What: fmt.Sprintf("ban %s: wider than a /%d", p, widest), Hint: "say --force if that is really meant"}
	case r.For < 0 || r.For > 0 && r.For < time.Second:
		return &Refusal{What: fmt.Sprintf("ban %s: %s is no time", p, r.For), Hint: "write --for 12h, say, or leave it out: then it lasts until it is lifted"}
	case len(r.Because) > maxBecause || strings.ContainsFunc(r.Because, unicode.IsControl):
		return &Refusal{What: fmt.Sprintf("ban %s: the reason is longer than %d bytes or holds control characters", p, maxBecause)}
	}
	for _, a := range r.Peers {
		if p.Contains(a.Unmap().WithZone("")) {
			return &Refusal{What: fmt.Sprintf("ban %s: it holds %s, from where you are logged in", p, a), Hint: "ban its parts, or from another place"}
		}
	}
	return nil
}

func (c *core) ban(ctx context.Context, p netip.Prefix, r BanRequest) ([]Held, error) {
	if c.phase != running {
		return nil, &Refusal{What: "ban: still " + c.phase, Hint: "try again in a moment"}
	}
	if c.list.BanNothing() {
		return nil, &Refusal{What: "ban: a part of the allowlist was never read, so nothing is banned", Hint: "'postmoat allow' says what is wrong"}
	}
	until := int64(ban.Forever)
	if r.For > 0 {
		until = max(c.engine.Now(), c.d.o.Now().Unix()) + int64(r.For/time.Second)
	}
	c.engine.Start(c.d.o.Now().Unix() - settle)
	made, err := c.engine.Ban(p, until, r.Because)
	if err != nil && len(made) == 0 {
		return nil, &Refusal{What: err.Error(), Hint: fmt.Sprintf("'postmoat allow' says why %s may not be banned", p)}
	}
	// Written down before the firewall is told: what is in force must not be
	// lost. And not before the engine has taken it: what was refused must not be
	// made at the next start, when the allowlist may be another.
	c.note(record{Ban: &banRecord{Prefix: p, Until: until, Because: r.Because}}, true)
	c.d.log.Info("ban by hand", "prefix", p, "until", stamp(until), "because", r.Because, "by", r.By)
	err = c.flush(ctx)
	var out []Held
	for _, b := range made {
		h := c.held(b, false)
		if err != nil {
			h.State = "waiting"
		}
		out = append(out, h)
	}
	return out, nil
}

// Unban lifts bans and returns when the firewall has let go.
func (d *Daemon) Unban(ctx context.Context, r UnbanRequest) (u Unbanned, err error) {
	doErr := d.in.do(ctx, func() { u, err = d.core.unban(ctx, r) })
	return u, cmp.Or(doErr, err)
}

func (c *core) unban(ctx context.Context, r UnbanRequest) (Unbanned, error) {
	u := Unbanned{Lifted: []netip.Prefix{}}
	if c.phase != running {
		return u, &Refusal{What: "unban: still " + c.phase, Hint: "try again in a moment"}
	}
	ps := []netip.Prefix{prefix.Canonical(r.Prefix)}
	if !r.Prefix.IsValid() {
		ps = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	if r.Prefix.IsValid() && r.For > 0 {
		if allow.GreatPart(ps[0]) {
			return u, &Refusal{What: fmt.Sprintf("unban %s: that is a great part of the Internet, and nothing in it would be banned for %s", ps[0], r.For),
				Hint: "'postmoat unban --all' lifts every ban, and --for 0 puts nothing on the allowlist; 'postmoat pause' keeps new bans away"}
		}
		// First, so that there is no moment in which it can come back. It is
		// kept over a restart: the hour has been promised.
		until := c.d.o.Now().Add(r.For).Unix()
		k := c.d.collector()
		l, err := k.Add(allow.Addition{Prefix: ps[0], Until: until, Persist: true, Because: "unbanned"})
		if err != nil {
			return u, &Refusal{What: "unban: " + err.Error()}
		}
		c.noteAllow()
		u.Allowed = timeOf(until)
		defer c.change(k, l, true)
	}
	c.note(record{Unban: &unbanRecord{ps}}, true)
	for _, p := range ps {
		u.Lifted = append(u.Lifted, c.engine.Unban(p)...)
	}
	c.d.log.Info("unbanned by hand", "prefixes", ps, "lifted", len(u.Lifted), "allowed", r.For, "by", r.By)
	if err := c.flush(ctx); err != nil {
		u.Pending = err.Error()
	}
	return u, nil
}

// Unwritten is how many of the things that operators did and firewalls counted
// wait for the disk, which does not take them: they are lost if the daemon ends
// before it does. It is for whoever has just changed something.
func (d *Daemon) Unwritten() int { return d.ledger.Pending() }

// Allowlist is the allowlist in force.
func (d *Daemon) Allowlist() *allow.List {
	k := d.collector()
	if k == nil {
		return nil
	}
	return k.List()
}

// AllowAdd puts a prefix on the allowlist, which carves or lifts running bans
// before it returns. A great part of the Internet is refused: one mistyped
// length would lift every ban.
func (d *Daemon) AllowAdd(ctx context.Context, a allow.Addition, by string) error {
	a.Prefix = prefix.Canonical(a.Prefix)
	if allow.GreatPart(a.Prefix) {
		return &Refusal{What: fmt.Sprintf("allow %s: that is a great part of the Internet, and nothing in it would be banned", a.Prefix),
			Hint: "name the networks that are meant; 'postmoat pause' keeps new bans away"}
	}
	return d.readdress(ctx, func(k *allow.Collector) (*allow.List, error) { return k.Add(a) },
		"allowlisted by hand", a.Prefix, by)
}

// AllowRemove takes back what AllowAdd did.
func (d *Daemon) AllowRemove(ctx context.Context, p netip.Prefix, by string) error {
	p = prefix.Canonical(p)
	return d.readdress(ctx, func(k *allow.Collector) (*allow.List, error) { return k.Remove(p) },
		"taken off the allowlist by hand", p, by)
}

func (d *Daemon) readdress(ctx context.Context, change func(*allow.Collector) (*allow.List, error), what string, p netip.Prefix, by string) error {
	var err error
	doErr := d.in.do(ctx, func() {
		c := d.core
		k := d.collector()
		var l *allow.List
		if l, err = change(k); err != nil {
			err = &Refusal{What: err.Error()}
			return
		}
		c.noteAllow()
		d.log.Info(what, "prefix", p, "by", by)
		c.change(k, l, true)
	})
	return cmp.Or(doErr, err)
}

// Pause goes on scoring but bans nobody new; what is banned stays so until its
// end.
func (d *Daemon) Pause(ctx context.Context, by string) error {
	return d.in.do(ctx, func() { d.core.pause(cmp.Or(by, "somebody")) })
}

// Resume bans again, and closes the breaker if it had tripped.
func (d *Daemon) Resume(ctx context.Context, by string) error {
	return d.in.do(ctx, func() {
		c := d.core
		c.note(record{Resume: true}, true)
		c.engine.Resume()
		c.pause("")
		d.log.Info("goes on banning", "by", by)
		d.tell(Event{Time: c.now(), Type: "resume", Text: by})
	})
}

// pause holds bans back; by "" goes on.
func (c *core) pause(by string) {
	c.note(record{Pause: &pauseRecord{by}}, true)
	// What was said before a restart, and is not yet done again, is out of date.
	c.replay = slices.DeleteFunc(c.replay, func(r record) bool { return r.Pause != nil })
	c.paused = by
	c.hold()
	if by != "" {
		c.d.log.Warn("paused: nobody new is banned", "by", by)
		c.d.tell(Event{Time: c.now(), Type: "pause", Text: by})
	}
}

// A Refusal is a request that makes no sense or would do harm.
type Refusal struct {
	What string // "ban 192.0.2.0/8: wider than a /16"
	Hint string // what to do instead; may be empty
}

func (r *Refusal) Error() string { return r.What }
