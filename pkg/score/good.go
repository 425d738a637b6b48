package score

import (
	"net/netip"
	"slices"
	"unsafe"

	"github.com/postmoat/postmoat/pkg/fetch"
)

// Good remembers which clients deliver wanted mail: accepted messages and
// authenticated logins. It is one for all doors.
//
// A day is a UTC day, and the day of every call is that of the newest time
// any call has named: what comes late over midnight belongs to the new day.
// At most 3 messages and logins of a client count a day, with a half-life of
// 30 days. None count on a day on which the client has offended, on the day
// before it and on the day after it: so none within 24 h of an offence.
type Good struct {
	max      int
	keep     int64 // seconds for which accepted messages are kept
	mark     int64 // newest time
	now      int64 // mark, unless the clock was set back since: see Rewind
	behind   int64 // since when it has been more than a day before mark; 0: it is not
	day      int64 // of mark
	clients  records
	order    addrs // all of clients
	known    addrs // the known good
	fresh    []netip.Addr
	accounts map[uint64]*account
	bad      [2]offenders // today's and yesterday's that are not in clients
	evicted  uint64
}

// A record is what is known of one client: 64 bytes, and what is older than
// the newest bucket of messages elsewhere.
type record struct {
	old              uint32 // evidence from before yesterday, decayed, in 1/65536
	yesterday, today uint8
	unknown          bool   // a login of an unknown user has counted today
	known            bool   // known good
	gone             bool   // forgotten
	days             uint16 // distinct days with evidence that still counts
	last             uint32 // day of the last message or login
	off              uint32 // day of the last offence; 0: none
	since            uint32 // when it became known good, Unix seconds
	volume           volume
}

type offenders struct {
	v4 keyset[key4]
	v6 keyset[key16]
}

const (
	one      = 1 << 16 // one message
	dayMax   = 3       // messages and logins that count a day
	daySecs  = 86400
	halfLife = 4196870107 // 2^(-1/30) in 1/2^32: what a day leaves
	minDays  = 2          // distinct days of a known good client
	minLevel = 5 * one / 2
	empty    = one / 4 // less is nothing, and forgotten
)

// NewGood makes an empty Good that remembers at most max clients; 0: 1,000,000.
func NewGood(max int) *Good {
	if max <= 0 {
		max = 1_000_000
	}
	return &Good{max: max, clients: newRecords(), accounts: map[uint64]*account{}}
}

func decay(x uint32) uint32 { return uint32(uint64(x) * halfLife >> 32) }

// level is the evidence as of today, in 1/65536.
func (r *record) level() uint32 {
	return r.old + decay(uint32(r.yesterday)*one) + uint32(r.today)*one
}

// A Ref may know where the record of one client is. The zero value knows
// nothing; it must be used for one client of one Good only.
type Ref struct{ r *record }

// Fetch has the record fetched, if it is known.
func (r *Ref) Fetch() { fetch.Line(unsafe.Pointer(r.r)) }

// Message notes n accepted messages to a recipient each.
func (g *Good) Message(c netip.Addr, t int64, n int) { g.MessageOf(&Ref{}, c, t, n, n) }

// MessageOf notes n accepted messages to so many recipients in all, of a
// client whose record ref may know.
func (g *Good) MessageOf(ref *Ref, c netip.Addr, t int64, n, recipients int) {
	if n <= 0 || !c.IsValid() {
		return
	}
	g.Advance(t)
	r := ref.r
	if r == nil || r.gone {
		c = plain(c)
		if g.keep > 0 {
			r = g.record(c)
		} else if r = g.peek(c); r == nil {
			return
		}
		ref.r = r
	}
	if g.keep > 0 {
		r.volume.add(clampTime(t)/volumeBucket, recipients, cutAt(g.now, g.keep))
	}
	g.count(c, r, n)
}

// Login notes n authenticated logins of a user; user 0 is an unknown one, who
// counts at most once a day. A user makes at most 8 addresses good: see
// account.
func (g *Good) Login(c netip.Addr, t int64, n int, user uint64) { g.LoginOf(&Ref{}, c, t, n, user) }

