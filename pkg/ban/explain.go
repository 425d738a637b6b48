package ban

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/score"
)

// shown is how many members Explain describes.
const shown = 3

// Explain says in one paragraph, in English, why the ban is there and what it
// is: its times, its members with the windows and rules that made them
// offenders, why it has this width and what the next would have cost, and what
// it was carved around.
func (b *Ban) Explain() string {
	var s sentences
	s.times(b)
	s.members(b)
	s.width(b)
	s.life(b)
	return strings.Join(s, " ")
}

type sentences []string

func (s *sentences) add(format string, args ...any) { *s = append(*s, fmt.Sprintf(format, args...)) }

func (s *sentences) times(b *Ban) {
	until := "until " + stamp(b.Until)
	if b.Until == Forever {
		until = "until it is unbanned"
	}
	how := "banned"
	if b.Pinned {
		how = "banned by hand"
	}
	s.add("%s is %s at door %s since %s, %s.", show(b.Prefix), how, b.Door, stamp(b.From), until)
	if b.Because != "" {
		s.add("The reason given: %s.", strings.TrimRight(b.Because, ". "))
	}
}

func (s *sentences) members(b *Ban) {
	if len(b.Members) == 0 {
		return
	}
	what := "It holds " + count(len(b.Members), "offender") + ": "
	if len(b.Members) == 1 && b.Members[0].Key == b.Prefix {
		what = "It "
	}
	var list []string
	groups := grouped(b.Members)
	for _, g := range groups[:min(shown, len(groups))] {
		text := g[0].Cause.text()
		if len(b.Members) > 1 || g[0].Key != b.Prefix {
			text = names(g) + " " + text
		}
		list = append(list, text)
	}
	if len(groups) > shown {
		n := 0
		for _, g := range groups[shown:] {
			n += len(g)
		}
		list = append(list, fmt.Sprintf("and %d more", n))
	}
	s.add("%s%s.", what, strings.Join(list, "; "))
}

// grouped puts together the members that a window made offenders for what
// their network did, in the order of their first.
func grouped(members []Member) [][]*Member {
	type reason struct {
		network     netip.Prefix
		window      string
		first, last int64
	}
	at := map[reason]int{}
	var groups [][]*Member
	for i := range members {
		m := &members[i]
		c := &m.Cause
		if !c.Network.IsValid() {
			groups = append(groups, []*Member{m})
			continue
		}
		k := reason{c.Network, c.Window, c.First, c.Last}
		g, ok := at[k]
		if !ok {
			g = len(groups)
			at[k] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], m)
	}
	return groups
}

// names lists the keys of some members.
func names(ms []*Member) string {
	var list []string
	for _, m := range ms[:min(shown, len(ms))] {
		list = append(list, show(m.Key))
	}
	if n := len(ms) - shown; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list, ", "), n)
	}
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " and " + list[n-1]
	}
	return list[0]
}

// text reads on from the name of the offender.
func (c *Cause) text() string {
	if c.Window == "" {
		return "offended"
	}
	var t strings.Builder
	if c.Network.IsValid() {
		fmt.Fprintf(&t, "took part when %s together ", show(c.Network))
	}
	fmt.Fprintf(&t, "reached %s of %s in window %s (%s) with %s from %s to %s", weight(c.Units), weight(c.Limit),
		c.Window, span(c.Span), count(c.Events, "event"), stamp(c.First), stamp(c.Last))
	if len(c.Rules) > 0 {
		var rules []string
		for _, r := range c.Rules {
			rules = append(rules, fmt.Sprintf("%s %d", r.Rule, r.Count))
		}
		fmt.Fprintf(&t, ", by rule: %s", strings.Join(rules, ", "))
	}
	if c.Factor > 256 {
		fmt.Fprintf(&t, ", its limit %d.%d times the usual for the good mail it had sent", c.Factor/256, c.Factor%256*10/256)
	}
	return t.String()
}

