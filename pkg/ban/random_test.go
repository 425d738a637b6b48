package ban

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/score"
)

// small makes collapses likely: IPv4 in buckets of 16 addresses, IPv6 in
// buckets of 16 /64.
var small = Options{
	Time: 3600, Max: 8 * 3600, Memory: 30 * 86400, Parole: 86400,
	Cover4: cover.Options{Price: 6, Rungs: []cover.Rung{{Bits: 30, Need: 2}, {Bits: 28, Need: 4}}},
	Cover6: cover.Options{Price: 6, Rungs: []cover.Rung{{Bits: 62, Need: 2}, {Bits: 60, Need: 4}}},
}

// A world is a book, its shared neighbours, its twin, and the mirror of a
// firewall.
type world struct {
	t      testing.TB
	r      *rand.Rand
	now    int64
	o      Options
	allow  *prefix.Set
	good   *score.Good
	goodAt int64
	addrs  []netip.Addr // all that there are
	book   *Book
	twin   *twin // nil: not compared
	mirror map[netip.Prefix]Entry
	log    []string
}

func newWorld(t testing.TB, seed uint64, o Options, withTwin bool, breaker *Breaker) *world {
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 7)), now: 1_800_000_000, o: o,
		allow: new(prefix.Set), good: score.NewGood(0), goodAt: 1_700_000_000, mirror: map[netip.Prefix]Entry{},
	}
	for i := range 48 { // three buckets
		w.addrs = append(w.addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	for i := range 24 { // one and a half buckets of /64
		for j := range 3 + 25*(i%2) {
			w.addrs = append(w.addrs, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(i), 14: byte(j * 41), 15: byte(j)}))
		}
	}
	w.book = NewBook(maillog.SMTP, o, w.allow, w.good, breaker)
	if withTwin {
		w.twin = &twin{o: o, allow: w.allow, good: w.good, all: w.addrs, past: map[netip.Prefix]mark{}, spared: map[netip.Prefix]int64{}}
	}
	return w
}

func (w *world) addr() netip.Addr { return w.addrs[w.r.IntN(len(w.addrs))] }

// key is what the engine would score of an address.
func (w *world) key(a netip.Addr) netip.Prefix {
	u := prefix.Unit(a)
	if !a.Is4() && (w.allow.Overlaps(u) || w.good.AnyIn(u)) {
		return prefix.Host(a)
	}
	return u
}

// prefixes of all widths that matter.
func (w *world) prefix() netip.Prefix {
	a := w.addr()
	bits := []int{32, 32, 32, 31, 30, 29, 28, 27}
	if !a.Is4() {
		bits = []int{128, 128, 128, 120, 66, 64, 63, 62, 60}
	}
	p, _ := a.Prefix(bits[w.r.IntN(len(bits))])
	return p
}

func (w *world) say(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%d ", w.now)+fmt.Sprintf(format, args...))
}

func (w *world) fatal(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(w.log[max(0, len(w.log)-25):], "\n"))
}

// step does one random thing.
func (w *world) step() {
	switch n := w.r.IntN(100); {
	case n < 35:
		w.offend()
	case n < 50:
		key := w.key(w.addr())
		w.say("offence %s", key)
		if w.book.Lookup(key.Addr()) != nil {
			return // the engine would not ask
		}
		x := w.book.Offence(w.now, key)
		if w.twin != nil && w.twin.offence(w.now, key) != (x != nil) {
			w.fatal("offence: %v", x)
		}
	case n < 65:
		if bans := w.book.Bans(); len(bans) > 0 {
			x := bans[w.r.IntN(len(bans))]
			w.say("knock %s", x.Prefix)
			w.book.Knock(x, w.now, 1)
			if w.twin != nil {
				w.twin.holder(x.Prefix).knock = w.now
			}
		}
	case n < 80:
		w.now += []int64{1, 60, 900, 1800, 3600, 3600, 7200, 40000, 9 * 86400}[w.r.IntN(9)]
		w.say("tick")
		w.tick()
	case n < 85:
		w.becomeGood()
	case n < 88:
		p := w.prefix()
		if w.r.IntN(3) > 0 {
			w.allow.Insert(p)
			w.say("allow %s", p)
		} else {
			for _, q := range w.allow.All() {
				w.allow.Delete(q)
			}
			w.say("allow nothing, %s", p)
		}
		w.carve(p)
	case n < 92:
		p, until := w.prefix(), w.now+1+w.r.Int64N(20000)
		w.say("ban %s until %d", p, until)
		made, err := w.book.Ban(w.now, p, until, "because")
		if (err != nil) != (len(prefix.Subtract(p, w.allow.All())) == 0) || len(made) == 0 && err == nil {
			w.fatal("ban %s: %v, %v", p, made, err)
		}
		if w.twin != nil {
			w.twin.ban(w.now, p, until)
		}
	case n < 97:
		p := w.prefix()
		w.say("unban %s", p)
		w.book.Unban(w.now, p)
		if w.twin != nil {
			w.twin.unban(w.now, p)
		}
		for _, x := range append(w.book.Bans(), w.book.Hidden()...) {
			if x.Prefix.Overlaps(p) {
				w.fatal("%s is still banned by %s", p, x.Prefix)
			}
		}
	case w.twin == nil && w.r.IntN(3) == 0:
		w.now -= []int64{130, 3600, 7200, 40000, 9 * 86400, 300 * 86400}[w.r.IntN(6)]
		w.say("set back")
		w.book.Rewind(w.now)
		for _, x := range w.book.Bans() {
			if !x.Pinned && x.Until > w.now+w.o.term(x.Level) {
				w.fatal("%s is banned until %d, longer than its term", x.Prefix, x.Until)
			}
		}
	default:
		w.offend() // something for the next Flush
		w.say("restore")
		w.restore()
	}
}

