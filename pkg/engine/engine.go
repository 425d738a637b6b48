// Package engine is postmoat's core put together: line, event, offence,
// offender, cover, ban, firewall change. It is a chain of plain calls on
// values, driven by the times that the lines carry: no goroutine, no clock, no
// file. Daemon and replay run the same Feed and Tick, so that a day that was
// watched and its replay give the same bans.
package engine

import (
	"math"
	"net/netip"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/score"
)

// Options is what an Engine is made of. Rules must have been compiled for the
// names of Windows, in that order.
type Options struct {
	Rules   *rule.Set
	Windows []score.Window
	Ban     ban.Options // Budget is for all doors together
	// Allow is what is never banned; it is not copied and must not be
	// changed but through Engine.SetAllow.
	Allow *prefix.Set
	// Clients bounds the clients each door keeps evidence of, and the good
	// senders that are remembered.
	Clients int
	// AddressesPerMinute and KnownGood are the limits of the breaker.
	AddressesPerMinute int64
	KnownGood          int
}

// An Engine holds the state of the core. It is not safe for concurrent use:
// one goroutine owns it.
type Engine struct {
	o       Options
	front   Front
	allow   *prefix.Set
	good    *score.Good
	breaker *ban.Breaker
	tables  [maillog.NumDoors]*score.Table
	books   [maillog.NumDoors]*ban.Book
	classes [maillog.NumDoors][]score.ClassID // by rule.Hit.ID, 1 more than the class; 0: not asked for yet

	next  int64 // run has nothing to do before this
	swept int64
	spare uint64 // clock.judged from which on the tables may be rewound
	held  bool   // nobody is banned, see Hold
	since int64  // lines before this only teach good senders
	until int64  // lines after this are ignored

	roll roll

	parser maillog.Parser // of Feed
	ev     maillog.Event  // of Feed
	out    Outcome

	offenders []ban.Offender
}

// New makes an Engine that has seen nothing.
func New(o Options) *Engine {
	e := &Engine{o: o, allow: o.Allow, since: math.MinInt64, until: math.MaxInt64}
	if e.allow == nil {
		e.allow = new(prefix.Set)
	}
	e.front = Front{rules: o.Rules, joiner: maillog.NewJoiner()}
	e.roll.seats = new([seats]seat)
	e.good = score.NewGood(o.Clients)
	e.breaker = ban.NewBreaker(o.AddressesPerMinute, o.KnownGood)
	for d := range e.tables {
		e.tables[d] = score.NewTable(score.Options{
			Windows: o.Windows, MaxClients: o.Clients, Late: Late, Counted: e.counted,
		}, e.good)
		e.books[d] = ban.NewBook(maillog.Door(d), o.Ban, e.allow, e.good, e.breaker)
	}
	e.share()
	return e
}

// Source declares a source of lines: the zone and the reference time of its
// stamps.
func (e *Engine) Source(src uint32, o maillog.SourceOptions) { e.front.joiner.Source(src, o) }

// Horizon tells the engine that no honest line is later than t, so that a
// step forward up to t (a quiet night) is believed at once.
func (e *Engine) Horizon(t int64) { e.front.clock.horizon = t }

// Span narrows what is scored: lines before since teach good senders and
// nothing else, nobody is banned for them; lines after until are ignored.
func (e *Engine) Span(since, until int64) { e.since, e.until = since, until }

// Now is the scoring clock, 0 before the first line.
func (e *Engine) Now() int64 { return e.front.clock.mark }

// A Verdict says what the engine made of a line.
type Verdict uint8

// The verdicts.
const (
	Nothing   Verdict = iota // no event, or no client in it
	Neutral                  // an event that is no offence
	Allowed                  // an offence of an allowlisted client
	Stale                    // an old password tried again: counts once an hour
	TooLate                  // an offence too old to be scored
	Scored                   // an offence
	Prevented                // a line of a client inside a running ban
	Learnt                   // before the span: only good evidence was taken
	Past                     // after the span: ignored
)

// A Stamp says whether the time that a line bears was believed.
type Stamp uint8

// The stamps.
const (
	Believed Stamp = iota
	Ahead          // from an implausible future: the line counts at the clock's time
	Old            // too old to be scored
)

// An Outcome is what one line did. It is valid until the next Feed.
type Outcome struct {
	Event   *maillog.Event
	Verdict Verdict
	At      int64 // the time the line counts at, Unix seconds; 0: no event
	// Hits are the rules that matched, by door; also of lines that were not
	// scored.
	Hits rule.Hits
	// Offences is how many offences the line stands for, scored or not.
	Offences uint32
	// Ban is the running ban the line was prevented by.
	Ban *ban.Ban
	// Fired says that the line made somebody an offender.
	Fired bool
	Stamp Stamp
	// Note is a number that the reader of outcomes may keep with the client of
	// an event that is Neutral or more; nil for others. It is 0 at first, and
	// again when the engine has forgotten it.
	Note *uint32
}