// LoginOf is Login for a client whose record ref may know.
func (g *Good) LoginOf(ref *Ref, c netip.Addr, t int64, n int, user uint64) {
	c = plain(c)
	if n <= 0 || !c.IsValid() {
		return
	}
	g.Advance(t)
	if user != 0 {
		a := g.account(user)
		switch {
		case a == nil: // too many users: this one is not known
			user = 0
		case !a.login(addrKey16(c), t, g.now):
			return
		}
	}
	if ref.r == nil || ref.r.gone {
		if ref.r = g.peek(c); ref.r == nil {
			return
		}
	}
	if user == 0 {
		if ref.r.unknown {
			return
		}
		ref.r.unknown = true
		n = 1
	}
	g.count(c, ref.r, n)
}

// peek is the record of a client, made unless the client has offended so that
// nothing would count.
func (g *Good) peek(c netip.Addr) *record {
	if r := g.clients.get(c); r != nil {
		return r
	}
	if g.offence(c) != 0 {
		return nil
	}
	return g.add(c)
}

// record is the record of a client, made if need be.
func (g *Good) record(c netip.Addr) *record {
	if r := g.clients.get(c); r != nil {
		return r
	}
	return g.add(c)
}

// add makes the record of a new client.
func (g *Good) add(c netip.Addr) *record {
	if g.clients.len() >= g.max {
		g.evict()
	}
	r := &record{off: uint32(g.offence(c)), last: uint32(g.day)}
	g.clients.put(c, r)
	g.order.insert(c)
	return r
}

// count adds evidence.
func (g *Good) count(c netip.Addr, r *record, n int) {
	r.last = uint32(g.day)
	if r.today < dayMax && (r.off == 0 || int64(r.off) < g.day-1) {
		g.raise(plain(c), r, min(n, dayMax-int(r.today)))
	}
}

// raise adds evidence of today that counts.
func (g *Good) raise(c netip.Addr, r *record, n int) {
	if r.today == 0 {
		r.days = min(r.days, 1<<16-2) + 1
	}
	r.today += uint8(n)
	g.judge(c, r)
}

// judge makes a client known good, or no longer.
func (g *Good) judge(c netip.Addr, r *record) {
	known := r.days >= minDays && r.level() >= minLevel
	if known == r.known {
		return
	}
	r.known = known
	if known {
		r.since = uint32(g.now)
		g.known.insert(c)
		g.fresh = append(g.fresh, c)
	} else {
		r.since = 0
		g.known.remove(c)
	}
}

// Offended notes an offence: what counted today and yesterday is taken back,
// and nothing counts today and tomorrow.
func (g *Good) Offended(c netip.Addr, t int64) {
	c = plain(c)
	if !c.IsValid() {
		return
	}
	g.Advance(t)
	r := g.clients.get(c)
	if r == nil {
		g.blame(c, 0)
		return
	}
	r.off = uint32(g.day)
	for _, n := range []uint8{r.today, r.yesterday} {
		if n > 0 && r.days > 0 {
			r.days--
		}
	}
	r.today, r.yesterday = 0, 0
	g.settle(c, r)
}

// Revoke takes all evidence of a client: it has fired.
func (g *Good) Revoke(c netip.Addr, t int64) {
	c = plain(c)
	if !c.IsValid() {
		return
	}
	g.Advance(t)
	r := g.clients.get(c)
	if r == nil {
		g.blame(c, 0)
		return
	}
	r.off = uint32(g.day)
	r.old, r.yesterday, r.today, r.days = 0, 0, 0, 0
	g.settle(c, r)
}

// settle judges a client after evidence has gone, and forgets it when nothing
// is left.
func (g *Good) settle(c netip.Addr, r *record) {
	if g.spent(c, r) {
		g.forget(c, r)
	}
}

// spent judges a client after evidence has gone, and says whether nothing is
// left.
func (g *Good) spent(c netip.Addr, r *record) bool {
	if r.level() < empty {
		r.old, r.yesterday, r.today, r.days = 0, 0, 0, 0
	}
	g.judge(c, r)
	return r.level() == 0 && r.volume.len() == 0
}