func (w *world) offend() {
	var keys []netip.Prefix
	a := w.addr()
	n := 1
	if w.r.IntN(4) == 0 {
		n = 1 + w.r.IntN(30)
	}
	near := w.r.IntN(2) == 0
	for range n {
		keys = append(keys, w.key(a))
		if b := w.addr(); !near || prefix.Unit(b) == prefix.Unit(a) || b.Is4() {
			a = b
		} else if i := slices.Index(w.addrs, a) + 1; i < len(w.addrs) {
			a = w.addrs[i]
		}
	}
	if w.r.IntN(2) == 0 {
		for _, k := range keys { // as the engine does
			if k.IsSingleIP() {
				w.good.Revoke(k.Addr(), w.goodAt)
			}
		}
	}
	last := w.now - w.r.Int64N(100)
	w.say("offend %v", keys)
	var os []Offender
	for _, k := range keys {
		os = append(os, Offender{Key: k, LastOffence: last, Cause: Cause{Window: "burst"}})
	}
	w.book.Offend(w.now, os)
	if w.twin != nil {
		w.twin.offend(w.now, keys, last)
	}
}

func (w *world) becomeGood() {
	a := w.addr()
	w.say("good %s", a)
	w.goodAt += 3 * 86400
	w.good.Message(a, w.goodAt, 3)
	w.good.Login(a, w.goodAt, 3, uint64(w.r.IntN(1000)+1))
	w.goodAt += 86400
	w.good.Login(a, w.goodAt, 3, uint64(w.r.IntN(1000)+1))
	if w.good.Known(a) {
		w.say("is good %s", a)
		w.carve(prefix.Host(a))
	}
}

func (w *world) carve(p netip.Prefix) {
	w.book.Carve(w.now, []netip.Prefix{p})
	if w.twin != nil {
		w.twin.carve(w.now, []netip.Prefix{p})
	}
}

// tick also checks that Next is honest: a second before it nothing happens.
func (w *world) tick() {
	for {
		next := w.book.Next()
		if next > w.now {
			break
		}
		before := w.book.State()
		if c := before.Clock; next-1 >= c {
			w.book.Tick(next - 1)
			before.Clock = next - 1
			if after := w.book.State(); !reflect.DeepEqual(before, after) {
				w.fatal("Tick(Next-1) changed\n%+v\nto\n%+v", before, after)
			}
		}
		renewals := map[*Ban]int{}
		for _, x := range w.book.Bans() {
			renewals[x] = x.Renewals
		}
		w.book.Tick(next)
		for _, x := range w.book.Bans() {
			last := int64(0)
			for _, y := range w.book.parts(x) {
				last = max(last, y.lastOffence())
			}
			if n, ok := renewals[x]; ok && x.Renewals > n && x.Until > last+day {
				w.fatal("%s was renewed to %d, with the last offence at %d", x.Prefix, x.Until, last)
			}
		}
		if w.book.Next() <= next {
			w.fatal("Next is %d after Tick(%d)", w.book.Next(), next)
		}
		if after := w.book.State(); reflect.DeepEqual(before, after) {
			w.fatal("Tick(Next) did nothing")
		}
	}
	w.book.Tick(w.now)
	if w.twin != nil {
		w.twin.tick(w.now)
	}
}