// Good is how many accepted messages and logins the line stands for.
func (o *Outcome) Good() uint32 { return o.Event.Messages + o.Event.Logins }

// Feed takes one line of a log. src is the source the line is from, seq its
// number there, counting every line.
func (e *Engine) Feed(src uint32, seq uint64, line []byte) *Outcome {
	e.parser.Parse(line, &e.ev)
	if e.ev.Kind == maillog.KindNone && e.front.rules.HasCustom() {
		maillog.Split(line, &e.ev)
	}
	return e.FeedEvent(src, seq, &e.ev)
}

// FeedEvent is Feed for a line that was parsed elsewhere. Lines of KindNone
// need not be fed.
func (e *Engine) FeedEvent(src uint32, seq uint64, ev *maillog.Event) *Outcome {
	out := e.FeedLent(src, seq, ev)
	e.Keep()
	return out
}

// Keep copies what is remembered of the line of the last FeedLent. It and its
// event may then be overwritten.
func (e *Engine) Keep() { e.front.joiner.Keep() }

// FeedLent is FeedEvent for a line and an event that stay as they are until the
// next call of any Feed, or of Keep: that saves a copy of each line.
func (e *Engine) FeedLent(src uint32, seq uint64, ev *maillog.Event) *Outcome {
	out := &e.out
	*out = Outcome{Event: ev}
	f := &e.front
	if ev.Kind <= maillog.KindUnknown && !f.custom(ev, out) {
		return out
	}
	ses := f.joiner.Join(src, seq, f.clock.mark, ev)
	if ev.Kind == maillog.KindNone {
		return out
	}
	at, ok := ev.Time, true
	if !f.clock.stands(at) {
		if at, ok = f.clock.accept(at, ev.PID); f.clock.back {
			e.rewind()
		}
		switch {
		case !ok:
			out.Stamp = Old
		case at != ev.Time:
			out.Stamp = Ahead
		}
	}
	out.At = at
	if ev.Kind == maillog.KindCustom || f.rules.Asks(ev) {
		f.match(ev, ses, out)
	}
	if at > e.until {
		*out = Outcome{Event: ev, Stamp: out.Stamp}
		if h := f.clock.horizon; h == 0 || at <= h { // else it tells nothing of what follows
			out.Verdict, out.At = Past, at
		}
		return out
	}
	if at >= e.next {
		e.run(at)
	}
	if at < e.since {
		e.learn(ev, out)
		return out
	}
	if !ev.Client.IsValid() {
		return out
	}
	s := e.seat(&ev.Client, out)
	// The user name stands before the address in Dovecot's auth lines: good
	// enough to be shown, not to act on.
	if (s.bans[0] != nil || s.bans[1] != nil) && ev.Kind != maillog.DovecotAuthFail && e.knock(s, ev, at, out) {
		return out
	}
	out.Verdict = Neutral
	if ev.Messages|ev.Logins != 0 {
		e.remember(ev, at, &s.record)
	}
	if out.Offences == 0 {
		return out
	}
	switch {
	case e.allowed(s):
		out.Verdict = Allowed
	case !ok:
		out.Verdict = TooLate
	case e.stale(ev, at):
		out.Verdict = Stale
	default:
		out.Verdict = Scored
		e.offend(ev, at, out)
	}
	return out
}

// learn takes what a line before the span says of good senders.
func (e *Engine) learn(ev *maillog.Event, out *Outcome) {
	out.Verdict = Learnt
	if !ev.Client.IsValid() {
		return
	}
	e.remember(ev, out.At, &score.Ref{})
	if out.Offences > 0 && !e.allow.Contains(ev.Client) {
		e.good.Offended(ev.Client, out.At)
	}
}

// Tick moves the scoring clock on over time without lines: live, idle wall
// time advances it.
func (e *Engine) Tick(now int64) {
	if e.front.clock.mark == 0 {
		return
	}
	e.front.clock.advance(now)
	e.run(e.front.clock.mark)
}

