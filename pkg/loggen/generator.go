package loggen

import (
	"bufio"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"
)

// All times inside are Unix milliseconds.
const (
	second = 1000
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// A generator is one call of Write.
type generator struct {
	o     Options
	r     *rand.Rand
	w     *bufio.Writer
	host  string
	first int64 // when the log begins
	queue queue
	seq   int64 // of the last thing queued
	lines int64 // queued so far
	stop  bool
	bad   bool // what is queued now belongs to an attack

	smtpd, submission pidPool
	daemon            int // the pid of those that run as one process
	mail, users       []client

	stamp  []byte // of the current second, with the host
	second int64
	truth  Truth
}

// A client is a peer with its name.
type client struct {
	addr netip.Addr
	name string // "unknown" when it has none
	bad  bool   // means ill
}

func (c client) String() string { return c.name + "[" + c.addr.String() + "]" }

// at queues something to be done at a time.
func (g *generator) at(t int64, do func()) { g.push(item{at: t, do: do}) }

// put queues a line that says nothing countable.
func (g *generator) put(t int64, text string) {
	g.lines++
	g.push(item{at: t, text: text})
}

// mark queues a line that says something about a client.
func (g *generator) mark(t int64, kind string, c client, text string) {
	g.lines++
	g.push(item{at: t, text: text, kind: kind, client: c})
}

func (g *generator) push(it item) {
	g.seq++
	it.seq, it.attack = g.seq, g.bad
	g.queue.push(it)
}

// as says whose session is queued, until the function it returns is called.
func (g *generator) as(c client) func() {
	was := g.bad
	g.bad = c.bad
	return func() { g.bad = was }
}

// run writes the queue down until it is empty.
func (g *generator) run() {
	for len(g.queue) > 0 && !g.stop {
		it := g.queue.pop()
		if it.do != nil {
			it.do()
			continue
		}
		g.emit(it)
	}
}

func (g *generator) emit(it item) {
	if s := it.at / second; s != g.second {
		g.second = s
		format := time.Stamp
		if g.o.ISO {
			format = "2006-01-02T15:04:05.000000-07:00"
		}
		g.stamp = time.Unix(s, 0).UTC().AppendFormat(g.stamp[:0], format)
		g.stamp = append(append(append(g.stamp, ' '), g.host...), ' ')
	}
	_, _ = g.w.Write(g.stamp) // an error stays
	_, _ = g.w.WriteString(it.text)
	if g.w.WriteByte('\n') != nil {
		g.stop = true // Flush says why
		return
	}
	t := &g.truth
	if t.Lines == 0 {
		t.Start = time.Unix(it.at/second, 0).UTC()
	}
	t.Lines++
	t.Bytes += int64(len(g.stamp) + len(it.text) + 1)
	t.End = time.Unix(it.at/second, 0).UTC()
	if it.attack {
		t.AttackLines++
	}
	if it.kind != "" {
		g.count(it)
	}
	g.stop = t.Lines == g.o.Lines
}

// Kinds that are good evidence.
const (
	accepted  = "accepted"  // a message from outside
	submitted = "submitted" // a message of an authenticated user
	login     = "login"     // IMAP
)

func (g *generator) count(it item) {
	t := &g.truth
	if it.client.bad {
		t.Attackers[it.client.addr.String()]++
		t.Kinds[it.kind]++
		return
	}
	good := 0
	switch it.kind {
	case accepted, submitted, login:
		good = 1
		t.Kinds[it.kind]++
	default:
		t.Kinds["honest_"+it.kind]++
	}
	t.Honest[it.client.addr.String()] += good
}

func (g *generator) finish() Truth {
	if g.truth.Lines > 0 {
		g.truth.AttackShare = float64(g.truth.AttackLines) / float64(g.truth.Lines)
	}
	return g.truth
}

// lag is a random time in milliseconds, from at least a.
func (g *generator) lag(a, span int) int64 { return int64(a + g.r.IntN(span)) }

// pid is a random process number.
func (g *generator) pid() int { return 900 + g.r.IntN(60000) }

// A pidPool gives each session a process of its own, as Postfix does: one
// smtpd serves one client at a time, and many in a row.
type pidPool struct {
	procs []process
	next  int
}

type process struct {
	pid  int
	free int64 // when its session has ended
}

// take reserves a process for a session and returns its pid.
func (g *generator) take(p *pidPool, from, until int64) string {
	for range p.procs {
		p.next = (p.next + 1) % len(p.procs)
		if q := &p.procs[p.next]; q.free <= from {
			q.free = until
			return strconv.Itoa(q.pid)
		}
	}
	pid := g.pid()
	p.procs = append(p.procs, process{pid, until})
	return strconv.Itoa(pid)
}
