package rule

import (
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// MatchCustom matches a line that has no grammar, whose envelope is in ev,
// against the rules with a pattern. When one matches it says which client is
// to blame and fills in the texts of ev that the pattern names; rules that
// blame somebody else than the first one do not count. Else the Hits are empty
// and ev is as it was.
func (s *Set) MatchCustom(ev *maillog.Event) (netip.Addr, Hits) {
	tag := ev.Text(maillog.Tag)
	if s.custom == nil || len(tag) == 0 || hasGrammar(tag) {
		return netip.Addr{}, Hits{}
	}
	s.begin()
	s.search(s.custom, ev)
	if len(s.found) == 0 {
		return netip.Addr{}, Hits{}
	}
	slices.SortFunc(s.found, func(a, b *Rule) int { return a.index - b.index })
	return s.readCustom(ev)
}

// readCustom keeps those of s.found whose pattern and conditions fit.
func (s *Set) readCustom(ev *maillog.Event) (netip.Addr, Hits) {
	var client netip.Addr
	first := *ev
	s.found = slices.DeleteFunc(s.found, func(r *Rule) bool {
		x := *ev
		if !r.pattern.read(&x) || (client.IsValid() && x.Client != client) {
			return true
		}
		s.epoch++ // what was asked of other groups is void
		for i := range r.pattern.conds {
			if !s.any(&r.pattern.conds[i], &x) {
				return true
			}
		}
		if !client.IsValid() {
			client, first = x.Client, x
		}
		return false
	})
	if !client.IsValid() {
		return netip.Addr{}, Hits{}
	}
	first.Client = ev.Client
	*ev = first
	return client, s.combine(&s.all)
}

// read fills in what the pattern takes from the message.
func (p *pattern) read(ev *maillog.Event) bool {
	msg := ev.Text(maillog.Message)
	msg = msg[:min(len(msg), maxMessage)]
	at := p.re.FindSubmatchIndex(msg)
	if at == nil {
		return false
	}
	group := func(n int) []byte {
		if n == 0 || at[2*n] < 0 {
			return nil
		}
		return msg[at[2*n]:at[2*n+1]]
	}
	a, err := netip.ParseAddr(string(group(p.client)))
	if err != nil || a.Zone() != "" {
		return false
	}
	ev.Client = a.Unmap()
	ev.SetText(maillog.SASLUser, group(p.saslUser))
	ev.SetText(maillog.Recipient, group(p.recipient))
	ev.SetText(maillog.Sender, group(p.sender))
	ev.SetText(maillog.Helo, group(p.helo))
	return true
}
