package report

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
)

// maxSamples and maxSampleText bound what is shown of lines that were not
// understood.
const (
	maxSamples    = 5
	maxSampleText = 200
)

// A collector sums up what the engine makes of each line.
type collector struct {
	e       *engine.Engine
	r       *Report
	clients clientTable
	rules   []ruleCount // by rule.Hit.ID, door by door
	names   []string
	index   map[string]uint16
	about   map[string]string
	minutes map[int64]uint64
	minute  int64 // the minute being counted
	count   uint64
	first   int64
	last    int64
}

type ruleCount struct {
	hit   *rule.Hit
	first uint16 // index of the first rule of hit
	n     uint64
}

func newCollector(e *engine.Engine, rules *rule.Set) *collector {
	c := &collector{
		e:       e,
		r:       &Report{Bans: []Ban{}},
		index:   map[string]uint16{},
		about:   map[string]string{},
		minutes: map[int64]uint64{},
	}
	for _, x := range rules.Rules() {
		c.index[x.Name] = uint16(len(c.names))
		c.names = append(c.names, x.Name)
		c.about[x.Name] = x.About
	}
	return c
}

// add counts one line. It returns false when the line lies after the span.
func (c *collector) add(out *engine.Outcome) bool {
	if out.At == 0 {
		return true
	}
	events := uint64(1)
	if out.Event.Kind == maillog.KindActive { // good evidence at most, of what smtpd told before
		events = 0
	}
	switch out.Verdict {
	case engine.Past:
		c.r.Past = true
		return false
	case engine.Learnt:
		c.r.Learnt += events
		return true
	}
	c.r.Events += events
	if out.At != c.last { // then both are known
		if c.first == 0 || out.At < c.first {
			c.first = out.At
		}
		c.last = max(c.last, out.At)
	}
	if out.Note == nil { // no client
		return true
	}
	if *out.Note == 0 {
		*out.Note = c.clients.index(out.Event.Client) + 1
	}
	good := out.Good()
	if good|out.Offences == 0 { // most lines
		return true
	}
	x := c.clients.at(*out.Note - 1)
	if good > 0 {
		c.r.Firewall.Peak = max(c.r.Firewall.Peak, c.e.Len()) // bans may have been carved around it
		c.r.Good += uint64(good)
		x.Good += good
	}
	switch out.Verdict {
	case engine.Allowed:
		c.r.Allowlisted += uint64(out.Offences)
		return true
	case engine.Stale:
		c.r.Stale += uint64(out.Offences)
		return true
	case engine.TooLate:
		c.r.TooLate += uint64(out.Offences)
		return true
	case engine.Prevented:
		if good > 0 && !member(out.Ban, out.Event.Client) {
			c.r.Collateral.Messages += uint64(good)
			x.Collat += good
		}
		c.r.Prevented.Events += uint64(out.Offences)
		x.Prevented += out.Offences
	}
	if out.Offences > 0 {
		c.offence(out, x)
	}
	if out.Fired {
		c.flush()
	}
	return true
}

func (c *collector) offence(out *engine.Outcome, x *client) {
	c.r.Offences += uint64(out.Offences)
	x.Offences += out.Offences
	if m := out.At / 60; m != c.minute {
		c.closeMinute()
		c.minute = m
	}
	c.count += uint64(out.Offences)
	for _, h := range out.Hits {
		if h == nil {
			continue
		}
		for len(c.rules) <= h.ID {
			c.rules = append(c.rules, ruleCount{})
		}
		r := &c.rules[h.ID]
		if r.hit != h {
			r.hit, r.first = h, c.index[h.Rules[0].Name]
		}
		r.n += uint64(out.Offences)
		x.rule = r.first + 1
	}
}

func (c *collector) closeMinute() {
	if c.count > 0 {
		c.minutes[c.minute] += c.count
		c.count = 0
	}
}

// flush takes the bans that have ended.
func (c *collector) flush() {
	c.e.Flush() // what a firewall would be told: a ban that ended and came back since looks like one
	c.r.Firewall.Peak = max(c.r.Firewall.Peak, c.e.Len())
	for _, s := range c.e.Ended() {
		c.r.Bans = append(c.r.Bans, spell(&s))
	}
}

// spell turns an ended spell into its form in the report.
func spell(s *ban.Spell) Ban {
	b := Ban{
		Prefix:    s.Prefix.String(),
		Door:      s.Door.String(),
		From:      stamp(s.From),
		Until:     stamp(s.Until),
		Ended:     s.End,
		Members:   []string{},
		Rules:     map[string]int{},
		Level:     s.Level,
		Why:       s.Explain(),
		Prevented: s.Knocks,
	}
	if s.End != ban.Running {
		b.Until = stamp(s.Ended)
	}
	if s.Into.IsValid() {
		b.Into = s.Into.String()
	}
	networks := map[networkCause]bool{}
	for _, m := range s.Members {
		b.Members = append(b.Members, show(m.Key))
		if c := m.Cause; c.Network.IsValid() {
			// All that took part have the same events for a reason.
			k := networkCause{c.Network, c.Window, c.First, c.Last}
			if networks[k] {
				continue
			}
			networks[k] = true
		}
		for _, r := range m.Cause.Rules {
			b.Rules[r.Rule] += r.Count
		}
	}
	return b
}

// A networkCause is one firing of a window that counts networks.
type networkCause struct {
	network     netip.Prefix
	window      string
	first, last int64
}

// member says whether an address is one of the offenders of a ban.
func member(b *ban.Ban, a netip.Addr) bool {
	return slices.ContainsFunc(b.Members, func(m ban.Member) bool { return m.Key.Contains(a) })
}