// restore goes on with a book made from what the old one wrote.
func (w *world) restore() {
	was := w.book.State()
	state := encoded(w.t, w.book)
	book := NewBook(maillog.SMTP, w.o, w.allow, w.good, w.book.breaker)
	if err := decoded(book, state); err != nil {
		w.fatal("restore: %v", err)
	}
	if !bytes.Equal(encoded(w.t, book), state) {
		w.fatal("the book that was read is written otherwise")
	}
	g, h := reflect.ValueOf(book.State()), reflect.ValueOf(was)
	for i := range g.NumField() {
		if x, y := plain(g.Field(i)), plain(h.Field(i)); x != y {
			w.fatal("restored %s\n%v\nwant\n%v", g.Type().Field(i).Name, x, y)
		}
	}
	w.book = book
}

// plain is a field of a State as text, with what it points to.
func plain(field reflect.Value) string {
	bans, ok := field.Interface().([]*Ban)
	if !ok {
		return fmt.Sprint(field)
	}
	var all []Ban
	for _, x := range bans {
		all = append(all, *x)
	}
	return fmt.Sprint(all)
}

// check looks at everything that always holds.
func (w *world) check() {
	b := w.book
	bans := b.Bans()
	if b.Len() != len(bans) || len(b.AppendEntries(nil)) != len(bans) {
		w.fatal("Len is %d, with %d bans", b.Len(), len(bans))
	}
	members := map[netip.Prefix]bool{}
	for i, x := range bans {
		if i > 0 && (bans[i-1].Prefix.Overlaps(x.Prefix) || bans[i-1].Prefix.Compare(x.Prefix) >= 0) {
			w.fatal("%s and %s overlap or are out of order", bans[i-1].Prefix, x.Prefix)
		}
		if w.allow.Overlaps(x.Prefix) {
			w.fatal("%s is banned, in spite of the allowlist", x.Prefix)
		}
		if e := b.AppendEntries(nil)[i]; e != x.Entry() || e.Prefix != x.Prefix || e.Door != maillog.SMTP {
			w.fatal("entry %+v of %s", e, x.Prefix)
		}
		for _, m := range x.Members {
			if !prefix.Covers(x.Prefix, m.Key) {
				w.fatal("%s is no member of %s", m.Key, x.Prefix)
			}
			if members[m.Key] {
				w.fatal("%s is member of two bans", m.Key)
			}
			members[m.Key] = true
		}
		if len(x.Members) == 0 && !x.Pinned && !x.Site.IsValid() {
			w.fatal("%s has no members", x.Prefix)
		}
		w.checkTimes(x)
		if got := b.Lookup(prefix.Last(x.Prefix)); got != x {
			w.fatal("Lookup in %s gave %v", x.Prefix, got)
		}
	}
	for _, x := range b.Hidden() {
		if h := b.holder(x.Prefix); h == nil || h == x || w.allow.Overlaps(x.Prefix) || !x.Pinned {
			w.fatal("%s is hidden", x.Prefix)
		}
	}
	for _, a := range w.addrs {
		x := b.Lookup(a)
		if x == nil || !w.good.Known(a) || x.Pinned || !x.wide() && !x.Site.IsValid() {
			continue
		}
		if !members[prefix.Host(a)] && !members[prefix.Unit(a)] {
			w.fatal("known-good %s is inside %s", a, x.Prefix)
		}
	}
	w.checkMirror()
}

func (w *world) checkTimes(x *Ban) {
	if x.Until <= w.now {
		w.fatal("%s is over since %d", x.Prefix, x.Until)
	}
	if x.Deadline < x.Until+leastStep {
		w.fatal("%s until %d has deadline %d", x.Prefix, x.Until, x.Deadline)
	}
	if x.Pinned {
		return
	}
	if term := w.book.o.term(x.Level); x.Deadline > x.Until+max(w.o.Max/4, 2*leastStep) || x.Deadline < x.Until+term/8 {
		w.fatal("%s until %d with term %d has deadline %d", x.Prefix, x.Until, term, x.Deadline)
	}
	if x.Until > w.now+w.o.Max {
		w.fatal("%s runs until %d", x.Prefix, x.Until)
	}
}