// run does what is due up to t: each due second on its own, in order, so that
// it does not matter how often it is called.
func (e *Engine) run(t int64) {
	c := &e.front.clock
	if t >= c.top {
		c.top = 0
	}
	for {
		due := e.due()
		if c.top != 0 && c.since+settled <= min(t, due) {
			c.top = 0
			for _, b := range e.books {
				b.Rewind(c.since + settled)
			}
			continue
		}
		if due > t {
			break
		}
		e.share()
		for _, b := range e.books {
			b.Tick(due)
		}
	}
	e.good.Advance(t)
	if t-e.swept >= 64 || t < e.swept {
		e.swept = t
		for _, tab := range e.tables {
			tab.Sweep(t)
		}
	}
	e.next = e.wake(t)
}

// rewind is called when the scoring clock was set back, and with each line that
// it judges until all know it. That costs a walk over all clients: a log whose
// lines come in turn from two clocks sets it back every few lines, and has to
// bring as many lines as make up for one walk before the next. Bans are left alone
// until the clock has settled: those of the clock that is ahead would end with each
// step back.
func (e *Engine) rewind() {
	c := &e.front.clock
	now := e.Now()
	if c.top != 0 && now >= c.top { // it was the other clock
		c.back = false
		return
	}
	e.swept = min(e.swept, now)
	e.good.Rewind(now)
	if c.judged >= e.spare {
		c.back = false
		clients := 0
		for d := range e.tables {
			e.tables[d].Rewind(now)
			clients += e.tables[d].Len()
		}
		e.spare = c.judged + rewindLines + uint64(clients)/rewindClients
	}
	e.next = e.wake(now)
}

// After a walk as many lines as these and one for so many clients come before
// the next.
const (
	rewindLines   = 512
	rewindClients = 8
)

// wake is when run has to be called next: a ban is due, memory is to be
// swept, or a day begins.
func (e *Engine) wake(t int64) int64 {
	next := min(e.due(), e.swept+64, (t/86400+1)*86400)
	if c := &e.front.clock; c.top != 0 {
		next = min(next, c.top, c.since+settled)
	}
	return next
}

func (e *Engine) due() int64 {
	due := int64(math.MaxInt64)
	for _, b := range e.books {
		due = min(due, b.Next())
	}
	return due
}

// share splits the budget of entries between the doors: what one does not
// use the other may.
func (e *Engine) share() {
	for d, b := range e.books {
		others := 0
		for o, x := range e.books {
			if o != d {
				others += x.Len()
			}
		}
		b.SetBudget(max(e.o.Ban.Budget-others, e.o.Ban.Budget/len(e.books)))
	}
}

// knock says whether the client is inside a running ban that holds at the
// event's door; if so the line is a knock on it.
func (e *Engine) knock(s *seat, ev *maillog.Event, at int64, out *Outcome) bool {
	door := ev.Door()
	other := (door + 1) % maillog.NumDoors
	if x := s.bans[other]; x != nil && x.Entry().Everywhere() {
		e.books[other].Knock(x, at, uint64(ev.Count))
		out.Ban = x
	}
	if x := s.bans[door]; x != nil {
		e.books[door].Knock(x, at, uint64(ev.Count))
		out.Ban = x
	}
	if out.Ban == nil {
		return false
	}
	out.Verdict = Prevented
	return true
}

// remember keeps the good evidence of an event. ref may know its record.
func (e *Engine) remember(ev *maillog.Event, at int64, ref *score.Ref) {
	if ev.Messages == 0 && ev.Logins == 0 {
		return
	}
	if ev.Messages > 0 {
		e.good.MessageOf(ref, ev.Client, at, int(ev.Messages), int(ev.Recipients()))
	}
	if ev.Logins > 0 {
		e.good.LoginOf(ref, ev.Client, at, int(ev.Logins), hash(ev.Text(maillog.SASLUser)))
	}
	if fresh := e.good.Fresh(); len(fresh) > 0 {
		holes := make([]netip.Prefix, len(fresh))
		for i, a := range fresh {
			holes[i] = prefix.Host(a)
		}
		for _, b := range e.books {
			b.Carve(e.Now(), holes)
		}
		e.next = min(e.next, e.due())
	}
}

// stale says whether an authentication failure is that of a client that has
// an old password of a user who logs in from there.
func (e *Engine) stale(ev *maillog.Event, at int64) bool {
	switch ev.Kind {
	case maillog.SMTPDSASLFail, maillog.DovecotLoginFail:
	default:
		return false
	}
	user := hash(ev.Text(maillog.SASLUser))
	return user != 0 && e.good.StalePassword(ev.Client, user, at)
}

// key is what is scored: the address, or the /64 of an IPv6 address unless an
// allowlisted or known-good address lives in it.
func (e *Engine) key(a netip.Addr) netip.Prefix {
	u := prefix.Unit(a)
	if !a.Is4() && (e.allow.Overlaps(u) || e.good.AnyIn(u)) {
		return prefix.Host(a)
	}
	return u
}