// show is how a key is written: a host without its length.
func show(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func stamp(t int64) time.Time { return time.Unix(t, 0).UTC() }

// finish makes the report, without its lists.
func (c *collector) finish(lines, notUnderstood uint64, samples []Sample) *Report {
	c.closeMinute()
	c.flush()
	r := c.r
	r.Firewall.Removes = len(r.Bans)
	r.Bans = slices.Grow(r.Bans, c.e.Len())
	for b := range c.e.Bans() {
		s := ban.Spell{Ban: *b, End: ban.Running}
		r.Bans = append(r.Bans, spell(&s))
	}
	r.Firewall.Adds = len(r.Bans)
	slices.SortStableFunc(r.Bans, func(a, b Ban) int {
		return cmp.Or(a.From.Compare(b.From), a.Until.Compare(b.Until),
			strings.Compare(a.Prefix, b.Prefix), strings.Compare(a.Door, b.Door))
	})
	r.Lines, r.NotUnderstood, r.Samples = lines, notUnderstood, samples
	if c.first != 0 {
		first, last := stamp(c.first), stamp(c.last)
		r.First, r.Last = &first, &last
	}
	if r.Offences > 0 {
		r.Prevented.Share = float64(r.Prevented.Events) / float64(r.Offences)
	}
	r.Clients = c.clients.n
	for x := range c.clients.all {
		if x.Collat > 0 {
			r.Collateral.Clients++
		}
	}
	return r
}

// lists makes what is for the text only.
func (c *collector) lists(top int) {
	c.topClients(top)
	c.topRules()
	c.attack()
}

func (c *collector) topClients(top int) {
	r := c.r
	var noisy, hurt []*client
	nets := map[netip.Prefix]*Network{}
	for x := range c.clients.all {
		if x.Collat > 0 {
			hurt = append(hurt, x)
		}
		if x.Offences == 0 {
			continue
		}
		noisy = append(noisy, x)
		p := network(x.addr())
		n := nets[p]
		if n == nil {
			n = &Network{Prefix: p.String()}
			nets[p] = n
		}
		n.Clients++
		n.Offences += uint64(x.Offences)
	}
	r.Noisiest = c.cut(noisy, top, func(x *client) uint32 { return x.Offences })
	r.Hurt = c.cut(hurt, top, func(x *client) uint32 { return x.Collat })
	for _, n := range nets {
		r.Networks = append(r.Networks, *n)
	}
	slices.SortFunc(r.Networks, func(a, b Network) int {
		return cmp.Or(cmp.Compare(b.Offences, a.Offences), strings.Compare(a.Prefix, b.Prefix))
	})
}

// cut returns the top clients by a count, ties by address.
func (c *collector) cut(xs []*client, top int, by func(*client) uint32) []Client {
	slices.SortFunc(xs, func(a, b *client) int {
		return cmp.Or(cmp.Compare(by(b), by(a)), cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo))
	})
	var out []Client
	for _, x := range xs[:min(top, len(xs))] {
		y := Client{Addr: x.addr().String(), Offences: x.Offences, Prevented: x.Prevented, Good: x.Good, Collat: x.Collat}
		if x.rule > 0 {
			y.Rule = c.names[x.rule-1]
		}
		out = append(out, y)
	}
	return out
}

// network is the unit in which the report groups clients.
func network(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, _ := a.Prefix(bits) // the length fits the family
	return p
}

func (c *collector) topRules() {
	sum := map[string]uint64{}
	for _, rc := range c.rules {
		if rc.hit == nil {
			continue
		}
		for _, x := range rc.hit.Rules {
			sum[x.Name] += rc.n
		}
	}
	for name, n := range sum {
		c.r.Rules = append(c.r.Rules, Rule{Name: name, About: c.about[name], Offences: n})
	}
	slices.SortFunc(c.r.Rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(b.Offences, a.Offences), strings.Compare(a.Name, b.Name))
	})
}

// attack finds the busiest time: the minutes around the peak that stay above
// a tenth of it, pauses of up to half an hour included.
func (c *collector) attack() {
	var minutes []int64
	var peak int64 = -1
	for m, n := range c.minutes {
		minutes = append(minutes, m)
		if peak < 0 || n > c.minutes[peak] || n == c.minutes[peak] && m < peak {
			peak = m
		}
	}
	if peak < 0 {
		return
	}
	slices.Sort(minutes)
	floor := max(c.minutes[peak]/10, 1)
	busy := slices.DeleteFunc(minutes, func(m int64) bool { return c.minutes[m] < floor })
	at, _ := slices.BinarySearch(busy, peak)
	lo, hi := at, at
	for lo > 0 && busy[lo]-busy[lo-1] <= 30 {
		lo--
	}
	for hi+1 < len(busy) && busy[hi+1]-busy[hi] <= 30 {
		hi++
	}
	a := &Attack{
		From:   stamp(busy[lo] * 60),
		Until:  stamp(busy[hi]*60 + 60),
		Peak:   c.minutes[peak],
		PeakAt: stamp(peak * 60),
	}
	for _, m := range busy[lo : hi+1] {
		a.Offences += c.minutes[m]
	}
	c.r.Attack = a
}

// sample makes a line fit to be shown: bounded, printable.
func sample(line []byte) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(string(line[:min(len(line), maxSampleText)]), "?") {
		if r < ' ' || r == 0x7f || r >= 0x80 {
			r = '?'
		}
		b.WriteRune(r)
	}
	if len(line) > maxSampleText {
		b.WriteString("...")
	}
	return b.String()
}