func (g *Good) forget(c netip.Addr, r *record) {
	if r.known {
		g.known.remove(c)
	}
	r.gone = true
	g.clients.remove(c)
	g.order.remove(c)
	if age := g.day - int64(r.off); r.off != 0 && age < int64(len(g.bad)) {
		g.blame(c, int(age))
	}
}

// blame remembers an offender without a record.
func (g *Good) blame(c netip.Addr, age int) {
	b := &g.bad[age]
	if b.v4.n+b.v6.n >= g.max {
		g.evicted++
		return
	}
	if c.Is4() {
		b.v4.add(addrKey4(c))
	} else {
		b.v6.add(addrKey16(c))
	}
}

// offence is the day of the last offence, since yesterday, of a client without
// a record; 0: none.
func (g *Good) offence(c netip.Addr) int64 {
	for age := range g.bad {
		b := &g.bad[age]
		if c.Is4() && b.v4.has(addrKey4(c)) || c.Is6() && b.v6.has(addrKey16(c)) {
			return g.day - int64(age)
		}
	}
	return 0
}

// Advance moves the newest time. With a new day evidence decays, known good
// clients lapse, and what is old is forgotten; else it costs nothing.
func (g *Good) Advance(now int64) {
	if now > g.now {
		g.advance(now)
	}
}

func (g *Good) advance(now int64) {
	g.now = min(now, 1<<32-1)
	if g.now < g.mark {
		g.follow()
		return
	}
	g.mark, g.behind = g.now, 0
	day := g.mark / daySecs
	if day == g.day {
		return
	}
	days := day - g.day
	g.day = day
	switch days {
	case 1:
		g.bad[1], g.bad[0] = g.bad[0], offenders{}
	default:
		g.bad = [2]offenders{}
	}
	var gone []netip.Addr
	cut := cutAt(g.mark, g.keep)
	for c, r := range g.clients.all { // each for itself: the order does not matter
		for range min(days, 400) { // then nothing is left anyway
			r.old = decay(r.old + decay(uint32(r.yesterday)*one))
			r.yesterday, r.today = r.today, 0
		}
		r.unknown = false
		r.volume.forget(cut)
		if g.spent(c, r) {
			gone = append(gone, c)
		}
	}
	slices.SortFunc(gone, netip.Addr.Compare) // who is blamed while there is room
	for _, c := range gone {
		g.forget(c, g.clients.get(c))
	}
	g.ageAccounts()
}

// evict forgets an eighth of the clients: first those with evidence of less
// than two days, those whose last mail is oldest before the others, known
// good ones last.
func (g *Good) evict() {
	rank := func(r *record) uint32 {
		switch {
		case r.known:
			return 2<<24 | r.last
		case r.days >= minDays:
			return 1<<24 | r.last
		}
		return r.last
	}
	ranks := make([]uint32, 0, g.clients.len())
	for _, r := range g.clients.all {
		ranks = append(ranks, rank(r))
	}
	slices.Sort(ranks)
	n := (len(ranks) + 7) / 8
	limit := ranks[n-1]
	below, _ := slices.BinarySearch(ranks, limit)
	equal := n - below
	var gone []netip.Addr
	for c := range g.order.all {
		x := rank(g.clients.get(c))
		if x == limit && equal > 0 {
			equal--
			gone = append(gone, c)
		} else if x < limit {
			gone = append(gone, c)
		}
	}
	for _, c := range gone {
		g.forget(c, g.clients.get(c))
	}
	g.evicted += uint64(len(gone))
}

// Evicted is the number of clients and offenders forgotten so far because
// there were too many.
func (g *Good) Evicted() uint64 { return g.evicted }

// Len is the number of clients remembered.
func (g *Good) Len() int { return g.clients.len() }

// plain is an address as it is kept.
func plain(c netip.Addr) netip.Addr {
	if c.Is4() {
		return c
	}
	return plain6(c)
}

func plain6(c netip.Addr) netip.Addr { return c.WithZone("").Unmap() }