func (s *sentences) width(b *Ban) {
	w := &b.Why
	switch w.Kind {
	case Held:
		s.add("The cover wanted a /%d for %s, but widening was stopped (by the breaker, or as the allowlist was not complete), so each is banned by itself.",
			w.Next.Bits, count(w.Next.Members, "offender"))
		return
	case Single:
		s.add("Only this address of its /64 is banned%s; with more than %d offenders the /64 is banned around what is to be spared.",
			because(w.Around), hosts)
		return
	case Site:
		s.add("It is a part of %s, which is banned as a whole for %s, %d being enough%s.", show(b.Site),
			count(w.Members, "offender"), w.Need, carved(w.Around))
		return
	case Manual:
		return
	}
	if w.Members > 1 {
		s.add("A /%d needs %s and has %d; it costs %d (an entry counts %d, each address that did not offend 1%s), without it %d.",
			b.Prefix.Bits(), count(w.Need, "offender"), w.Members, w.Cost, w.Price, unit(b.Prefix), w.Apart)
		if w.Around.Kind != NoShield {
			s.add("It has this width because of %s.", w.Around)
		}
	}
	if w.Raised {
		s.add("The price of an entry was raised to %d, because there were more bans than the budget allows.", w.Price)
	}
	s.next(&w.Next)
}

func (s *sentences) next(n *Next) {
	if n.Bits == 0 {
		s.add("Nothing wider is ever banned.")
		return
	}
	why := ""
	switch n.Bar {
	case cover.Vetoed:
		why = n.Veto.String() + " is in it"
	case cover.Count:
		why = fmt.Sprintf("it needs %s and has %d", count(n.Need, "offender"), n.Members)
	case cover.Price:
		why = "it costs more than it saves"
	case cover.Budget:
		why = "the budget had room without it"
	}
	s.add("The next wider prefix, a /%d, would cost %d instead of %d and was not taken: %s.", n.Bits, n.Cost, n.Apart, why)
}

func (s *sentences) life(b *Ban) {
	if b.Level > 0 {
		s.add("It is at level %d: its term was doubled %s, for bans before it that are not forgotten.", b.Level, times(b.Level))
	}
	if b.Revived {
		s.add("It was on parole and was revived by one offence.")
	}
	if b.Renewals > 0 {
		s.add("It was renewed %s, because something in it still knocked.", times(b.Renewals))
	}
	if b.Knocks > 0 {
		s.add("Since then %s, the last at %s.", count(int(min(b.Knocks, math.MaxInt)), "knock"), stamp(b.LastKnock))
	}
}

// String names a shield: "allowlist entry 192.0.2.0/28".
func (s Shield) String() string {
	switch s.Kind {
	case Allowlisted:
		return "allowlist entry " + show(s.Prefix)
	case KnownGood:
		return "known-good sender " + show(s.Prefix)
	case Unbanned:
		return "unbanned " + show(s.Prefix)
	}
	return "nothing"
}

func because(s Shield) string {
	if s.Kind == NoShield {
		return ""
	}
	return ", because of " + s.String()
}

func carved(s Shield) string {
	if s.Kind == NoShield {
		return ""
	}
	return ", around " + s.String()
}

// show writes a prefix, a single address without its length.
func show(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func stamp(t int64) string { return time.Unix(t, 0).UTC().Format("2006-01-02 15:04:05") + " UTC" }

func unit(p netip.Prefix) string {
	if p.Addr().Is4() {
		return ""
	}
	return ", in /64"
}

// span writes seconds in the largest unit that fits.
func span(s int64) string {
	switch {
	case s >= 3600 && s%3600 == 0:
		return fmt.Sprintf("%dh", s/3600)
	case s >= 60 && s%60 == 0:
		return fmt.Sprintf("%dm", s/60)
	}
	return fmt.Sprintf("%ds", s)
}

// weight writes quarters.
func weight(units int) string {
	text := fmt.Sprintf("%.2f", float64(units)/score.Unit)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