// checkMirror feeds a firewall with the changes alone.
func (w *world) checkMirror() {
	c := w.book.Flush()
	seen := map[netip.Prefix]bool{}
	for _, list := range [][]Entry{c.Add, c.Refresh, c.Remove} {
		for i, e := range list {
			if seen[e.Prefix] || i > 0 && list[i-1].Prefix.Compare(e.Prefix) >= 0 {
				w.fatal("change %+v", c)
			}
			seen[e.Prefix] = true
		}
	}
	for _, e := range c.Remove {
		if w.mirror[e.Prefix].Prefix != e.Prefix {
			w.fatal("removes %s, which is not there", e.Prefix)
		}
		delete(w.mirror, e.Prefix)
	}
	for _, e := range c.Refresh {
		if old, ok := w.mirror[e.Prefix]; !ok || old.Deadline == e.Deadline {
			w.fatal("refreshes %s from %d to %d", e.Prefix, old.Deadline, e.Deadline)
		}
		w.mirror[e.Prefix] = e
	}
	for _, e := range c.Add {
		if _, ok := w.mirror[e.Prefix]; ok {
			w.fatal("adds %s twice", e.Prefix)
		}
		w.mirror[e.Prefix] = e
	}
	if len(w.mirror) != w.book.Len() {
		w.fatal("mirror has %d, book %d", len(w.mirror), w.book.Len())
	}
	for _, e := range w.book.AppendEntries(nil) {
		if m := w.mirror[e.Prefix]; m.Prefix != e.Prefix || m.Deadline != e.Deadline || m.Door != e.Door {
			w.fatal("mirror has %+v, book %+v", m, e)
		}
	}
}

// same compares book and twin.
func (w *world) same() {
	var got, want []string
	line := func(p, site netip.Prefix, pinned, hidden bool, until int64, level int, knock int64, members []string) string {
		return fmt.Sprintf("%s site %s pinned %t hidden %t until %d level %d knock %d: %s", p, site, pinned, hidden, until, level, knock, strings.Join(members, " "))
	}
	for i, list := range [][]*Ban{w.book.Bans(), w.book.Hidden()} {
		for _, x := range list {
			var ms []string
			for _, m := range x.Members {
				ms = append(ms, fmt.Sprintf("%s/%d/%d", m.Key, m.Level, m.LastOffence))
			}
			knock := x.LastKnock
			for _, y := range w.book.parts(x) {
				knock = max(knock, y.LastKnock)
			}
			got = append(got, line(x.Prefix, x.Site, x.Pinned, i == 1, x.Until, x.Level, knock, ms))
		}
	}
	force := w.twin.force()
	for _, x := range w.twin.bans {
		var ms []string
		for _, k := range slices.SortedFunc(maps.Keys(x.members), netip.Prefix.Compare) {
			ms = append(ms, fmt.Sprintf("%s/%d/%d", k, x.members[k].level, x.members[k].last))
		}
		knock := x.knock
		for _, y := range w.twin.unit(x) {
			knock = max(knock, y.knock)
		}
		want = append(want, line(x.p, x.site, x.pinned, !slices.Contains(force, x), x.until, x.level, knock, ms))
	}
	slices.Sort(got)
	slices.Sort(want)
	w.equal("bans", got, want)
	got, want = nil, w.twin.ended
	w.twin.ended = nil
	for _, s := range w.book.Ended() {
		got = append(got, fmt.Sprintf("%d %s %s %s", s.Ended, s.Prefix, s.End, s.Into))
	}
	slices.Sort(got)
	slices.Sort(want)
	w.equal("ended", got, want)
}

// equal compares two sorted lists and shows what only one of them has.
func (w *world) equal(what string, got, want []string) {
	if slices.Equal(got, want) {
		return
	}
	without := func(a, b []string) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) }), "\n")
	}
	w.fatal("%s: the book has\n%s\nthe twin\n%s", what, without(got, want), without(want, got))
}

func TestBookIsItsTwin(t *testing.T) {
	for seed := range uint64(40) {
		w := newWorld(t, seed, small, true, nil)
		for range 250 {
			w.step()
			w.check()
			w.same()
		}
	}
}

// With a budget and a breaker, which the twin does not know.
func TestInvariants(t *testing.T) {
	o := small
	o.Budget = 9
	for seed := range uint64(40) {
		w := newWorld(t, seed, o, false, NewBreaker(12, 1))
		for range 250 {
			w.step()
			w.check()
			w.tick()
			if w.book.over() {
				w.fatal("%d entries after a tick", w.book.Len())
			}
			w.check()
			w.book.Ended()
		}
	}
}

// The same calls give the same book.
func TestDeterministic(t *testing.T) {
	run := func() State {
		o := small
		o.Budget = 15
		w := newWorld(t, 3, o, false, NewBreaker(30, 1))
		for range 400 {
			w.step()
		}
		return w.book.State()
	}
	if a, b := run(), run(); !reflect.DeepEqual(a, b) {
		t.Fatalf("%+v\n%+v", a, b)
	}
}

func TestNextOfEmpty(t *testing.T) {
	if n := NewBook(maillog.SMTP, small, nil, nil, nil).Next(); n != math.MaxInt64 {
		t.Fatalf("%d", n)
	}
}
